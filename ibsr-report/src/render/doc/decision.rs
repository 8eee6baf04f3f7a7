// SPDX-License-Identifier: MIT OR Apache-2.0
//! The verdict with its reasons, the gates, the plan.

use ibsr_replay::model::{Decision, Gate, GateKind, Report, Verdict};

use super::{Block, Cell, Section, Style, Table, fact, numbers, units, words};
use crate::clock;

/// What a reader must have seen even who sees nothing else.
#[derive(Debug)]
pub struct Head {
    /// The verdict in words.
    pub title: &'static str,
    /// What it means.
    pub meaning: String,
    /// What to do now.
    pub next: &'static str,
    /// Whether and why some of the input is missing.
    pub not_whole: Option<&'static str>,
    /// Whether the numbers are of rules that were not accepted.
    pub provisional: Option<&'static str>,
    /// Where it was observed.
    pub hosts: String,
    /// When it was observed.
    pub period: String,
    /// By whom and when the report was made.
    pub made: String,
}

const PROVISIONAL: &str = "Provisional: no threshold of any rule could be accepted, so every \
    number here is of the safest threshold of every rule.";

/// Exit code of a run that ends with this report.
#[must_use]
pub const fn exit_code(report: &Report) -> u8 {
    if report.is_go() { 0 } else { 1 }
}

/// The head.
#[must_use]
pub fn head(report: &Report) -> Head {
    let verdict = report.decision.verdict;
    Head {
        title: title(verdict),
        meaning: meaning(report),
        next: next(verdict),
        not_whole: (!report.is_whole).then_some(
            "Not whole: there was no data, some of it could not be used, or it does not add up. \
             The section on the input says which.",
        ),
        provisional: report.is_provisional.then_some(PROVISIONAL),
        hosts: hosts(report),
        period: period(report),
        made: format!("Made {} by {}", report.generated_at, report.tool),
    }
}

pub(super) const fn title(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InsufficientEvidence => "Insufficient evidence",
        Verdict::NotReady => "Not ready",
        Verdict::NoBenefit => "No benefit",
        Verdict::ReadyCanary => "Ready for a canary",
        Verdict::Ready => "Ready",
    }
}

fn meaning(report: &Report) -> String {
    match report.decision.verdict {
        Verdict::InsufficientEvidence => {
            "Too little was observed to say whom the rules would hurt. Do not enforce them.".into()
        }
        Verdict::NotReady => {
            "The rules would hurt legitimate sources, or nobody can rule it out. Do not enforce them."
                .into()
        }
        Verdict::NoBenefit => {
            "The rules look safe, but there is next to nothing to gain. Do not enforce them.".into()
        }
        Verdict::ReadyCanary => {
            let share = report.decision.canary_percent;
            let share = share.map_or_else(|| "a small share".into(), |percent| format!("{percent} %"));
            format!("Every gate that allows a trial has passed: enforce on {share} of the source clusters and observe.")
        }
        Verdict::Ready => "Every gate has passed, and a trial ended within its budget.".into(),
    }
}

const fn next(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InsufficientEvidence => {
            "Keep observing, close the gaps named below, and make the report again."
        }
        Verdict::NotReady => {
            "Read which legitimate sources would be affected and why, then raise a threshold, add \
             a guard, or list the source as allowed."
        }
        Verdict::NoBenefit => {
            "Nothing to do. Make the report again after the next attack, or with other rules."
        }
        Verdict::ReadyCanary => {
            "Have the candidate rules reviewed, sign the evidence, and begin with the trial."
        }
        Verdict::Ready => "Have the candidate rules reviewed and sign the evidence.",
    }
}

fn hosts(report: &Report) -> String {
    let mut hosts: Vec<&str> = report.streams.iter().map(|stream| stream.host.as_str()).collect();
    hosts.sort_unstable();
    hosts.dedup();
    match hosts.as_slice() {
        [] => "No host".to_owned(),
        [one] => format!("Host {one}"),
        many => format!("{} hosts", many.len()),
    }
}

fn period(report: &Report) -> String {
    match (report.period.from_unix_ms, report.period.to_unix_ms) {
        (Some(from), Some(to)) => format!("{} to {}", clock::text(from), clock::text(to)),
        _ => "nothing was observed".to_owned(),
    }
}

/// Every gate: what it asks, its value, its limit, and whether it passed.
pub(super) fn gates(decision: &Decision, style: Style) -> Section {
    let gates = &decision.gates;
    let passed = gates.iter().filter(|gate| gate.is_passed).count();
    let table = Table {
        caption: "Each with its value and its limit".into(),
        columns: vec![
            words("gate"),
            numbers("value"),
            numbers("limit"),
            words("result"),
            words("if it fails"),
        ],
        rows: gates.iter().map(|gate| gate_row(gate, style)).collect(),
        left_out: 0,
    };
    let summary = format!("{passed} of {} gates passed.", gates.len());
    Section {
        id: "gates",
        title: "Gates",
        is_summary: true,
        blocks: vec![Block::Say(summary), Block::Table(table)],
    }
}

fn gate_row(gate: &Gate, style: Style) -> Vec<Cell> {
    let amount = |value| match gate.unit {
        ibsr_replay::model::Unit::Count => style.count(value),
        unit => units::amount(value, unit),
    };
    let relation = if gate.is_minimum { "at least" } else { "at most" };
    vec![
        Cell::text(gate.asks),
        Cell::Number(gate.value.map_or_else(|| "not known".to_owned(), amount)),
        Cell::Number(format!("{relation} {}", amount(gate.limit))),
        Cell::Flag(gate.is_passed, if gate.is_passed { "pass" } else { "fail" }),
        Cell::Time(match gate.kind {
            GateKind::Evidence => title(Verdict::InsufficientEvidence).to_owned(),
            GateKind::Safety => title(Verdict::NotReady).to_owned(),
            GateKind::Benefit => title(Verdict::NoBenefit).to_owned(),
            GateKind::Trial => "At most a canary".to_owned(),
        }),
    ]
}

/// With a capital letter and a full stop.
pub(super) fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str().trim_end_matches('.'))
}

/// What is missing; none where time would not help.
pub(super) fn plan(report: &Report, style: Style) -> Option<Section> {
    let plan = report.decision.plan.as_ref()?;
    let more = plan.more_days_milli.map_or_else(
        || "not known: no new clusters appear".to_owned(),
        |days| format!("{} days", units::milli(days)),
    );
    let facts = vec![
        fact("Legitimate clusters needed", style.count(plan.needed_clusters)),
        fact("Observed so far", style.count(plan.have_clusters)),
        fact("New ones a day", units::milli(plan.clusters_per_day_milli)),
        fact("More time for the bound", more),
        fact("More days for the hold-out", style.count(plan.more_whole_days)),
    ];
    Some(Section {
        id: "plan",
        title: "How much is missing",
        is_summary: true,
        blocks: vec![Block::Say(sentence(&plan.sentence)), Block::Facts(facts)],
    })
}
