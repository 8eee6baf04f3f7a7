// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as one value. Every renderer shows this and nothing else, so that no two of
//! them can disagree. Integers only, with the unit in the name; lists are sorted, so the
//! same inputs give the same value.
//!
//! `decision` is the verdict with its gates, `outcome` what the rules would have done to
//! whom, `observed` what was read and seen, `talk` who talked to whom.

mod decision;
mod observed;
mod outcome;
mod talk;

pub use decision::{Decision, Gate, GateKind, Plan, Settings, Unit, Verdict};
pub use observed::{
    Coverage, GapRow, Input, LabelBasis, Law, Loss, Period, Population, Refused, Rejected,
    StreamRow, ViolationRow,
};
pub use outcome::{
    AffectedRow, Bound, BucketRow, Capture, DayRow, Impact, PortRow, PrefixRow, RuleRow,
    Sensitivity, Share, SourceRow, Step, Surface, Threshold, TtlRow,
};
pub use talk::{AppName, AppRow, ErrorRow, FindingRow, PairRow, Passed, Talks};

use ibsr_proto::conservation::Totals;
use serde::Serialize;

/// Schema of the JSON.
pub const SCHEMA: &str = "ibsr-report/2";
/// Longest list of sources: what a person or a page can still take in.
pub const MAX_ROWS: usize = 10_000;
/// Longest list of any other kind.
pub const MAX_LISTED: usize = 1_000;

/// Everything a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Program and version.
    pub tool: String,
    /// When it was made, RFC 3339.
    pub generated_at: String,
    /// There was data, all of it could be used, and the conservation law holds.
    pub is_whole: bool,
    /// The verdict and what it rests on.
    pub decision: Decision,
    /// What was asked for.
    pub settings: Settings,
    /// The rules, in their order, with what each would have done.
    pub rules: Vec<RuleRow>,
    /// Whether no threshold could be accepted, so that all numbers below are those of the
    /// safest threshold of every rule.
    pub is_provisional: bool,
    /// The rule set that the numbers below are about, as TOML.
    pub candidate: String,
    /// Whom the candidate set would have hurt.
    pub surface: Surface,
    /// Whom it would have caught.
    pub capture: Capture,
    /// What it would have acted on.
    pub impact: Impact,
    /// How the answer moves with the definition of a legitimate source.
    pub sensitivity: Vec<Sensitivity>,
    /// Each day that was observed, in order.
    pub days: Vec<DayRow>,
    /// What was read.
    pub input: Input,
    /// When it was observed.
    pub period: Period,
    /// Frames by outcome over the observed time.
    pub totals: Totals,
    /// What of these is in no row of a source.
    pub loss: Loss,
    /// Against what the interfaces received.
    pub coverage: Coverage,
    /// Whether every packet is accounted for.
    pub law: Law,
    /// All sources together.
    pub population: Population,
    /// What their labels rest on.
    pub label_basis: LabelBasis,
    /// The busiest sources, at most [`MAX_ROWS`] or what was asked for.
    pub sources: Vec<SourceRow>,
    /// How many of them to show to people.
    #[serde(skip)]
    pub shown: usize,
    /// Each set of maps.
    pub streams: Vec<StreamRow>,
    /// Stretches without rates.
    pub gaps: Vec<GapRow>,
    /// Who talked to whom; none where no cgroup was observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub talks: Option<Talks>,
}

impl Report {
    /// Whether enforcing is an option and nothing of the input was lost: what exit code 0 means.
    #[must_use]
    pub const fn is_go(&self) -> bool {
        self.is_whole && self.decision.verdict.is_ready()
    }

    /// The sources to show to people.
    #[must_use]
    pub fn shown(&self) -> &[SourceRow] {
        &self.sources[..self.shown.min(self.sources.len())]
    }
}
