// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as one value. Every renderer shows this and nothing else, so that no two of
//! them can disagree. Integers only, with the unit in the name; lists are sorted, so the
//! same inputs give the same value.

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use serde::Serialize;

use crate::v1::fold::counts::Counts;
use crate::v1::fold::timeline::Why;
use crate::v1::label::Label;

/// Schema of the JSON.
pub const SCHEMA: &str = "ibsr-report/1";
/// Longest list of sources: what a person or a page can still take in.
pub const MAX_ROWS: usize = 10_000;

/// Everything a report says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// Program and version.
    pub tool: String,
    /// When it was made.
    pub generated_at: String,
    /// There was data, all of it could be used, and the conservation law holds.
    pub is_whole: bool,
    /// What was read.
    pub input: Input,
    /// When it was observed.
    pub period: Period,
    /// Frames by outcome since the epochs began.
    pub totals: Totals,
    /// What of these is in no row of a source.
    pub loss: Loss,
    /// Against what the interfaces received.
    pub coverage: Coverage,
    /// Whether every packet is accounted for.
    pub law: Law,
    /// All sources together.
    pub population: Population,
    /// The busiest sources, at most [`MAX_ROWS`] or what was asked for.
    pub sources: Vec<SourceRow>,
    /// How many of them to show to people.
    #[serde(skip)]
    pub shown: usize,
    /// What the rule would have done.
    pub rule: RuleOutcome,
    /// Each set of maps.
    pub streams: Vec<StreamRow>,
    /// Stretches without rates.
    pub gaps: Vec<GapRow>,
}

impl Report {
    /// The sources to show to people.
    #[must_use]
    pub fn shown(&self) -> &[SourceRow] {
        &self.sources[..self.shown.min(self.sources.len())]
    }
}

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Files found.
    pub segments_found: u64,
    /// Files whose rows were used.
    pub segments_used: u64,
    /// Files that say nothing that another does not say.
    pub segments_copied: u64,
    /// Files that could not be used.
    pub segments_refused: u64,
    /// Why, for the first ones.
    pub refused: Vec<Refused>,
    /// Unpacked bytes of the files that were used.
    pub bytes: u64,
    /// Sweeps used.
    pub sweeps: u64,
    /// Sweeps that another file had already.
    pub sweeps_duplicate: u64,
    /// Source rows used.
    pub rows: u64,
    /// Rows of types that this version does not know.
    pub rows_unknown: u64,
    /// Lines that are no rows, or contradict others.
    pub rows_rejected: u64,
    /// Why, for the first ones.
    pub rejected: Vec<Rejected>,
}

/// A file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refused {
    /// Its name.
    pub segment: String,
    /// Why.
    pub reason: String,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Name of the file.
    pub segment: String,
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// When it was observed. Times of several streams are added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Start of the first interval, wall clock.
    pub from_unix_ms: Option<u64>,
    /// End of the last one.
    pub to_unix_ms: Option<u64>,
    /// Time with rates.
    pub timed_ms: u64,
    /// Time between sweeps without rates.
    pub untimed_ms: u64,
}

/// Tracked packets that are in no row of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Packets in source rows.
    pub seen_packets: u64,
    /// Of these without a rate: counted before the first sweep, or over a gap.
    pub untimed_packets: u64,
    /// Evicted before any sweep saw them, or in files that are not here.
    pub unseen_packets: u64,
    /// Evicted at some time, seen or not.
    pub evicted_packets: u64,
    /// Share of `evicted_packets` in the tracked ones.
    pub evicted_ppm: Option<u64>,
}

/// Packets that the program passed, of those that the interface received.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Passed, between sweeps that know both.
    pub passed_packets: u64,
    /// Received.
    pub received_packets: u64,
    /// The share; absent where nothing is known.
    pub ppm: Option<u64>,
}

/// The conservation law.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Law {
    /// Sweeps checked.
    pub sweeps_checked: u64,
    /// Violations.
    pub violations: u64,
    /// The first ones.
    pub examples: Vec<ViolationRow>,
}

/// A broken law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViolationRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Sweep.
    pub seq: u64,
    /// What does not add up.
    pub reason: String,
}

