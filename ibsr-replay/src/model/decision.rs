// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict, the gates behind it, and how far away the evidence is.

use std::fmt;

use serde::Serialize;

/// The answer. There is one; texts, pages and exit codes are made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Nothing can be said yet.
    InsufficientEvidence,
    /// The rules would hurt, or could.
    NotReady,
    /// Safe, but there is nothing to gain.
    NoBenefit,
    /// Safe enough to try on a share of the sources.
    ReadyCanary,
    /// Safe enough, and a trial ended within its budget.
    Ready,
}

impl Verdict {
    /// As people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientEvidence => "INSUFFICIENT_EVIDENCE",
            Self::NotReady => "NOT_READY",
            Self::NoBenefit => "NO_BENEFIT",
            Self::ReadyCanary => "READY_CANARY",
            Self::Ready => "READY",
        }
    }

    /// Whether enforcing is an option.
    #[must_use]
    pub const fn is_ready(self) -> bool {
        matches!(self, Self::ReadyCanary | Self::Ready)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The verdict with everything it rests on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The answer.
    pub verdict: Verdict,
    /// Share of the source clusters to begin with, where the answer is a trial.
    pub canary_percent: Option<u8>,
    /// Why not more: a sentence for each gate that decided, in the order of the gates.
    pub reasons: Vec<String>,
    /// The fixed sentence with its numbers.
    pub sentence: String,
    /// Every gate.
    pub gates: Vec<Gate>,
    /// What is missing, where more time would help.
    pub plan: Option<Plan>,
}

/// One condition of the verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gate {
    /// Stable name.
    pub name: &'static str,
    /// What failing it means.
    pub kind: GateKind,
    /// Measured; absent where nothing could be measured, which fails.
    pub value: Option<u64>,
    /// Smallest or largest value that passes.
    pub limit: u64,
    /// Whether the limit is the smallest value.
    pub is_minimum: bool,
    /// Unit of value and limit.
    pub unit: Unit,
    /// Whether it passed.
    pub is_passed: bool,
    /// What it asks, for people.
    pub asks: &'static str,
}

/// What failing a gate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GateKind {
    /// The verdict is [`Verdict::InsufficientEvidence`].
    Evidence,
    /// The verdict is [`Verdict::NotReady`].
    Safety,
    /// The verdict is [`Verdict::NoBenefit`].
    Benefit,
    /// The verdict is at most [`Verdict::ReadyCanary`].
    Trial,
}

/// Unit of a gate's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Parts per million.
    Ppm,
    /// Parts per thousand million.
    Ppb,
    /// Days.
    Days,
    /// A number of things.
    Count,
}

/// How much more has to be observed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Legitimate clusters that are needed at the present number of hits.
    pub needed_clusters: u64,
    /// Those that there are.
    pub have_clusters: u64,
    /// New ones a day, in thousandths.
    pub clusters_per_day_milli: u64,
    /// Days until there are enough clusters, in thousandths; absent when none come.
    pub more_days_milli: Option<u64>,
    /// Days with data that are needed for a hold-out, and are missing.
    pub more_whole_days: u64,
    /// The same as a sentence.
    pub sentence: String,
}

impl Plan {
    /// Whether time would help at all.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        self.have_clusters < self.needed_clusters || self.more_whole_days > 0
    }
}

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Length of a window.
    pub window_ms: u64,
    /// SHA-256 of the canonical rule set that was searched.
    pub rules_sha256: String,
    /// Which look at this stream of evidence it is, from 1.
    pub look: u32,
    /// Error that this look may spend.
    pub alpha_ppb: u64,
    /// Largest share of legitimate clusters that may be affected, with confidence.
    pub limit_ppb: u64,
    /// Largest share of completed connections.
    pub connection_limit_ppb: u64,
    /// Definition of the labels.
    pub labels: &'static str,
    /// Whether labels come from the connections that a second sensor saw.
    pub is_label_independent: bool,
    /// Whether a trial at a share of the sources ended within its budget.
    pub is_canary_done: bool,
}
