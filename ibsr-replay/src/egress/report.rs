// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the report about a policy together.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::facts::{Facts, StreamFacts};
use super::gates::{Measured, gates};
use super::lists::Lists;
use super::model::{
    DataLoss, EgressDay, EgressReport, EgressRule, EgressSettings, EgressStream, EgressSurface,
    FlowTotals, MAX_LISTED, Rehearsal, SCHEMA,
};
use super::rehearsal::Rehearsed;
use super::twin::{Fate, Twin};
use super::units::{Flags, Unit, Units, Who, units};
use super::words;
use crate::fold::horizon::DAY_MS;
use crate::judge::gates::{MIN_DAYS, canary_percent, conclude};
use crate::judge::streams::ppm;
use crate::judge::words::date;
use crate::model::{Bound, Input, Period, Plan};
use crate::stats::bound::needed;
use crate::stats::plan;

/// Name of what decides where no rule does.
pub const DEFAULT: &str = "default";
const PPB: u64 = 1_000_000_000;

/// A rule as its policy has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleName {
    /// Line, from 1.
    pub line: u64,
    /// What messages call it.
    pub name: String,
    /// What it does, in a word.
    pub action: String,
}

/// What the report is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// Program and version.
    pub tool: String,
    /// When it is made.
    pub now: Timestamp,
    /// What was asked for.
    pub settings: EgressSettings,
    /// SHA-256 of the canonical text of the policy.
    pub policy_sha256: String,
    /// Its rules, in their order.
    pub rules: Vec<RuleName>,
    /// What its default for what goes out does, in a word.
    pub default_action: String,
    /// What it names and nobody looked up.
    pub unresolved: Vec<String>,
    /// Host label.
    pub host: String,
    /// Cgroup whose processes are judged.
    pub cgroup: String,
}

impl About {
    pub(super) fn rule_name(&self, rule: Option<u32>) -> &str {
        let named = rule.and_then(|rule| self.rules.get(rule as usize));
        named.map_or(DEFAULT, |rule| rule.name.as_str())
    }

    pub(super) fn is_intended(&self, rule: Option<u32>) -> bool {
        let name = self.rule_name(rule);
        self.settings.intended.iter().any(|intended| intended == name)
    }
}

/// Makes the report. `input` knows about files; the rest of it is filled in.
#[must_use]
pub fn report(
    about: &About,
    twin: &Twin,
    facts: &Facts,
    mut input: Input,
    rehearsed: Option<&Rehearsed>,
) -> EgressReport {
    let streams = || facts.streams.values();
    input.sweeps = streams().map(|stream| stream.sweeps).sum();
    input.rows = streams().map(|stream| stream.rows).sum();
    input.rows_rejected = streams().map(|stream| stream.rejected).sum();
    let flags = Flags::of(&facts.findings);
    let units = units(facts, &flags, |rule| about.is_intended(rule));
    let flows = totals(about, facts);
    let days = days(facts, &units);
    let surface = surface(about, &units, &days);
    let lost = data_loss(facts);
    let rehearsal = rehearsed.map(|rehearsed| rehearsed.told(&facts.compared));
    let measured = measured(about, twin, facts, &input, (&flows, &surface, &lost), &rehearsal);
    let observed_days = measured.days;
    let plan = plan_of(about, &surface.destinations, observed_days);
    let sentence = words::sentence(&surface.destinations, observed_days, lost.flows_lost_ppm);
    let percent = canary_percent(surface.destinations.upper_ppb, about.settings.limit_ppb);
    let decision = conclude(gates(&measured), percent, sentence, Some(plan));
    let lists = Lists::of(about, facts, &flags);
    EgressReport {
        schema: SCHEMA,
        tool: about.tool.clone(),
        generated_at: about.now.to_string(),
        is_whole: input.sweeps > 0
            && input.segments_refused == 0
            && input.rows_rejected == 0
            && lost.violations == 0
            && flows.is_conserved(),
        decision,
        settings: about.settings.clone(),
        policy_sha256: about.policy_sha256.clone(),
        host: about.host.clone(),
        cgroup: about.cgroup.trim_matches('/').to_owned(),
        unresolved: about.unresolved.clone(),
        rules: rules(about, facts, &units),
        flows,
        surface,
        days,
        losses_known: lists.losses.len() as u64,
        losses: lists.losses.into_iter().take(MAX_LISTED).collect(),
        denials_known: lists.denials.len() as u64,
        denials: lists.denials.into_iter().take(MAX_LISTED).collect(),
        unjudged_known: lists.unjudged.len() as u64,
        unjudged: lists.unjudged.into_iter().take(MAX_LISTED).collect(),
        input,
        period: period(facts),
        losses_of_data: lost,
        streams: facts.streams.iter().map(|(id, stream)| stream_row(id, stream)).collect(),
        rehearsal,
    }
}

