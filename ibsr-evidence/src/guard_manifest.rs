// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest that the guard is armed with: which policy, on which machine, over which
//! cgroup, by which program, and what a rehearsal of it showed.
//!
//! Its subject says what exactly was proven; whoever arms compares every field of it with
//! what is there. The rest follows the rules of [`crate::Manifest`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::ManifestError;
use crate::item::Item;
use crate::manifest::{Gate, Period, Verdict};
use crate::validate::{self, Claims};

/// Schema of the guard's manifest.
pub const GUARD_SCHEMA: &str = "ibsr-guard-evidence/1";
/// The file of a guard's bundle that holds the canonical text of the policy: its SHA-256 is
/// [`Subject::policy_sha256`]. No bundle is without.
pub const GUARD_POLICY: &str = "policy.txt";
/// The files that a guard's bundle may hold beside the manifest and its signature, sorted.
pub const GUARD_FILES: [&str; 5] =
    ["evidence.csv", GUARD_POLICY, "report.html", "report.json", "report.md"];

/// What a bundle for the guard claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardManifest {
    /// [`GUARD_SCHEMA`].
    pub schema: String,
    /// Program and version that made it.
    pub tool: String,
    /// When it was made; the report's own clock.
    pub created_at: Timestamp,
    /// First second at which it is no longer good, at most [`crate::LIFETIME_S`] later.
    pub expires_at: Timestamp,
    /// When was observed.
    pub period: Period,
    /// Every whole segment that was found, by its unpacked bytes; sorted.
    pub inputs: Vec<Item>,
    /// [`crate::root`] of the inputs' hashes.
    pub merkle_root: Digest,
    /// What was proven, and where.
    pub subject: Subject,
    /// Verdicts over all hooks and destinations.
    pub judged: u64,
    /// Those of them that would have been denials, at most `judged`.
    pub would_deny: u64,
    /// Verdicts, flows and rows that were lost and so could not be judged.
    pub lost: u64,
    /// Every condition of the verdict.
    pub gates: Vec<Gate>,
    /// What must not be exceeded, by the evidence or by the guard.
    pub limits: GuardLimits,
    /// The answer.
    pub verdict: Verdict,
    /// Largest share of clients to deny to, 1 to 100, with [`Verdict::ReadyCanary`] only.
    pub canary_percent: Option<u8>,
    /// The other files of the bundle: some of [`GUARD_FILES`], in their order.
    pub files: Vec<Item>,
}

/// What exactly was proven. `ibsr-guard subject` prints it for a policy, as JSON; a report
/// takes it over, and `ibsr-guard arm` refuses when any field is another one by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Host label, as in the segments.
    pub host: String,
    /// SHA-256 of `ibsr-guard machine`, a NUL and the machine's id (machine-id(5)): the id
    /// itself is to be kept.
    pub machine_sha256: Digest,
    /// Path of the cgroup below the mount point, without a slash at either end.
    pub cgroup: String,
    /// SHA-256 of the canonical text of the policy.
    pub policy_sha256: Digest,
    /// SHA-256 of what the policy's executables, users and cgroups are on that machine.
    pub identities_sha256: Digest,
    /// SHA-256 of the guard's BPF object as it is in the program.
    pub object_sha256: Digest,
}

/// What must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardLimits {
    /// Largest share of destinations in use that may be lost.
    pub destinations_ppb: u64,
    /// Largest share of completed connections.
    pub connections_ppb: u64,
    /// Error that the bounds may make.
    pub alpha_ppb: u64,
    /// Denials to peers of the last hour, after which an armed guard ends enforcing by itself.
    pub budget_denials: u64,
}

impl Claims for GuardManifest {
    const SCHEMA: &'static str = GUARD_SCHEMA;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn lifetime(&self) -> (Timestamp, Timestamp) {
        (self.created_at, self.expires_at)
    }

    fn validate(&self) -> Result<(), ManifestError> {
        validate::inputs(&self.inputs, self.merkle_root)?;
        self.files()?;
        validate::gates(&self.gates, self.verdict)?;
        validate::canary(self.verdict, self.canary_percent)?;
        if self.would_deny > self.judged {
            return Err(ManifestError::Counts);
        }
        let missing = [
            ("gates", self.gates.is_empty()),
            ("inputs", self.inputs.is_empty()),
            ("judged", self.judged == 0),
        ];
        match missing.iter().find(|(_, is_missing)| *is_missing) {
            Some((name, _)) if self.verdict.is_ready() => Err(ManifestError::Nothing(name)),
            _ => Ok(()),
        }
    }
}

impl GuardManifest {
    fn files(&self) -> Result<(), ManifestError> {
        let names: Vec<&str> = self.files.iter().map(|file| file.name.as_str()).collect();
        let known: Vec<&str> =
            GUARD_FILES.into_iter().filter(|name| names.contains(name)).collect();
        let policy = self.files.iter().find(|file| file.name == GUARD_POLICY);
        let (Some(policy), true) = (policy, names == known) else {
            return Err(ManifestError::GuardFiles(format!("{names:?}")));
        };
        let (said, is) = (self.subject.policy_sha256, policy.sha256);
        if said == is { Ok(()) } else { Err(ManifestError::Policy { said, is }) }
    }
}

#[cfg(test)]
#[path = "guard_manifest_tests.rs"]
mod tests;
