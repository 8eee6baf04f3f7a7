// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conditions of the verdict about a policy, in the order in which they are shown. The
//! verdict itself follows from them as it does for rules about sources.

use crate::judge::gates::{MIN_DAYS, least, most};
use crate::model::{Gate, GateKind, Unit};

/// Part of the tracked packets that may be in no flow.
const MAX_LOST_PPM: u64 = 1_000;
/// Part of the time that nobody may vouch for.
const MAX_GAPS_PPM: u64 = 10_000;
/// Part of the rows that may have been rejected.
const MAX_REJECTED_PPM: u64 = 1_000;
/// Part of the flows that may be without a verdict.
const MAX_UNJUDGED_PPM: u64 = 1_000;
/// How long the guard has to rehearse: what a day brings it has met.
const MIN_REHEARSED_DAYS: u64 = 1;
/// The worst day may be so many times the limit.
const WORST_DAY: u64 = 3;

/// Everything that the gates look at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    pub(super) sweeps: u64,
    pub(super) packets_lost_ppm: Option<u64>,
    pub(super) flows_lost_ppm: Option<u64>,
    pub(super) gaps_ppm: Option<u64>,
    pub(super) days: u64,
    pub(super) destinations: u64,
    pub(super) destinations_needed: u64,
    pub(super) rejected_ppm: Option<u64>,
    pub(super) refused: u64,
    pub(super) violations: u64,
    pub(super) unproven: u64,
    pub(super) unresolved: u64,
    pub(super) unjudged_ppm: Option<u64>,
    pub(super) upper_ppb: u64,
    pub(super) connections_ppb: u64,
    pub(super) worst_day_ppb: Option<u64>,
    pub(super) cut_off: u64,
    pub(super) clients_lost: u64,
    pub(super) denials: u64,
    pub(super) rehearsed_days: u64,
    pub(super) rehearsed: u64,
    pub(super) rehearsed_needed: u64,
    /// None where nothing was rehearsed: then there is nothing to differ.
    pub(super) differences: Option<u64>,
    pub(super) records_lost: u64,
    pub(super) limit_ppb: u64,
    pub(super) connection_limit_ppb: u64,
}

pub(super) fn gates(m: &Measured) -> Vec<Gate> {
    let mut gates = evidence(m);
    gates.extend(safety(m));
    gates.push(least(
        "denies",
        GateKind::Benefit,
        Unit::Count,
        Some(m.denials),
        1,
        "ways in which the policy denies",
    ));
    gates.push(least(
        "rehearsed_days",
        GateKind::Trial,
        Unit::Days,
        Some(m.rehearsed_days),
        MIN_REHEARSED_DAYS,
        "whole days in which the guard rehearsed this policy",
    ));
    gates.push(least(
        "rehearsed",
        GateKind::Trial,
        Unit::Count,
        Some(m.rehearsed),
        m.rehearsed_needed,
        "flows that the guard has judged too",
    ));
    gates
}

fn evidence(m: &Measured) -> Vec<Gate> {
    use Unit::{Count, Days, Ppm};
    let least =
        |name, unit, value, limit, asks| least(name, GateKind::Evidence, unit, value, limit, asks);
    let most =
        |name, unit, value, limit, asks| most(name, GateKind::Evidence, unit, value, limit, asks);
    let mut gates = vec![
        least("sweeps", Count, Some(m.sweeps), 1, "sweeps that were observed"),
        most("packets_lost", Ppm, m.packets_lost_ppm, MAX_LOST_PPM, "packets in no flow"),
        most("flows_lost", Ppm, m.flows_lost_ppm, MAX_LOST_PPM, "flows that nobody read"),
        most("gaps", Ppm, m.gaps_ppm, MAX_GAPS_PPM, "time that nobody vouches for"),
        least("days", Days, Some(m.days), MIN_DAYS, "days with data"),
        least(
            "destinations",
            Count,
            Some(m.destinations),
            m.destinations_needed,
            "destinations in use",
        ),
        most("rejected", Ppm, m.rejected_ppm, MAX_REJECTED_PPM, "rows rejected"),
        most("refused", Count, Some(m.refused), 0, "segments that could not be used"),
        most("law", Count, Some(m.violations), 0, "violations of the conservation law"),
        most("program", Count, Some(m.unproven), 0, "streams without a proven, sealed program"),
        most("unresolved", Count, Some(m.unresolved), 0, "names that nobody looked up"),
        most("unjudged", Ppm, m.unjudged_ppm, MAX_UNJUDGED_PPM, "flows without a verdict"),
    ];
    if m.differences.is_some() {
        let asks = "verdicts of the rehearsal that were lost";
        gates.push(most("records_lost", Count, Some(m.records_lost), 0, asks));
    }
    gates
}

fn safety(m: &Measured) -> Vec<Gate> {
    use Unit::{Count, Ppb};
    let most =
        |name, unit, value, limit, asks| most(name, GateKind::Safety, unit, value, limit, asks);
    let mut gates = vec![
        most(
            "false_positives",
            Ppb,
            Some(m.upper_ppb),
            m.limit_ppb,
            "destinations in use that would be lost, upper bound",
        ),
        most(
            "connections",
            Ppb,
            Some(m.connections_ppb),
            m.connection_limit_ppb,
            "completed connections that would be denied, upper bound",
        ),
        most(
            "worst_day",
            Ppb,
            m.worst_day_ppb,
            m.limit_ppb.saturating_mul(WORST_DAY),
            "destinations lost on the worst day",
        ),
        most(
            "cut_off",
            Count,
            Some(m.cut_off),
            0,
            "applications that would lose every destination",
        ),
        most("clients", Count, Some(m.clients_lost), 0, "clients that would be lost"),
    ];
    if let Some(differences) = m.differences {
        let asks = "flows about which rehearsal and prediction differ";
        gates.push(most("rehearsal", Count, Some(differences), 0, asks));
    }
    gates
}
