// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a bundle proves by itself: who signed it, that it is whole, that its time has come
//! and is not over. A pure function of its bytes, the keys and the time.

use ibsr_evidence::{
    Difference, EvidenceError, Item, KeyId, PublicKey, Signature, SignatureError, compare,
};
use jiff::{SignedDuration, Timestamp};

use super::archive::{self, Files};
use super::files::Found;
use super::kind::{Kind, Signed};
use super::{Fault, MANIFEST, SIGNATURE};

/// What was found out.
#[derive(Debug, Default)]
pub struct Inspected {
    /// The key that the signature was made with, where there is one.
    pub key: Option<KeyId>,
    /// Whether someone here vouched for it.
    pub is_key_trusted: bool,
    /// The claims, if the signature over them holds.
    pub manifest: Option<Signed>,
    /// The files of the bundle.
    pub files: Files,
    /// All that is wrong.
    pub faults: Vec<Fault>,
}

/// Checks a bundle. With no `trusted` keys its own is taken: then all that is shown is that
/// nothing was changed since somebody signed it.
#[must_use]
pub fn inspect(found: Found, trusted: &[PublicKey], now: Timestamp) -> Inspected {
    let Found { files, tar, faults } = found;
    let mut seen =
        Inspected { files, faults, is_key_trusted: !trusted.is_empty(), ..Inspected::default() };
    seen.check_signature(trusted, now);
    let Some(manifest) = &seen.manifest else { return seen };
    let is_named = |fault: &Fault| seen.faults.iter().any(|own| own.name == fault.name);
    let mut faults = differing(manifest, &seen.files);
    faults.retain(|fault| !is_named(fault));
    // Only when the files are right: else the archive differs because they do.
    if let Some(tar) = tar
        && faults.is_empty()
        && seen.faults.is_empty()
        && archive::tar(&seen.files, manifest.created_at()).ok().as_ref() != Some(&tar)
    {
        faults.push(Fault::new("the archive", "it is not packed as it was sealed"));
    }
    seen.faults.append(&mut faults);
    seen
}

impl Inspected {
    fn check_signature(&mut self, trusted: &[PublicKey], now: Timestamp) {
        let (Some(manifest), Some(signature)) =
            (self.files.get(MANIFEST), self.files.get(SIGNATURE))
        else {
            return;
        };
        // Bytes that are no text are no signature either, and end as one that cannot be read.
        let signature = String::from_utf8_lossy(signature);
        let own: Vec<PublicKey> = match Signature::parse(&signature) {
            Ok(signature) => vec![signature.public()],
            Err(_) => Vec::new(),
        };
        self.key = own.first().map(PublicKey::id);
        let keys = if trusted.is_empty() { &own } else { trusted };
        let kind = Kind::of(&self.files);
        let mut checked = kind.check(manifest, &signature, keys, now);
        // What is wrong with the time alone hides nothing else.
        if let Some(at) = checked.as_ref().err().and_then(good_at) {
            self.faults.extend(checked.as_ref().err().map(fault));
            checked = kind.check(manifest, &signature, keys, at);
        }
        match checked {
            Ok(manifest) => self.manifest = Some(manifest),
            Err(error) => self.faults.push(fault(&error)),
        }
    }
}

/// A time at which evidence was good that only its time speaks against.
fn good_at(error: &EvidenceError) -> Option<Timestamp> {
    match error {
        EvidenceError::Expired { at, .. } => at.checked_sub(SignedDuration::from_nanos(1)).ok(),
        EvidenceError::NotYet { at, .. } => Some(*at),
        _ => None,
    }
}

fn fault(error: &EvidenceError) -> Fault {
    let name = match error {
        EvidenceError::Signature(SignatureError::Mismatch(_)) => {
            format!("{MANIFEST} or {SIGNATURE}")
        }
        EvidenceError::Signature(_) => SIGNATURE.to_owned(),
        _ => MANIFEST.to_owned(),
    };
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        reason.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    Fault { name, reason }
}

/// Files with other bytes than were signed, that are missing, or that nobody signed.
fn differing(manifest: &Signed, files: &Files) -> Vec<Fault> {
    let others = files.iter().filter(|(name, _)| ![MANIFEST, SIGNATURE].contains(name));
    let found: Vec<Item> = others.map(|(name, bytes)| Item::of(*name, bytes)).collect();
    let fault = |difference| match difference {
        Difference::Missing(name) => Fault::new(name, "it is missing"),
        Difference::Unexpected(name) => Fault::new(name, "it is no file of this bundle"),
        other => Fault::new(other.name(), "its bytes are not those signed"),
    };
    compare(manifest.files(), &found).into_iter().map(fault).collect()
}
