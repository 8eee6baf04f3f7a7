// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rules would have done, to whom, and how sure that is.

use ibsr_proto::addr::SourceAddr;
use serde::Serialize;

use crate::fold::counts::Counts;
use crate::judge::label::Label;
use crate::stats::bound;

/// The whole of a share.
const PPB: u64 = 1_000_000_000;

/// `part` of `whole`, and how large it could be in truth.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// Counted.
    pub part: u64,
    /// Out of.
    pub whole: u64,
    /// The share; absent where there is no whole.
    pub ppm: Option<u64>,
    /// The share if everything that was not attributed to a source belonged to it.
    pub at_most_ppm: Option<u64>,
}

/// `k` of `n` with a one-sided upper confidence bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Bound {
    /// Affected.
    pub k: u64,
    /// Of so many independent ones.
    pub n: u64,
    /// `k / n`; absent when `n` is 0.
    pub point_ppb: Option<u64>,
    /// Clopper-Pearson: gates look at this.
    pub upper_ppb: u64,
    /// Wilson, for comparison; too low at `k = 0`, so no gate looks at it.
    pub wilson_ppb: u64,
    /// Error that the bound may make.
    pub alpha_ppb: u64,
}

impl Bound {
    /// Of `k` in `n`.
    #[must_use]
    pub fn of(k: u64, n: u64, alpha_ppb: u64) -> Self {
        let point = u128::from(k) * u128::from(PPB);
        Self {
            k,
            n,
            point_ppb: point.checked_div(u128::from(n)).and_then(|p| u64::try_from(p).ok()),
            upper_ppb: bound::upper_ppb(k, n, alpha_ppb),
            wilson_ppb: bound::wilson_ppb(k, n, alpha_ppb),
            alpha_ppb,
        }
    }
}

/// Whom the candidate rules would have hurt.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Surface {
    /// Legitimate source clusters in the held-out days, unknown ones counted as legitimate.
    pub clusters: Bound,
    /// The same with unknown ones left out.
    pub clusters_known: Bound,
    /// The same clusters, each judged with the thresholds of the days before its own.
    pub clusters_rolling: Bound,
    /// Completed handshakes of legitimate sources in the held-out days.
    pub connections: Bound,
    /// Packets of legitimate sources. Shown, never gated: one large client dominates it.
    pub packets: Share,
    /// Bytes of legitimate sources.
    pub bytes: Share,
    /// The held-out day with the largest share.
    pub worst_day: Option<String>,
    /// Its share of affected clusters.
    pub worst_day_ppb: Option<u64>,
    /// Largest share of affected sources that one /16 or /40 holds.
    pub largest_prefix_ppm: Option<u64>,
    /// That prefix.
    pub largest_prefix: Option<String>,
    /// Sources of the operator's list that a rule would have acted on.
    pub allow_listed: u64,
    /// Legitimate or unknown sources that share a cluster with a source that would have been
    /// dropped.
    pub blast_radius: u64,
    /// Affected legitimate and unknown sources in all.
    pub affected: u64,
    /// The first of these, most handshakes first.
    pub top: Vec<AffectedRow>,
}

/// A source that would have been acted on, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AffectedRow {
    /// Remote address.
    pub src: SourceAddr,
    /// What it probably is.
    pub label: Label,
    /// What it sent in all.
    #[serde(flatten)]
    pub counts: Counts,
    /// Rules that would have acted.
    pub rules: Vec<String>,
    /// Days on which.
    pub days: Vec<String>,
    /// SYN in the time in which they acted.
    pub syn_acted: u64,
    /// Frames in this time.
    pub packets_acted: u64,
    /// Handshakes completed in this time.
    pub handshakes_acted: u64,
    /// SYN in its busiest complete window.
    pub peak_window_syn: Option<u64>,
    /// In one sentence.
    pub why: String,
}

/// Whom they would have caught.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Capture {
    /// Abusive sources in all.
    pub sources: u64,
    /// Of these acted on.
    pub sources_acted: u64,
    /// Frames of abusive sources while rules act, of all their frames.
    pub packets: Share,
    /// Of these frames, those that the actions would have taken away.
    pub packets_dropped: Share,
    /// From the first window that a rule counted to the first in which it acted, median.
    pub time_to_act_median_ms: Option<u64>,
    /// The same, 95th percentile.
    pub time_to_act_p95_ms: Option<u64>,
    /// Largest SYN rate over a bucket, thousandths of a SYN per second.
    pub peak_syn_before_mps: Option<u64>,
    /// The same without the SYN that would have been dropped.
    pub peak_syn_after_mps: Option<u64>,
    /// Abusive sources acted on, most SYN first.
    pub top: Vec<AffectedRow>,
}

