// SPDX-License-Identifier: MIT OR Apache-2.0
//! The gates, and the one verdict that follows from them.

use super::words;
use crate::model::{Decision, Gate, GateKind, Plan, Unit, Verdict};

/// Part of the received packets that the sensor must have seen.
const MIN_COVERAGE_PPM: u64 = 999_000;
/// Part of the tracked packets that may have been evicted.
const MAX_EVICTED_PPM: u64 = 1_000;
/// Part of the tracked packets that may be in no row of a source.
const MAX_UNSEEN_PPM: u64 = 1_000;
/// Part of the time that may be without rates.
const MAX_GAPS_PPM: u64 = 10_000;
/// Days that must have been observed: a week has its own shape.
pub const MIN_DAYS: u64 = 7;
/// Part of the rows that may have been rejected.
const MAX_REJECTED_PPM: u64 = 1_000;
/// Part of the affected sources that may be of one network.
const MAX_NETWORK_PPM: u64 = 200_000;
/// Affected sources from which on their spread says anything.
pub const MIN_SPREAD: u64 = 10;
/// The worst day may be so many times the limit.
const WORST_DAY: u64 = 3;
/// Part of the dropped sources that may have been spoofed.
pub const MAX_SPOOFED_PPM: u64 = 500_000;
/// Part of the days of interfaces beside which connections must have been seen: labels that
/// rest on both sensors here and on one there are a proxy.
const MIN_LABELLED_PPM: u64 = 1_000_000;
/// Part of the handshakes that must have a known connection. Some never have one: a queue that
/// was full, a handshake that was guessed, the last sweep. Where more than one of twenty has
/// none, the cgroup is not where the traffic of the interface goes.
const MIN_KNOWN_PPM: u64 = 950_000;
/// Part of the abusive packets that must have been caught.
const MIN_CAPTURE_PPM: u64 = 100_000;

/// Everything that gates look at.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// Sweeps.
    pub sweeps: u64,
    /// Packets seen of those received.
    pub coverage_ppm: Option<u64>,
    /// Packets evicted of those tracked.
    pub evicted_ppm: Option<u64>,
    /// Packets in no row of a source, of those tracked.
    pub unseen_ppm: Option<u64>,
    /// Time without rates.
    pub gaps_ppm: Option<u64>,
    /// Days with data.
    pub days: u64,
    /// Legitimate clusters on held-out days.
    pub clusters: u64,
    /// So many would be needed if none were affected.
    pub clusters_needed: u64,
    /// Rows rejected.
    pub rejected_ppm: Option<u64>,
    /// Segments refused.
    pub refused: u64,
    /// Violations of the conservation law.
    pub violations: u64,
    /// Streams whose program is not known to have been proven.
    pub unproven: u64,
    /// Bound over clusters.
    pub upper_ppb: u64,
    /// Bound with the thresholds of the days before.
    pub rolling_ppb: u64,
    /// Bound over connections.
    pub connections_ppb: u64,
    /// Sources of the operator's list.
    pub allow_listed: u64,
    /// Share of one network.
    pub network_ppm: u64,
    /// Worst day.
    pub worst_day_ppb: u64,
    /// Largest share of spoofed sources over the chosen drop rules.
    pub spoofed_ppm: u64,
    /// Rules in the candidate set.
    pub candidates: u64,
    /// Abusive sources.
    pub abusive: u64,
    /// Abusive packets caught.
    pub capture_ppm: Option<u64>,
    /// Days of interfaces beside which another sensor saw connections.
    pub labelled_ppm: Option<u64>,
    /// Handshakes of which it knows the connection.
    pub known_ppm: Option<u64>,
    /// Whether a trial ended well.
    pub is_canary_done: bool,
    /// Largest share of clusters that may be affected.
    pub limit_ppb: u64,
    /// Largest share of connections.
    pub connection_limit_ppb: u64,
}

