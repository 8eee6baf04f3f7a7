// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making evidence, and the check that whoever relies on it has to do.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::canonical::canonical;
use crate::error::EvidenceError;
use crate::guard_manifest::GuardManifest;
use crate::key::{PublicKey, SecretKey};
use crate::manifest::Manifest;
use crate::signature::Signature;
use crate::validate::{Claims, schema, validate};

/// Largest manifest: a quarter of a million segments of 250 bytes each.
pub const MAX_MANIFEST_BYTES: usize = 64 << 20;
/// How far the clock of who made evidence may be ahead of who checks it.
pub const MAX_SKEW_S: i64 = 300;

/// The bytes of a manifest and the text of its signature.
///
/// # Errors
/// The manifest contradicts itself, has a number that is not exact everywhere, or is larger
/// than [`MAX_MANIFEST_BYTES`]: whatever [`check`] would refuse is not signed.
pub fn seal(manifest: &Manifest, key: &SecretKey) -> Result<(Vec<u8>, String), EvidenceError> {
    seal_claims(manifest, key)
}

/// The same of a manifest for the guard.
///
/// # Errors
/// As [`seal`].
pub fn seal_guard(
    manifest: &GuardManifest,
    key: &SecretKey,
) -> Result<(Vec<u8>, String), EvidenceError> {
    seal_claims(manifest, key)
}

/// The manifest that one of the `trusted` keys signed and that is good at `now`.
///
/// Nothing of it is read before the signature holds. The files that it lists are not
/// looked at: that is [`crate::compare`]'s.
///
/// # Errors
/// In this order: too large; a signature that is none, of a key that is not trusted, or not
/// over these bytes; no manifest, another schema, another spelling than the canonical one;
/// claims that contradict each other; not good yet, or no longer.
pub fn check(
    manifest: &[u8],
    signature: &str,
    trusted: &[PublicKey],
    now: Timestamp,
) -> Result<Manifest, EvidenceError> {
    check_claims(manifest, signature, trusted, now)
}

/// The same of a manifest for the guard. What its subject names is not looked at either.
///
/// # Errors
/// As [`check`].
pub fn check_guard(
    manifest: &[u8],
    signature: &str,
    trusted: &[PublicKey],
    now: Timestamp,
) -> Result<GuardManifest, EvidenceError> {
    check_claims(manifest, signature, trusted, now)
}

fn seal_claims(claims: &impl Claims, key: &SecretKey) -> Result<(Vec<u8>, String), EvidenceError> {
    validate(claims)?;
    let bytes = canonical(claims)?;
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(EvidenceError::TooLarge(bytes.len()));
    }
    let text = Signature::sign(&bytes, key).to_text();
    Ok((bytes, text))
}

fn check_claims<C: Claims>(
    bytes: &[u8],
    signature: &str,
    trusted: &[PublicKey],
    now: Timestamp,
) -> Result<C, EvidenceError> {
    if bytes.len() > MAX_MANIFEST_BYTES {
        return Err(EvidenceError::TooLarge(bytes.len()));
    }
    Signature::parse(signature)?.verify(bytes, trusted)?;
    let claims: C = read(bytes)?;
    validate(&claims)?;
    check_time(claims.lifetime(), now)?;
    Ok(claims)
}

/// The schema alone, so that one of another time is named and not its first odd field.
#[derive(Deserialize)]
struct Head {
    schema: String,
}

fn read<C: Claims>(bytes: &[u8]) -> Result<C, EvidenceError> {
    let head: Head = serde_json::from_slice(bytes).map_err(EvidenceError::Json)?;
    schema::<C>(&head.schema)?;
    let claims: C = serde_json::from_slice(bytes).map_err(EvidenceError::Json)?;
    if canonical(&claims)? == bytes { Ok(claims) } else { Err(EvidenceError::NotCanonical) }
}

