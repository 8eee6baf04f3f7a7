// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest: everything a bundle claims, and what is needed to compute it again.
//!
//! Integers and text only, with the unit in the name; every list has one order. A field that
//! is unknown here makes a manifest unreadable: what is signed must be understood whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::item::Item;

/// Schema of the manifest.
pub const SCHEMA: &str = "ibsr-evidence/1";
/// Longest time that evidence is good for: traffic changes. 14 days.
pub const LIFETIME_S: i64 = 14 * 24 * 3600;
/// The files of a bundle beside the manifest and its signature, sorted.
pub const FILES: [&str; 5] =
    ["evidence.csv", "report.html", "report.json", "report.md", "rules.toml"];

/// What a bundle claims.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// Program and version that made it: another version may compute other bytes.
    pub tool: String,
    /// When it was made; the report's own clock.
    pub created_at: Timestamp,
    /// First second at which it is no longer good, at most [`LIFETIME_S`] later.
    pub expires_at: Timestamp,
    /// When was observed.
    pub period: Period,
    /// Every whole segment that was found, by its unpacked bytes; sorted. Those that say
    /// nothing that another does not say are among them: who leaves one out is noticed.
    pub inputs: Vec<Item>,
    /// [`crate::root`] of the inputs' hashes.
    pub merkle_root: Digest,
    /// Each set of maps that counted; sorted.
    pub hosts: Vec<Host>,
    /// Time without rates.
    pub gaps: Gaps,
    /// Packets that the program saw of those that the interfaces received.
    pub coverage_ppm: Option<u64>,
    /// Packets whose counts were evicted, of those tracked.
    pub evicted_ppm: Option<u64>,
    /// How sources were told apart.
    pub label_definition: String,
    /// SHA-256 of `settings.rules`: the set that was searched.
    pub searched_rules_sha256: Digest,
    /// SHA-256 of the canonical text of the set that was chosen.
    pub chosen_rules_sha256: Digest,
    /// Whether the search chose nothing, and the set is its safest thresholds instead.
    pub is_provisional: bool,
    /// Every threshold in the order in which the search came to it.
    pub search: Vec<SearchStep>,
    /// Every condition of the verdict.
    pub gates: Vec<Gate>,
    /// What must not be exceeded.
    pub limits: Limits,
    /// The answer.
    pub verdict: Verdict,
    /// Share of the sources to begin with, 1 to 100, with [`Verdict::ReadyCanary`] only.
    pub canary_percent: Option<u8>,
    /// The other files of the bundle: exactly [`FILES`].
    pub files: Vec<Item>,
    /// What it takes to compute the same again, beside the inputs.
    pub settings: Settings,
}

/// When was observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Period {
    /// Start of the first interval, wall clock.
    pub from_unix_ms: Option<u64>,
    /// End of the last one.
    pub to_unix_ms: Option<u64>,
    /// Time with rates, over all sets of maps.
    pub timed_ms: u64,
    /// Time without.
    pub untimed_ms: u64,
}

/// A set of maps, and how it is known that the program behind it only passes packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
    /// Digests of the programs that counted.
    pub program_sha256: Vec<String>,
    /// How strongly the maps are bound to them.
    pub evidence: Vec<String>,
    /// What was proven about them, and by what.
    pub proof: String,
    /// The days that were folded, UTC, `YYYY-MM-DD`; sorted.
    pub days: Vec<String>,
}

/// Time without rates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gaps {
    /// Stretches.
    pub count: u64,
    /// Their sum.
    pub total_ms: u64,
}

/// One threshold that the search came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchStep {
    /// The rule.
    pub rule: String,
    /// Index in its grid, 0 is the safest.
    pub index: u64,
    /// The threshold; absent for a rule without a grid.
    pub value: Option<u64>,
    /// Legitimate clusters affected.
    pub affected: u64,
    /// Of so many.
    pub clusters: u64,
    /// The upper bound of their share.
    pub upper_ppb: u64,
    /// Whether the search went on.
    pub is_accepted: bool,
}

/// One condition of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gate {
    /// Stable name.
    pub name: String,
    /// What failing it means.
    pub kind: GateKind,
    /// Measured; absent where nothing could be measured, which fails.
    pub value: Option<u64>,
    /// Smallest or largest value that passes.
    pub limit: u64,
    /// Whether the limit is the smallest value.
    pub is_minimum: bool,
    /// Unit of value and limit.
    pub unit: String,
    /// Whether it passed.
    pub is_passed: bool,
}

/// What failing a gate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// Too little was seen.
    Evidence,
    /// It would hurt, or could.
    Safety,
    /// It would not help.
    Benefit,
    /// A trial has to come first.
    Trial,
}

/// What must not be exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Largest share of legitimate clusters that may be affected.
    pub clusters_ppb: u64,
    /// Largest share of completed connections.
    pub connections_ppb: u64,
    /// Error that the bounds may make.
    pub alpha_ppb: u64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Verdict {
    /// Nothing can be said yet.
    InsufficientEvidence,
    /// The rules would hurt, or could.
    NotReady,
    /// Safe, but there is nothing to gain.
    NoBenefit,
    /// Safe enough to try on a share of the sources.
    ReadyCanary,
    /// Safe enough.
    Ready,
}

/// What it takes to compute the same again, beside the inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Length of a window.
    pub window_ns: u64,
    /// Canonical text of the rule set that was searched, with its allow list.
    pub rules: String,
    /// Which look at this stream of evidence it is, from 1.
    pub look: u64,
    /// Sources in the lists.
    pub top: u64,
    /// Their order.
    pub by: String,
}

impl Verdict {
    /// Whether enforcing is an option.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::ReadyCanary | Self::Ready)
    }
}