/// All sources together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Population {
    /// Remote addresses.
    pub count: u64,
    /// Of these, by label.
    pub legitimate: u64,
    /// Of these, by label.
    pub abusive: u64,
    /// Of these, by label.
    pub spoofable: u64,
    /// Of these, by label.
    pub unknown: u64,
    /// Sum over all.
    pub counts: Counts,
}

/// One source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceRow {
    /// Remote address.
    pub src: SourceAddr,
    /// What it probably is.
    pub label: Label,
    /// What it sent.
    #[serde(flatten)]
    pub counts: Counts,
    /// Ports that it sent to, at most on any one host.
    pub ports: u32,
    /// SYN without a rate.
    pub untimed_syn: u64,
    /// SYN in its busiest complete window.
    pub peak_window_syn: Option<u64>,
    /// The same per second, rounded down.
    pub peak_syn_ps: Option<u64>,
    /// When that was.
    pub peak_at_unix_ms: Option<u64>,
}

/// What the rule would have done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleOutcome {
    /// The rule.
    pub rule: RuleText,
    /// SYN with a rate: those that the rule could have judged.
    pub syn_timed: u64,
    /// SYN that would have been dropped.
    pub syn_acted: u64,
    /// Their share.
    pub syn_acted_ppm: Option<u64>,
    /// Handshakes completed in windows that would have been acted on.
    pub handshakes_acted: u64,
    /// Sources that would have been acted on.
    pub sources_acted: u64,
    /// Legitimate sources among these (k).
    pub legitimate_acted: u64,
    /// Legitimate sources in all (n).
    pub legitimate: u64,
    /// The same with unknown sources counted as legitimate.
    pub legitimate_or_unknown_acted: u64,
    /// The same in all.
    pub legitimate_or_unknown: u64,
    /// Sources acted on, most SYN first, at most [`MAX_ROWS`].
    pub acted: Vec<ActedRow>,
}

/// The rule in words and numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleText {
    /// Name.
    pub name: &'static str,
    /// SYN per second and source.
    pub syn_ps: u64,
    /// Windows in a row.
    pub windows: u32,
    /// Length of a window.
    pub window_ms: u64,
    /// Windows between the last one judged and the first one acted on, where sweeps are no
    /// longer than a window.
    pub delay_windows: u64,
    /// How long it acts.
    pub ttl_ms: u64,
    /// What it does.
    pub action: &'static str,
}

/// A source that would have been acted on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ActedRow {
    /// Remote address.
    pub src: SourceAddr,
    /// What it probably is.
    pub label: Label,
    /// SYN in the whole period.
    pub syn: u64,
    /// SYN that would have been dropped.
    pub syn_acted: u64,
    /// Handshakes completed in these windows.
    pub handshakes_acted: u64,
    /// Windows in which it sent something while it was acted on.
    pub windows_acted: u64,
    /// Start of the first of these.
    pub first_unix_ms: u64,
    /// End of the last one.
    pub last_unix_ms: u64,
}

/// One set of maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
    /// Digests of the programs that counted: more than one after an upgrade.
    pub program_sha256: Vec<String>,
    /// How strongly the maps are bound to them.
    pub evidence: Vec<String>,
    /// Sweeps used.
    pub sweeps: u64,
    /// Start of the first interval, wall clock.
    pub from_unix_ms: Option<u64>,
    /// End of the last one.
    pub to_unix_ms: Option<u64>,
    /// Frames by outcome since the epoch began.
    pub totals: Totals,
    /// SYN by window; windows without SYN are left out.
    pub windows: Vec<WindowRow>,
}

/// One window of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WindowRow {
    /// Wall clock at its start.
    pub at_unix_ms: u64,
    /// SYN of all sources.
    pub syn: u64,
    /// SYN that would have been dropped.
    pub syn_acted: u64,
    /// Whether the observation covers all of it.
    pub is_complete: bool,
}

/// A stretch without rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Start, wall clock.
    pub from_unix_ms: u64,
    /// End, wall clock.
    pub to_unix_ms: u64,
    /// Start on the boot clock; absent between two boots or epochs.
    pub from_boot_ns: Option<u64>,
    /// End on the boot clock.
    pub to_boot_ns: Option<u64>,
    /// Why.
    pub reason: Why,
    /// Segment that was dropped or damaged.
    pub segment: Option<String>,
}
