// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ed25519 keys (RFC 8032) and the text that they are kept in: one line,
//! `ibsr-key/1 secret|public <id> <64 hexadecimal digits>`.
//!
//! The id is the beginning of a hash of the public key. It names a key to people, and it
//! makes a damaged line fail to parse instead of being another key.

use std::fmt;

use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

use crate::digest::{Digest, parse_hex, write_hex};
use crate::error::KeyError;

const FORMAT: &str = "ibsr-key/1";
const SECRET: &str = "secret";
const PUBLIC: &str = "public";

/// The first 8 bytes of the SHA-256 of a public key: a name, not a proof.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    fn of(public: &[u8; 32]) -> Self {
        let digest = Digest::of(public);
        let (id, _) = digest.as_bytes().split_first_chunk().expect("32 bytes begin with 8");
        Self(*id)
    }

    /// The 8 bytes.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        parse_hex(text).map(Self)
    }
}

impl From<[u8; 8]> for KeyId {
    fn from(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

/// A key that verifies. Never one of small order, under which a signature could fit several
/// messages.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the line of a public key.
    ///
    /// # Errors
    /// Another format or version, a secret key, digits that are no usable key, or an id that
    /// is not the key's.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (id, bytes) = fields(text, PUBLIC)?;
        let key = Self::from_bytes(&bytes).ok_or(KeyError::Unusable)?;
        if key.id() == id { Ok(key) } else { Err(KeyError::Id { said: id, is: key.id() }) }
    }

    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Option<Self> {
        VerifyingKey::from_bytes(bytes).ok().filter(|key| !key.is_weak()).map(Self)
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        KeyId::of(self.0.as_bytes())
    }

    /// Its line, with the line feed: what may be given to anyone.
    #[must_use]
    pub fn to_text(&self) -> String {
        line(PUBLIC, self.id(), self.0.as_bytes())
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id())
    }
}

/// A key that signs. Its memory is wiped when it goes away, and it is never shown.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// A new one, from the system's random numbers.
    ///
    /// # Errors
    /// The system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(KeyError::Random)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads the line of a secret key.
    ///
    /// # Errors
    /// Another format or version, a public key, or an id that is not the key's.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let (id, seed) = fields(text, SECRET)?;
        let key = Self(SigningKey::from_bytes(&seed));
        let is = key.public().id();
        if is == id { Ok(key) } else { Err(KeyError::Id { said: id, is }) }
    }

    /// The key that verifies what this one signs.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Its line, with the line feed: whoever reads it can sign.
    #[must_use]
    pub fn to_text(&self) -> String {
        line(SECRET, self.public().id(), self.0.as_bytes())
    }

    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({})", self.public().id())
    }
}

fn line(kind: &str, id: KeyId, bytes: &[u8; 32]) -> String {
    format!("{FORMAT} {kind} {id} {}\n", Digest::from(*bytes))
}