fn check_time((from, to): (Timestamp, Timestamp), now: Timestamp) -> Result<(), EvidenceError> {
    if now >= to {
        return Err(EvidenceError::Expired { at: to, now });
    }
    if from.duration_since(now) > SignedDuration::from_secs(MAX_SKEW_S) {
        return Err(EvidenceError::NotYet { at: from, now });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{CanonicalError, ManifestError, SignatureError};
    use crate::manifest::SCHEMA;
    use crate::sample::{created_at, manifest};

    fn key() -> SecretKey {
        SecretKey::generate().unwrap()
    }

    fn seconds(seconds: i64) -> SignedDuration {
        SignedDuration::from_secs(seconds)
    }

    /// `check` of bytes that are signed whatever they say.
    fn check_signed(bytes: &[u8]) -> Result<Manifest, EvidenceError> {
        let key = key();
        check(bytes, &Signature::sign(bytes, &key).to_text(), &[key.public()], created_at())
    }

    #[test]
    fn what_was_sealed_is_what_is_read() {
        let key = key();
        let (bytes, signature) = seal(&manifest(), &key).unwrap();
        let read = check(&bytes, &signature, &[key.public()], created_at()).unwrap();
        assert_eq!(read, manifest());
    }

    /// The same manifest and key give the same bytes: signatures are deterministic too.
    #[test]
    fn sealing_twice_gives_the_same_bytes() {
        let key = key();
        assert_eq!(seal(&manifest(), &key).unwrap(), seal(&manifest(), &key).unwrap());
    }

    #[test]
    fn any_flipped_bit_of_the_manifest_fails() {
        let key = key();
        let trusted = [key.public()];
        let (bytes, signature) = seal(&manifest(), &key).unwrap();
        let mut flipped = bytes.clone();
        for bit in 0..8 * bytes.len() {
            flipped[bit / 8] ^= 1 << (bit % 8);
            let checked = check(&flipped, &signature, &trusted, created_at());
            let expected = SignatureError::Mismatch(key.public().id());
            assert!(
                matches!(&checked, Err(EvidenceError::Signature(error)) if *error == expected),
                "bit {bit}: {checked:?}"
            );
            flipped[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(check(&flipped, &signature, &trusted, created_at()).is_ok());
    }

    #[test]
    fn any_flipped_bit_of_the_signature_fails() {
        let key = key();
        let (bytes, signature) = seal(&manifest(), &key).unwrap();
        for bit in 0..8 * signature.len() {
            let mut flipped = signature.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let Ok(flipped) = String::from_utf8(flipped) else { continue };
            let checked = check(&bytes, &flipped, &[key.public()], created_at());
            assert!(matches!(checked, Err(EvidenceError::Signature(_))), "bit {bit}: {flipped}");
        }
    }

    #[test]
    fn any_cut_or_longer_manifest_fails() {
        let key = key();
        let (bytes, signature) = seal(&manifest(), &key).unwrap();
        let longer = [&bytes[..], b"\n"].concat();
        for wrong in [&bytes[..bytes.len() - 1], &bytes[1..], &longer, b""] {
            assert!(check(wrong, &signature, &[key.public()], created_at()).is_err());
        }
    }

    #[test]
    fn evidence_has_a_time() {
        let key = key();
        let (bytes, signature) = seal(&manifest(), &key).unwrap();
        let at = |now| check(&bytes, &signature, &[key.public()], now);
        let (from, to) = (manifest().created_at, manifest().expires_at);
        assert!(at(to - seconds(1)).is_ok());
        assert!(matches!(at(to), Err(EvidenceError::Expired { .. })));
        assert!(at(from - seconds(MAX_SKEW_S)).is_ok());
        assert!(matches!(at(from - seconds(MAX_SKEW_S + 1)), Err(EvidenceError::NotYet { .. })));
    }

    /// A key that is trusted can still sign what nobody should rely on.
    #[test]
    fn a_signed_text_in_another_spelling_is_refused() {
        let bytes = canonical(&manifest()).unwrap();
        assert!(check_signed(&bytes).is_ok());
        let text = String::from_utf8(bytes).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        let escaped = text.replace("ibsr-report", "ibsr\\u002dreport");
        let zone = text.replace("2026-11-22T14:00:00Z", "2026-11-22T15:00:00+01:00");
        for other in [&pretty, &escaped, &zone, &format!("{text}\n")] {
            assert_ne!(*other, text);
            let checked = check_signed(other.as_bytes());
            assert!(matches!(checked, Err(EvidenceError::NotCanonical)), "{checked:?}");
        }
    }

    #[test]
    fn signed_fields_that_are_unknown_missing_or_twice_are_refused() {
        let text = String::from_utf8(canonical(&manifest()).unwrap()).unwrap();
        for (from, to) in [
            ("{\"canary_percent\"", "{\"agreed\":true,\"canary_percent\""),
            ("{\"canary_percent\":10,", "{"),
            ("{\"canary_percent\":10,", "{\"canary_percent\":10,\"canary_percent\":10,"),
            ("\"canary_percent\":10,", "\"canary_percent\":1e1,"),
            ("\"verdict\":\"READY_CANARY\"", "\"verdict\":\"CERTAIN\""),
            ("\"is_accepted\":true", "\"is_accepted\":true,\"z\":1"),
        ] {
            let other = text.replacen(from, to, 1);
            assert_ne!(other, text, "{from}");
            let checked = check_signed(other.as_bytes());
            let is_refused = match &checked {
                // An absent optional field reads as none, which then has another spelling.
                Err(EvidenceError::Json(_) | EvidenceError::NotCanonical) => true,
                _ => false,
            };
            assert!(is_refused, "{to}: {checked:?}");
        }
    }

    /// Named as a schema even when nothing else of it can be read.
    #[test]
    fn a_later_schema_is_named() {
        let checked = check_signed(br#"{"schema":"ibsr-evidence/2"}"#);
        let Err(EvidenceError::Manifest(error)) = checked else { panic!("{checked:?}") };
        let said = "ibsr-evidence/2".to_owned();
        assert_eq!(error, ManifestError::Schema { said, expected: SCHEMA });
    }

    #[test]
    fn a_signed_contradiction_is_refused() {
        let mut wrong = manifest();
        wrong.gates[0].is_passed = false;
        let checked = check_signed(&canonical(&wrong).unwrap());
        assert!(matches!(checked, Err(EvidenceError::Manifest(ManifestError::Gate(_)))));
    }

    #[test]
    fn what_would_be_refused_is_not_sealed() {
        let mut wrong = manifest();
        wrong.verdict = crate::manifest::Verdict::Ready;
        let sealed = seal(&wrong, &key());
        assert!(matches!(sealed, Err(EvidenceError::Manifest(ManifestError::Canary))));
        let mut rounded = manifest();
        rounded.gaps.total_ms = 1 << 53;
        let sealed = seal(&rounded, &key());
        assert!(matches!(sealed, Err(EvidenceError::Canonical(CanonicalError::Number(_)))));
    }

    #[test]
    fn a_manifest_larger_than_any_is_not_even_verified() {
        let checked = check(&vec![b' '; MAX_MANIFEST_BYTES + 1], "", &[], created_at());
        assert!(matches!(checked, Err(EvidenceError::TooLarge(_))));
    }
}
