// SPDX-License-Identifier: MIT OR Apache-2.0
//! A signature over a manifest, and its text: one line,
//! `ibsr-signature/1 <key id> <public key> <signature>`.
//!
//! What is signed begins with a context of its own, so that no signature made for another
//! purpose with the same key can ever pass for one over a manifest.

use std::fmt;

use crate::digest::{parse_hex, write_hex};
use crate::error::SignatureError;
use crate::key::{KeyId, PublicKey, SecretKey};

const FORMAT: &str = "ibsr-signature/1";
const CONTEXT: &[u8] = b"ibsr-evidence/1 manifest\0";

/// Who signed, and the signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    public: PublicKey,
    bytes: [u8; 64],
}

impl Signature {
    /// Signs the bytes of a manifest.
    #[must_use]
    pub fn sign(manifest: &[u8], key: &SecretKey) -> Self {
        Self { public: key.public(), bytes: key.sign(&message(manifest)) }
    }

    /// Reads the text of a signature.
    ///
    /// # Errors
    /// Another format or version, no usable key, or an id that is not the key's.
    pub fn parse(text: &str) -> Result<Self, SignatureError> {
        let line = text.strip_suffix('\n').ok_or(SignatureError::Format)?;
        let words: Vec<&str> = line.split(' ').collect();
        let [FORMAT, id, public, bytes] = words[..] else { return Err(SignatureError::Format) };
        let id = KeyId::parse(id).ok_or(SignatureError::Format)?;
        let public = parse_hex(public).ok_or(SignatureError::Format)?;
        let bytes = parse_hex(bytes).ok_or(SignatureError::Format)?;
        let public = PublicKey::from_bytes(&public).ok_or(SignatureError::Unusable)?;
        if public.id() != id {
            return Err(SignatureError::Id { said: id, is: public.id() });
        }
        Ok(Self { public, bytes })
    }

    /// Its text, with the line feed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("{FORMAT} {} ", self.public.id());
        let written = write_hex(&mut text, self.public.as_bytes())
            .and_then(|()| fmt::Write::write_char(&mut text, ' '))
            .and_then(|()| write_hex(&mut text, &self.bytes))
            .and_then(|()| fmt::Write::write_char(&mut text, '\n'));
        written.expect("a string takes any text");
        text
    }

    /// The key that it says it was made with. It proves nothing: anyone can sign with a key
    /// of their own.
    #[must_use]
    pub const fn public(&self) -> PublicKey {
        self.public
    }

    /// Checks that one of the `trusted` keys signed the bytes of `manifest`, strictly: one
    /// message and one key for each signature.
    ///
    /// # Errors
    /// The key is not among them, or the signature is not over these bytes.
    pub fn verify(&self, manifest: &[u8], trusted: &[PublicKey]) -> Result<(), SignatureError> {
        let id = self.public.id();
        let key = trusted.iter().find(|key| **key == self.public);
        let key = key.ok_or(SignatureError::UnknownKey(id))?;
        if key.verifies(&message(manifest), &self.bytes) {
            Ok(())
        } else {
            Err(SignatureError::Mismatch(id))
        }
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({})", self.public.id())
    }
}

fn message(manifest: &[u8]) -> Vec<u8> {
    [CONTEXT, manifest].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SecretKey {
        SecretKey::generate().unwrap()
    }

    #[test]
    fn a_signature_reads_back_and_verifies() {
        let key = key();
        let signature = Signature::sign(b"bytes", &key);
        let again = Signature::parse(&signature.to_text()).unwrap();
        assert_eq!(again, signature);
        assert_eq!(again.verify(b"bytes", &[key.public()]), Ok(()));
        assert_eq!(again.public(), key.public());
    }

    #[test]
    fn only_the_keys_that_are_trusted_count() {
        let (key, other) = (key(), key());
        let signature = Signature::sign(b"bytes", &key);
        let unknown = Err(SignatureError::UnknownKey(key.public().id()));
        assert_eq!(signature.verify(b"bytes", &[]), unknown);
        assert_eq!(signature.verify(b"bytes", &[other.public()]), unknown);
        assert_eq!(signature.verify(b"bytes", &[other.public(), key.public()]), Ok(()));
        let mismatch = Err(SignatureError::Mismatch(key.public().id()));
        assert_eq!(signature.verify(b"other", &[key.public()]), mismatch);
    }

    /// A signature over the bare bytes, which another program may have been made to give.
    #[test]
    fn a_signature_without_the_context_does_not_count() {
        let key = key();
        let bare = Signature { public: key.public(), bytes: key.sign(b"bytes") };
        let verified = bare.verify(b"bytes", &[key.public()]);
        assert_eq!(verified, Err(SignatureError::Mismatch(key.public().id())));
    }

    #[test]
    fn each_wrong_text_says_what_is_wrong() {
        let key = key();
        let text = Signature::sign(b"bytes", &key).to_text();
        let newer = text.replace("ibsr-signature/1", "ibsr-signature/2");
        for wrong in ["", "\n", text.trim_end(), &newer, &format!("{text}\n"), &text[1..]] {
            assert_eq!(Signature::parse(wrong), Err(SignatureError::Format), "{wrong:?}");
        }
        let other = self::key().public().id();
        let moved = text.replacen(&key.public().id().to_string(), &other.to_string(), 1);
        let id = SignatureError::Id { said: other, is: key.public().id() };
        assert_eq!(Signature::parse(&moved), Err(id));
    }
}