/// The id and the bytes of a line of `kind`.
fn fields(text: &str, kind: &'static str) -> Result<(KeyId, [u8; 32]), KeyError> {
    let line = text.strip_suffix('\n').unwrap_or(text);
    let words: Vec<&str> = line.split(' ').collect();
    let [FORMAT, said, id, digits] = words[..] else { return Err(KeyError::Format) };
    if said != kind {
        return Err(KeyError::Kind { expected: kind });
    }
    let id = KeyId::parse(id).ok_or(KeyError::Format)?;
    let bytes = parse_hex(digits).ok_or(KeyError::Format)?;
    Ok((id, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex<const N: usize>(text: &str) -> [u8; N] {
        parse_hex(text).unwrap()
    }

    /// RFC 8032, 7.1, tests 1 to 3: secret, public, message, signature.
    const VECTORS: [[&str; 4]; 3] = [
        [
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ],
        [
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ],
        [
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ],
    ];

    #[test]
    fn keys_sign_and_verify_as_the_rfc_says() {
        for [secret, public, message, signature] in VECTORS {
            let key = SecretKey(SigningKey::from_bytes(&hex(secret)));
            assert_eq!(*key.public().as_bytes(), hex::<32>(public));
            let message: &[u8] = match message {
                "" => b"",
                "72" => b"\x72",
                _ => b"\xaf\x82",
            };
            assert_eq!(key.sign(message), hex::<64>(signature));
            assert!(key.public().verifies(message, &hex(signature)));
            assert!(!key.public().verifies(b"other", &hex(signature)));
        }
    }

    /// What the owner of the first key gets with 0 as the nonce: R is the neutral element,
    /// and the equation of the RFC holds. Strictly it is no signature.
    #[test]
    fn a_signature_with_a_point_of_small_order_does_not_count() {
        let key = SecretKey(SigningKey::from_bytes(&hex(VECTORS[0][0]))).public();
        let s = "756cf9b1d6f0d7a979b9d2af3dc2bc1294ec7cb6daa20eaff534c024fc57920f";
        let mut signature = [0; 64];
        signature[0] = 1;
        signature[32..].copy_from_slice(&hex::<32>(s));
        let lax = ed25519_dalek::Signature::from_bytes(&signature);
        assert!(ed25519_dalek::Verifier::verify(&key.0, b"", &lax).is_ok());
        assert!(!key.verifies(b"", &signature));
    }

    #[test]
    fn a_key_reads_back_from_its_line() {
        let key = SecretKey::generate().unwrap();
        let again = SecretKey::parse(&key.to_text()).unwrap();
        assert_eq!(again.0.to_bytes(), key.0.to_bytes());
        assert_eq!(PublicKey::parse(&key.public().to_text()).unwrap(), key.public());
        let without_line_feed = key.to_text().trim_end().to_owned();
        assert!(SecretKey::parse(&without_line_feed).is_ok());
    }

    #[test]
    fn two_new_keys_differ() {
        let ids =
            [SecretKey::generate(), SecretKey::generate()].map(|key| key.unwrap().public().id());
        assert_ne!(ids[0], ids[1]);
    }

    /// The line is the format: scripts and other versions read it.
    #[test]
    fn the_lines_look_like_this() {
        let key = SecretKey(SigningKey::from_bytes(&hex(VECTORS[0][0])));
        let id = &Digest::of(&hex::<32>(VECTORS[0][1])).to_string()[..16];
        assert_eq!(key.to_text(), format!("ibsr-key/1 secret {id} {}\n", VECTORS[0][0]));
        assert_eq!(key.public().to_text(), format!("ibsr-key/1 public {id} {}\n", VECTORS[0][1]));
    }

    #[test]
    fn any_flipped_bit_of_a_line_is_noticed() {
        let key = SecretKey::generate().unwrap();
        for line in [key.to_text(), key.public().to_text()] {
            for bit in 0..8 * line.len() {
                let mut bytes = line.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let Ok(text) = String::from_utf8(bytes) else { continue };
                assert!(SecretKey::parse(&text).is_err(), "bit {bit}: {text}");
                assert!(PublicKey::parse(&text).is_err(), "bit {bit}: {text}");
            }
        }
    }

    #[test]
    fn each_wrong_line_says_what_is_wrong() {
        let key = SecretKey::generate().unwrap();
        let (secret, public) = (key.to_text(), key.public().to_text());
        assert!(matches!(PublicKey::parse(&secret), Err(KeyError::Kind { expected: PUBLIC })));
        assert!(matches!(SecretKey::parse(&public), Err(KeyError::Kind { expected: SECRET })));
        let newer = public.replace("ibsr-key/1", "ibsr-key/2");
        for wrong in ["", "\n", &newer, &format!("{public}\n"), &format!(" {public}")] {
            assert!(matches!(PublicKey::parse(wrong), Err(KeyError::Format)), "{wrong:?}");
        }
        let other = SecretKey::generate().unwrap().public().id().to_string();
        let moved = public.replace(&key.public().id().to_string(), &other);
        assert!(matches!(PublicKey::parse(&moved), Err(KeyError::Id { .. })));
    }

    /// The neutral element: with a weak key one signature fits any message.
    #[test]
    fn a_key_of_small_order_is_refused() {
        let mut neutral = [0; 32];
        neutral[0] = 1;
        let text = line(PUBLIC, KeyId::of(&neutral), &neutral);
        assert!(matches!(PublicKey::parse(&text), Err(KeyError::Unusable)));
    }

    #[test]
    fn a_secret_key_is_never_shown() {
        let key = SecretKey::generate().unwrap();
        assert_eq!(format!("{key:?}"), format!("SecretKey({})", key.public().id()));
    }
}