/// What the candidate rules would have acted on, whoever sent it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Impact {
    /// Frames with a rate.
    pub packets: Share,
    /// Their bytes.
    pub bytes: Share,
    /// SYN.
    pub syn: Share,
    /// Completed handshakes: new connections.
    pub handshakes: Share,
    /// Frames in the hour with the largest share.
    pub worst_hour_packets: Share,
    /// Its start.
    pub worst_hour_unix_ms: Option<u64>,
    /// By destination port, most SYN acted on first.
    pub ports: Vec<PortRow>,
    /// By /24 and /56, most frames acted on first.
    pub prefixes: Vec<PrefixRow>,
    /// Over time, in order; buckets without frames are left out.
    pub series: Vec<BucketRow>,
    /// Length of a bucket of `series`.
    pub bucket_ms: u64,
}

/// What would have been acted on at a destination port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct PortRow {
    /// Destination port.
    pub port: u16,
    /// SYN acted on.
    pub syn_acted: u64,
    /// Frames acted on.
    pub packets_acted: u64,
}

/// What would have been acted on from a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrefixRow {
    /// /24 or /56.
    pub prefix: String,
    /// Sources in it that were seen.
    pub sources: u64,
    /// Of these acted on.
    pub sources_acted: u64,
    /// Of these legitimate or unknown.
    pub legitimate_acted: u64,
    /// Frames acted on.
    pub packets_acted: u64,
}

/// All streams over a stretch of time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct BucketRow {
    /// Its start, wall clock.
    pub at_unix_ms: u64,
    /// SYN of all sources.
    pub syn: u64,
    /// Frames of all sources.
    pub packets: u64,
    /// SYN while candidate rules act on their source.
    pub syn_acted: u64,
    /// Frames in this time.
    pub packets_acted: u64,
}

/// How the answer moves with the cut-off of the label.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Sensitivity {
    /// A source is legitimate when so many of 100 SYN completed a handshake.
    pub completed_percent: u64,
    /// Legitimate clusters alone.
    pub known: Bound,
    /// With unknown ones.
    pub with_unknown: Bound,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RuleRow {
    /// Its name.
    pub name: String,
    /// Its canonical text, with its grid.
    pub text: String,
    /// What it does, in a word.
    pub action: &'static str,
    /// What its thresholds are values of, as the rule language spells it; absent for a rule
    /// without a grid.
    pub grid_metric: Option<&'static str>,
    /// The chosen threshold; absent when the rule is not in the candidate set.
    pub chosen: Option<Threshold>,
    /// Whether it is in the candidate set.
    pub is_candidate: bool,
    /// Why it is not.
    pub why_not: Option<String>,
    /// Every threshold of the grid, safest first: false-positive bound and capture. The
    /// search stopped at the first one that was not accepted.
    pub path: Vec<Step>,
    /// At the chosen threshold, or the safest: sources acted on, by label.
    pub legitimate_acted: u64,
    /// Abusive ones.
    pub abusive_acted: u64,
    /// Those whose address was never proven to exist.
    pub spoofable_acted: u64,
    /// Unknown ones.
    pub unknown_acted: u64,
    /// Share of spoofable among those that would have been acted on.
    pub spoofable_ppm: Option<u64>,
    /// SYN acted on.
    pub syn: Share,
    /// Frames acted on.
    pub packets: Share,
    /// How long the action should last.
    pub ttl: Vec<TtlRow>,
    /// Shortest time with 95 % of the capture of the longest.
    pub shortest_ttl_s: Option<u64>,
}

/// A threshold of a grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Threshold {
    /// Index in the grid, 0 is the safest.
    pub index: usize,
    /// Its value; absent for a rule without a grid.
    pub value: Option<u64>,
}

/// One threshold, tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Which.
    pub threshold: Threshold,
    /// The candidate set so far with this threshold, over held-out clusters.
    pub clusters: Bound,
    /// Share of the abusive sources' frames in the time in which this rule alone acts.
    pub capture_ppm: Option<u64>,
    /// Whether the search came to it.
    pub is_tried: bool,
    /// Whether it was accepted.
    pub is_accepted: bool,
}

/// What a rule's action would have achieved had it lasted so long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TtlRow {
    /// How long.
    pub ttl_s: u64,
    /// Share of the abusive sources' frames in this time.
    pub capture_ppm: Option<u64>,
    /// Share of its sources that gave reason to act again after it had ended.
    pub again_ppm: Option<u64>,
}

/// One observed day.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DayRow {
    /// UTC date.
    pub date: String,
    /// Whether it is held out: every day but the first.
    pub is_held_out: bool,
    /// Legitimate or unknown clusters whose first held-out appearance it is.
    pub new_clusters: u64,
    /// Of these affected by the candidate set.
    pub affected: u64,
    /// Of these affected with the thresholds of the days before.
    pub affected_rolling: u64,
    /// Sources seen.
    pub sources: u64,
    /// SYN of all sources.
    pub syn: u64,
    /// SYN acted on.
    pub syn_acted: u64,
    /// Time with rates, over all streams.
    pub timed_ms: u64,
    /// Time without.
    pub untimed_ms: u64,
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
    /// SYN while candidate rules act on it.
    pub syn_acted: u64,
    /// Frames in this time.
    pub packets_acted: u64,
}