/// The gates in the order in which they are shown.
#[must_use]
pub fn gates(m: &Measured) -> Vec<Gate> {
    let mut gates = evidence(m);
    gates.extend(safety(m));
    gates.extend(benefit(m));
    gates
}

fn evidence(m: &Measured) -> Vec<Gate> {
    use GateKind::Evidence;
    use Unit::{Count, Days, Ppm};
    vec![
        least("sweeps", Evidence, Count, Some(m.sweeps), 1, "sweeps that were observed"),
        least(
            "coverage",
            Evidence,
            Ppm,
            m.coverage_ppm,
            MIN_COVERAGE_PPM,
            "packets seen by the sensor",
        ),
        most(
            "evicted",
            Evidence,
            Ppm,
            m.evicted_ppm,
            MAX_EVICTED_PPM,
            "packets evicted from the table",
        ),
        most(
            "unseen",
            Evidence,
            Ppm,
            m.unseen_ppm,
            MAX_UNSEEN_PPM,
            "packets in no row of a source",
        ),
        most("gaps", Evidence, Ppm, m.gaps_ppm, MAX_GAPS_PPM, "time without rates"),
        least("days", Evidence, Days, Some(m.days), MIN_DAYS, "days with data"),
        least(
            "clusters",
            Evidence,
            Count,
            Some(m.clusters),
            m.clusters_needed,
            "legitimate clusters on held-out days",
        ),
        most("rejected", Evidence, Ppm, m.rejected_ppm, MAX_REJECTED_PPM, "rows rejected"),
        most("refused", Evidence, Count, Some(m.refused), 0, "segments that could not be used"),
        most("law", Evidence, Count, Some(m.violations), 0, "violations of the conservation law"),
        most(
            "program",
            Evidence,
            Count,
            Some(m.unproven),
            0,
            "streams without a proven, sealed program",
        ),
    ]
}

fn safety(m: &Measured) -> Vec<Gate> {
    use GateKind::Safety;
    use Unit::{Count, Ppb, Ppm};
    vec![
        most(
            "false_positives",
            Safety,
            Ppb,
            Some(m.upper_ppb),
            m.limit_ppb,
            "clusters affected, upper bound",
        ),
        most(
            "rolling",
            Safety,
            Ppb,
            Some(m.rolling_ppb),
            m.limit_ppb,
            "clusters affected with earlier days' thresholds, upper bound",
        ),
        most(
            "connections",
            Safety,
            Ppb,
            Some(m.connections_ppb),
            m.connection_limit_ppb,
            "completed connections affected, upper bound",
        ),
        most(
            "allow_list",
            Safety,
            Count,
            Some(m.allow_listed),
            0,
            "sources of the operator's list affected",
        ),
        most(
            "one_network",
            Safety,
            Ppm,
            Some(m.network_ppm),
            MAX_NETWORK_PPM,
            "affected sources in one network",
        ),
        most(
            "worst_day",
            Safety,
            Ppb,
            Some(m.worst_day_ppb),
            m.limit_ppb.saturating_mul(WORST_DAY),
            "clusters affected on the worst day",
        ),
        most(
            "spoofed",
            Safety,
            Ppm,
            Some(m.spoofed_ppm),
            MAX_SPOOFED_PPM,
            "spoofed sources among the dropped",
        ),
    ]
}

fn benefit(m: &Measured) -> Vec<Gate> {
    use GateKind::{Benefit, Trial};
    use Unit::{Count, Ppm};
    vec![
        least("abusive", Benefit, Count, Some(m.abusive), 1, "abusive sources"),
        least("candidates", Benefit, Count, Some(m.candidates), 1, "rules that catch something"),
        least("capture", Benefit, Ppm, m.capture_ppm, MIN_CAPTURE_PPM, "abusive packets caught"),
        least(
            "labels",
            Trial,
            Ppm,
            m.labelled_ppm,
            MIN_LABELLED_PPM,
            "days of interfaces with the sensor of a cgroup beside them",
        ),
        least(
            "handshakes_known",
            Trial,
            Ppm,
            m.known_ppm,
            MIN_KNOWN_PPM,
            "handshakes of which that sensor knows the connection",
        ),
        least(
            "canary",
            Trial,
            Count,
            Some(u64::from(m.is_canary_done)),
            1,
            "trials that ended within their budget",
        ),
    ]
}

