// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence on disk: a directory of seven files and the same as one archive, signed.
//!
//! `kind` tells evidence about rules from evidence for the guard, `claims` makes the manifest of a report, `seal` writes a bundle, `files` and `archive` read
//! one as what it is: bytes of a stranger. `inspect` checks it by itself, `again` computes it
//! from the inputs once more, `verify` is the command and what it prints, `keys` are files.

mod again;
mod again_guard;
mod archive;
pub mod claims;
mod compare;
mod files;
mod inspect;
mod keys;
mod kind;
mod seal;
mod show;
mod verify;

#[cfg(test)]
mod tests;

pub use archive::Files;
pub use claims::Basis;
pub use keys::{AFTER_KEYGEN, KeygenArgs, keygen};
pub use seal::Sealer;
pub use verify::{AFTER_VERIFY, VerifyArgs, verify};

/// The claims, in canonical JSON.
const MANIFEST: &str = "manifest.json";
/// One line: who signed the manifest, and the signature.
const SIGNATURE: &str = "manifest.sig";
/// Every file of a bundle, sorted.
const NAMES: [&str; 7] =
    ["evidence.csv", MANIFEST, SIGNATURE, "report.html", "report.json", "report.md", "rules.toml"];
/// Those of a bundle of either kind.
const ALL_NAMES: [&str; 8] = [
    "evidence.csv",
    MANIFEST,
    SIGNATURE,
    ibsr_evidence::GUARD_POLICY,
    "report.html",
    "report.json",
    "report.md",
    "rules.toml",
];
/// Largest file of a bundle: that of the largest manifest. A report lists 10,000 sources at
/// most, in less than a tenth of this.
const MAX_FILE_BYTES: u64 = ibsr_evidence::MAX_MANIFEST_BYTES as u64;
/// Largest bundle, unpacked.
const MAX_BUNDLE_BYTES: u64 = 4 * MAX_FILE_BYTES;

/// Something that is wrong, and with what.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
struct Fault {
    /// Name of the file or of the segment.
    name: String,
    /// What is wrong with it.
    reason: String,
}

impl Fault {
    fn new(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), reason: reason.into() }
    }
}
