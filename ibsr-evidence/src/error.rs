// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with evidence. One variant for each thing, so that a program can act on
//! it and a person knows where to look.

use jiff::Timestamp;

use crate::digest::Digest;
use crate::key::KeyId;

/// A value without a canonical form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CanonicalError {
    /// A number with a fraction, or one that some readers would round.
    #[error("`{0}` is no integer of at most 2^53 - 1")]
    Number(String),
    /// JSON cannot say it.
    #[error("failed to write JSON")]
    NotJson(#[source] serde_json::Error),
}

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a line of ours, or of another version.
    #[error("failed to read a key: expected the one line `ibsr-key/1 secret|public ID HEX`")]
    Format,
    /// A public key where a secret one is needed, or the other way.
    #[error("failed to read a key: expected a {expected} one")]
    Kind {
        /// Which is needed.
        expected: &'static str,
    },
    /// The digits are no point of the curve, or one of small order.
    #[error("failed to read a key: its digits are no key that verifies one message only")]
    Unusable,
    /// The line was damaged, or put together.
    #[error("failed to read a key: it says `{said}` and is `{is}`")]
    Id {
        /// The id of the line.
        said: KeyId,
        /// The id of the key.
        is: KeyId,
    },
    /// No random numbers.
    #[error("failed to draw random numbers")]
    Random(#[source] getrandom::Error),
}

/// A signature that does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// Not a line of ours, or of another version.
    #[error(
        "failed to read the signature: expected the one line `ibsr-signature/1 ID PUBLIC SIGNATURE`"
    )]
    Format,
    /// The digits of the key are no point of the curve, or one of small order.
    #[error("failed to read the signature: its key verifies more than one message")]
    Unusable,
    /// The line was damaged, or put together.
    #[error("failed to read the signature: it says key `{said}` and holds key `{is}`")]
    Id {
        /// The id of the line.
        said: KeyId,
        /// The id of the key in it.
        is: KeyId,
    },
    /// Signed by someone whom nobody here trusts.
    #[error("signed with key `{0}`, which is not among the trusted ones")]
    UnknownKey(KeyId),
    /// A trusted key's name with another key's signature, or one over other bytes.
    #[error("the manifest is not what key `{0}` signed")]
    Mismatch(KeyId),
}

/// A manifest that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Another schema, or version of it.
    #[error("the manifest has schema `{said}`, not `{expected}`")]
    Schema {
        /// What it says.
        said: String,
        /// What was to be read.
        expected: &'static str,
    },
    /// It is valid for no time, or for too long.
    #[error("the manifest is valid from {from} to {to}: not 1 s to 14 days")]
    Lifetime {
        /// When it was made.
        from: Timestamp,
        /// When it ends.
        to: Timestamp,
    },
    /// A list whose order is part of its spelling.
    #[error("the manifest's `{0}` are not in order")]
    Order(&'static str),
    /// The hash of all inputs is not that of these.
    #[error("the manifest's inputs have Merkle root `{is}`, and it says `{said}`")]
    MerkleRoot {
        /// What it says.
        said: Digest,
        /// What its inputs give.
        is: Digest,
    },
    /// A file that every bundle holds, or one that none does.
    #[error("the manifest lists {0}, not the five files of a bundle")]
    Files(String),
    /// A file that no bundle for the guard holds, one too few, or another order.
    #[error("the manifest lists {0}, not files of a bundle for the guard with its policy")]
    GuardFiles(String),
    /// The policy in the bundle is not the one that was proven.
    #[error("the manifest's policy has SHA-256 `{is}`, and its subject says `{said}`")]
    Policy {
        /// What the subject says.
        said: Digest,
        /// That of the file.
        is: Digest,
    },
    /// More would have been denied than was judged.
    #[error("the manifest has more denials than verdicts")]
    Counts,
    /// A ready verdict that rests on nothing.
    #[error("the verdict is ready, and the manifest has no `{0}`")]
    Nothing(&'static str),
    /// A text that is in it and its hash do not agree.
    #[error("the manifest's rules have SHA-256 `{is}`, and it says `{said}`")]
    Rules {
        /// What it says.
        said: Digest,
        /// What the text gives.
        is: Digest,
    },
    /// A gate that passed against its own numbers, or the reverse.
    #[error("gate `{0}` contradicts its own value and limit")]
    Gate(String),
    /// A verdict that allows more than the gates.
    #[error("the verdict is ready, and gate `{0}` failed")]
    Verdict(String),
    /// A verdict about rules that the search did not choose.
    #[error("the verdict is ready, and no rule was chosen")]
    Provisional,
    /// A share for a verdict that has none, none for one that needs it, or no percentage.
    #[error("the canary's share does not fit the verdict")]
    Canary,
}

/// Evidence that must not be relied on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// More bytes than any manifest has.
    #[error("the manifest has {0} bytes: more than any manifest")]
    TooLarge(usize),
    /// Nobody who is trusted signed these bytes.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// No manifest: a field is missing, unknown, twice, or of another type.
    #[error("failed to read the manifest")]
    Json(#[source] serde_json::Error),
    /// It says the same in other bytes.
    #[error("the manifest is not in its canonical form (RFC 8785)")]
    NotCanonical,
    /// It has no canonical form.
    #[error("the manifest has no canonical form")]
    Canonical(#[from] CanonicalError),
    /// It contradicts itself.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its time is over.
    #[error("expired at {at}, and it is {now}\nhint: make a new report of newer traffic")]
    Expired {
        /// When it ended.
        at: Timestamp,
        /// When it was checked.
        now: Timestamp,
    },
    /// Its time has not come: one of the two clocks is wrong.
    #[error("made at {at}, and it is {now}\nhint: check the clocks of both machines")]
    NotYet {
        /// When it was made.
        at: Timestamp,
        /// When it was checked.
        now: Timestamp,
    },
}