fn totals(about: &About, facts: &Facts) -> FlowTotals {
    let mut totals = FlowTotals::default();
    for (pair, counted) in &facts.pairs {
        let flows = counted.tally.connections;
        totals.flows += flows;
        totals.completed += counted.completed;
        match pair.fate {
            Fate::Exempt => totals.exempt += flows,
            Fate::Allowed(_) => totals.allowed += flows,
            Fate::Denied(rule) => {
                totals.would_deny += flows;
                totals.completed_denied += counted.completed;
                totals.would_deny_intended += if about.is_intended(rule) { flows } else { 0 };
            }
            Fate::Unjudged(_) => totals.unjudged += flows,
        }
    }
    totals.judged = totals.exempt + totals.allowed + totals.would_deny;
    totals
}

fn days(facts: &Facts, units: &Units) -> Vec<EgressDay> {
    let mut all: BTreeMap<u32, (u64, u64, u64)> = BTreeMap::new();
    for counted in facts.pairs.values() {
        for (day, (flows, _)) in &counted.days {
            all.entry(*day).or_default().0 += flows;
        }
    }
    for unit in units.out.values() {
        for (day, (completed, lost)) in unit.days.iter().filter(|(_, (all, _))| *all > 0) {
            debug_assert!(lost <= completed);
            let own = all.entry(*day).or_default();
            own.1 += 1;
            own.2 += u64::from(*lost > 0);
        }
    }
    let row = |(day, (flows, destinations, destinations_lost))| EgressDay {
        date: date(day),
        flows,
        destinations,
        destinations_lost,
    };
    all.into_iter().map(row).collect()
}

fn surface(about: &About, units: &Units, days: &[EgressDay]) -> EgressSurface {
    let alpha_ppb = about.settings.alpha_ppb;
    let bound = |counts: &dyn Fn(&Unit) -> bool| {
        let counted = || units.out.values().filter(|unit| counts(unit));
        let k = counted().filter(|unit| unit.is_lost()).count() as u64;
        Bound::of(k, counted().count() as u64, alpha_ppb)
    };
    let mut apps: BTreeMap<&Who, (u64, u64)> = BTreeMap::new();
    for ((who, _), unit) in &units.out {
        let own = apps.entry(who).or_default();
        own.0 += 1;
        own.1 += u64::from(unit.is_lost());
    }
    let count = |is: &dyn Fn(&(u64, u64)) -> bool| apps.values().filter(|of| is(of)).count() as u64;
    let share = |day: &EgressDay| {
        let part = u128::from(day.destinations_lost) * u128::from(PPB);
        u64::try_from(part.checked_div(u128::from(day.destinations))?).ok()
    };
    let shares = days.iter().filter_map(|day| Some((share(day)?, Reverse(&day.date))));
    let worst = shares.max();
    let is_meant = |unit: &&Unit| unit.intended > 0 && !unit.is_lost();
    EgressSurface {
        destinations: bound(&|_| true),
        destinations_unflagged: bound(&|unit| !unit.is_flagged),
        connections: Bound::of(units.connections.1, units.connections.0, alpha_ppb),
        intended: units.out.values().filter(is_meant).count() as u64,
        clients_lost: units.come.values().filter(|unit| unit.is_lost()).count() as u64,
        clients: units.come.len() as u64,
        applications_hurt: count(&|(_, lost)| *lost > 0),
        applications_cut_off: count(&|(all, lost)| lost == all),
        applications: apps.len() as u64,
        worst_day: worst.map(|(_, date)| date.0.clone()),
        worst_day_ppb: worst.map(|(share, _)| share),
    }
}

fn data_loss(facts: &Facts) -> DataLoss {
    let sum = |of: fn(&StreamFacts) -> u64| facts.streams.values().map(of).sum::<u64>();
    let flows_lost = sum(StreamFacts::flows_lost);
    let packets_lost = sum(|stream| stream.evicted_packets);
    let rows_rejected = sum(|stream| stream.rejected);
    let span_ns = sum(|stream| stream.span.map_or(0, |span| span.len_ns()));
    let cover_ns = sum(|stream| stream.cover.iter().map(|over| over.len_ns()).sum());
    DataLoss {
        flows_lost,
        flows_lost_ppm: ppm(flows_lost, sum(|stream| stream.flows_made)),
        packets_lost,
        packets_lost_ppm: ppm(packets_lost, sum(|stream| stream.tracked_packets)),
        other_packets: sum(|stream| stream.other_packets),
        rows_rejected,
        rows_rejected_ppm: ppm(rows_rejected, sum(|stream| stream.rows)),
        gaps_ppm: ppm(span_ns.saturating_sub(cover_ns), span_ns),
        violations: sum(|stream| stream.violations),
    }
}

