// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence: a manifest of what was read and what followed from it, signed.
//!
//! `manifest` is the record, `guard_manifest` that for the guard, `canonical` its one spelling, `merkle` one hash of all inputs,
//! `key` and `signature` who vouches for it, `check` what whoever relies on it has to call.
//! Bytes in, bytes out: nothing here opens a file or reads a clock, and only
//! [`SecretKey::generate`] draws randomness.

#![forbid(unsafe_code)]

mod canonical;
mod check;
mod digest;
mod error;
mod guard_manifest;
mod item;
mod key;
mod manifest;
mod merkle;
mod signature;
mod validate;

pub use canonical::{MAX_INTEGER, canonical};
pub use check::{MAX_MANIFEST_BYTES, MAX_SKEW_S, check, check_guard, seal, seal_guard};
pub use digest::{Digest, Hasher};
pub use error::{CanonicalError, EvidenceError, KeyError, ManifestError, SignatureError};
pub use guard_manifest::{
    GUARD_FILES, GUARD_POLICY, GUARD_SCHEMA, GuardLimits, GuardManifest, Subject,
};
pub use item::{Difference, Item, compare};
pub use key::{KeyId, PublicKey, SecretKey};
pub use manifest::{
    FILES, Gaps, Gate, GateKind, Host, LIFETIME_S, Limits, Manifest, Period, SCHEMA, SearchStep,
    Settings, Verdict,
};
pub use merkle::root;
pub use signature::Signature;

#[cfg(test)]
mod sample;