/// Whether labels are independent of the counters that judge: by connections, everywhere.
#[must_use]
pub fn is_label_independent(labelled_ppm: Option<u64>, known_ppm: Option<u64>) -> bool {
    labelled_ppm.is_some_and(|ppm| ppm >= MIN_LABELLED_PPM)
        && known_ppm.is_some_and(|ppm| ppm >= MIN_KNOWN_PPM)
}

/// A gate whose limit is the smallest value that passes.
pub(crate) fn least(
    name: &'static str,
    kind: GateKind,
    unit: Unit,
    value: Option<u64>,
    limit: u64,
    asks: &'static str,
) -> Gate {
    let is_passed = value.is_some_and(|value| value >= limit);
    Gate { name, kind, value, limit, is_minimum: true, unit, is_passed, asks }
}

/// A gate whose limit is the largest value that passes.
pub(crate) fn most(
    name: &'static str,
    kind: GateKind,
    unit: Unit,
    value: Option<u64>,
    limit: u64,
    asks: &'static str,
) -> Gate {
    let is_passed = value.is_some_and(|value| value <= limit);
    Gate { name, kind, value, limit, is_minimum: false, unit, is_passed, asks }
}

/// The kinds in the order in which they decide, with the verdict of each.
const KINDS: [(GateKind, Verdict); 4] = [
    (GateKind::Evidence, Verdict::InsufficientEvidence),
    (GateKind::Safety, Verdict::NotReady),
    (GateKind::Benefit, Verdict::NoBenefit),
    (GateKind::Trial, Verdict::ReadyCanary),
];

/// The verdict, and the gates that it follows from: the first kind with a failure decides.
fn verdict(gates: &[Gate]) -> (Verdict, Vec<&Gate>) {
    let failed = |kind| gates.iter().filter(move |gate| gate.kind == kind && !gate.is_passed);
    let first = KINDS.into_iter().find(|(kind, _)| failed(*kind).next().is_some());
    first.map_or((Verdict::Ready, Vec::new()), |(kind, verdict)| (verdict, failed(kind).collect()))
}

/// Puts the decision together.
#[must_use]
pub fn decide(measured: &Measured, sentence: String, plan: Option<Plan>) -> Decision {
    let worst_ppb = measured.upper_ppb.max(measured.rolling_ppb);
    conclude(gates(measured), canary_percent(worst_ppb, measured.limit_ppb), sentence, plan)
}

/// The decision that follows from gates; `canary_percent` is for where it is a trial.
#[must_use]
pub(crate) fn conclude(
    gates: Vec<Gate>,
    canary_percent: u8,
    sentence: String,
    plan: Option<Plan>,
) -> Decision {
    let (verdict, failed) = verdict(&gates);
    Decision {
        verdict,
        canary_percent: (verdict == Verdict::ReadyCanary).then_some(canary_percent),
        reasons: failed.into_iter().map(words::failed).collect(),
        sentence,
        plan: plan.filter(|plan| verdict == Verdict::InsufficientEvidence && plan.is_missing()),
        gates,
    }
}

/// The further the bound is below its limit, the larger the first share.
pub(crate) const fn canary_percent(upper_ppb: u64, limit_ppb: u64) -> u8 {
    match limit_ppb / if upper_ppb == 0 { 1 } else { upper_ppb } {
        0 | 1 => 1,
        2..5 => 5,
        _ => 10,
    }
}

#[cfg(test)]
#[path = "gates_tests.rs"]
mod tests;