fn measured(
    about: &About,
    twin: &Twin,
    facts: &Facts,
    input: &Input,
    (flows, surface, lost): (&FlowTotals, &EgressSurface, &DataLoss),
    rehearsal: &Option<Rehearsal>,
) -> Measured {
    let EgressSettings { limit_ppb, connection_limit_ppb, alpha_ppb, .. } = about.settings;
    let days: BTreeSet<u32> =
        facts.streams.values().flat_map(|stream| stream.days.iter().copied()).collect();
    let unproven = facts.streams.values().filter(|stream| !stream.is_proven()).count() as u64;
    Measured {
        sweeps: input.sweeps,
        packets_lost_ppm: lost.packets_lost_ppm,
        flows_lost_ppm: lost.flows_lost_ppm,
        gaps_ppm: lost.gaps_ppm,
        days: days.len() as u64,
        destinations: surface.destinations.n,
        destinations_needed: needed(0, limit_ppb, alpha_ppb),
        rejected_ppm: lost.rows_rejected_ppm,
        refused: input.segments_refused,
        violations: lost.violations,
        unproven,
        unresolved: about.unresolved.len() as u64,
        unjudged_ppm: ppm(flows.unjudged, flows.flows),
        upper_ppb: surface.destinations.upper_ppb,
        connections_ppb: surface.connections.upper_ppb,
        worst_day_ppb: surface.worst_day_ppb,
        cut_off: surface.applications_cut_off,
        clients_lost: surface.clients_lost,
        denials: twin.denials(),
        rehearsed_days: rehearsal.as_ref().map_or(0, |said| said.covered_ms / DAY_MS),
        rehearsed: rehearsal.as_ref().map_or(0, |said| said.flows),
        rehearsed_needed: needed(0, connection_limit_ppb, alpha_ppb),
        differences: rehearsal.as_ref().map(Rehearsal::differences),
        records_lost: rehearsal.as_ref().map_or(0, |said| said.records_lost),
        limit_ppb,
        connection_limit_ppb,
    }
}

fn plan_of(about: &About, destinations: &Bound, days: u64) -> Plan {
    let EgressSettings { limit_ppb, alpha_ppb, .. } = about.settings;
    let a_day_milli = destinations.n.saturating_mul(1000) / days.max(1);
    let missing = plan::plan(destinations.k, destinations.n, a_day_milli, limit_ppb, alpha_ppb);
    let mut plan = Plan {
        needed_clusters: missing.needed_clusters,
        have_clusters: destinations.n,
        clusters_per_day_milli: a_day_milli,
        more_days_milli: missing.more_days_milli,
        more_whole_days: MIN_DAYS.saturating_sub(days),
        sentence: String::new(),
    };
    plan.sentence = words::plan(&plan, limit_ppb);
    plan
}

fn period(facts: &Facts) -> Period {
    let walls = || facts.streams.values().filter_map(|stream| stream.span_unix_ms);
    let sum = |of: fn(&StreamFacts) -> u64| facts.streams.values().map(of).sum::<u64>();
    let cover_ms = sum(|stream| stream.cover.iter().map(|over| over.len_ns()).sum()) / 1_000_000;
    let span_ms = sum(|stream| stream.span.map_or(0, |span| span.len_ns())) / 1_000_000;
    Period {
        from_unix_ms: walls().map(|(from, _)| from).min(),
        to_unix_ms: walls().map(|(_, to)| to).max(),
        timed_ms: cover_ms,
        untimed_ms: span_ms.saturating_sub(cover_ms),
    }
}

fn rules(about: &About, facts: &Facts, units: &Units) -> Vec<EgressRule> {
    let mut decided: BTreeMap<Option<u32>, (u64, u64)> = BTreeMap::new();
    for (pair, counted) in &facts.pairs {
        let (rule, is_denied) = match pair.fate {
            Fate::Allowed(rule) => (rule, false),
            Fate::Denied(rule) => (rule, true),
            Fate::Exempt | Fate::Unjudged(_) => continue,
        };
        let own = decided.entry(rule).or_default();
        own.0 += counted.tally.connections;
        own.1 += if is_denied { counted.tally.connections } else { 0 };
    }
    let taken = |rule: Option<u32>| {
        units.out.values().filter(|unit| unit.rules.contains(&rule)).count() as u64
    };
    let row = |rule: Option<u32>, line, action: &str| {
        let (flows, would_deny) = decided.get(&rule).copied().unwrap_or_default();
        EgressRule {
            line,
            name: about.rule_name(rule).to_owned(),
            action: action.to_owned(),
            is_intended: about.is_intended(rule),
            flows,
            would_deny,
            destinations_lost: taken(rule),
        }
    };
    let rules = (0_u32..).zip(&about.rules);
    let mut rows: Vec<EgressRule> =
        rules.map(|(at, rule)| row(Some(at), Some(rule.line), &rule.action)).collect();
    rows.push(row(None, None, &about.default_action));
    rows
}

fn stream_row(id: &crate::fold::id::StreamId, stream: &StreamFacts) -> EgressStream {
    EgressStream {
        host: id.host.clone(),
        scope: id.scope.clone(),
        boot_id: id.boot_id.clone(),
        epoch: id.epoch.clone(),
        cgroup: stream.cgroup.clone(),
        sweeps: stream.sweeps,
        rows: stream.rows,
        is_proven: stream.is_proven(),
    }
}
