// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts the report together.

use jiff::Timestamp;

use super::gates::{self, Measured};
use super::gather::{By, Gathered};
use super::label;
use super::price::Pricer;
use super::rows::spoofed_at;
use super::search::{self, Budget, Found};
use super::streams::{self, Units, ppm};
use super::words;
use crate::fold::compiled::Compiled;
use crate::fold::vector::Choice;
use crate::model::{
    Bound, Capture, Coverage, GapRow, Input, Law, Loss, MAX_LISTED, Plan, Report, RuleRow, SCHEMA,
    Settings, Surface,
};
use crate::rules::text;
use crate::stats::{alpha, bound, plan};

const PPM: u64 = 1_000_000;
const PPB: u64 = 1_000_000_000;
/// Share of the loosest accepted threshold's capture that a safer one must have to be
/// chosen instead: what gains nothing should risk nothing.
const SAME_CAPTURE_PERCENT: u128 = 99;

/// What the caller asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Program and version.
    pub tool: String,
    /// When the report is made.
    pub now: Timestamp,
    /// Sources to list.
    pub top: usize,
    /// Their order.
    pub by: By,
    /// Which look at this evidence it is, from 1.
    pub look: u32,
    /// Largest share of legitimate clusters that may be affected.
    pub limit_ppb: u64,
    /// Largest share of completed connections.
    pub connection_limit_ppb: u64,
}

/// Default of [`Wanted::limit_ppb`]: one cluster in a thousand.
pub const LIMIT_PPB: u64 = 1_000_000;
/// Default of [`Wanted::connection_limit_ppb`]: one connection in ten thousand.
pub const CONNECTION_LIMIT_PPB: u64 = 100_000;

/// Everything that the parts of the report share.
pub(super) struct Bench<'a> {
    pub(super) rules: &'a Compiled,
    pub(super) wanted: &'a Wanted,
    pub(super) units: &'a Units,
    pub(super) gathered: &'a Gathered,
    pub(super) pricer: Pricer<'a>,
    pub(super) alpha_ppb: u64,
    pub(super) found: Found,
    pub(super) choice: Choice,
    pub(super) rolling: Vec<Choice>,
}

/// Makes the report. `input` knows about files; the rest is filled in.
#[must_use]
pub fn report(
    rules: &Compiled,
    wanted: &Wanted,
    mut input: Input,
    units: &Units,
    gathered: &Gathered,
) -> Report {
    input.sweeps = streams::sum(units, |unit| unit.sweeps);
    input.sweeps_duplicate = streams::sum(units, |unit| unit.duplicates);
    input.rows = streams::sum(units, |unit| unit.rows);
    input.rows_unknown = streams::sum(units, |unit| unit.unknown);
    input.rows_rejected = streams::sum(units, |unit| unit.rejects.count);
    input.rejected = streams::rejected(units);
    let law = streams::law(units);
    let loss = streams::loss(units, gathered.untimed_packets);
    let coverage = streams::coverage(units);
    let all_streams = streams::streams(units);
    let gaps = streams::gaps(&all_streams);
    let unseen_ppm = coverage.ppm.map_or(PPM, |ppm| PPM.saturating_sub(ppm));
    let uncertain_ppm = unseen_ppm.saturating_add(loss.evicted_ppm.unwrap_or(0));
    let window_ms = (rules.window_ns() / 1_000_000).max(1);
    let pricer = Pricer { rules, gathered, units, uncertain_ppm, window_ms };
    let bench = Bench::new(rules, wanted, units, gathered, pricer);
    let is_provisional = bench.is_provisional();
    let choice = bench.effective();
    let impact = pricer.impact(&choice);
    let capture = pricer.capture(&choice, &impact.series);
    let surface = bench.surface(&choice);
    let rows: Vec<RuleRow> = (0..rules.rules().len()).map(|rule| bench.rule_row(rule)).collect();
    let measured =
        bench.measured(&input, &coverage, &loss, &gaps, &law, (&surface, &capture, &rows));
    let held_out_days = (gathered.days.len() as u64).saturating_sub(1);
    let sentence = words::sentence(&surface.clusters, held_out_days, coverage.ppm);
    let decision = gates::decide(&measured, sentence, Some(bench.plan(&surface.clusters)));
    let is_usable = input.segments_refused == 0 && input.rows_rejected == 0;
    Report {
        schema: SCHEMA,
        tool: wanted.tool.clone(),
        generated_at: wanted.now.to_string(),
        is_whole: input.sweeps > 0 && is_usable && law.violations == 0,
        decision,
        settings: bench.settings(window_ms),
        is_provisional,
        candidate: bench.candidate(),
        surface,
        capture,
        impact,
        sensitivity: bench.sensitivity(&choice),
        days: bench.days(&choice),
        period: streams::period(units),
        totals: streams::totals(units.values()),
        loss,
        coverage,
        law,
        population: gathered.population.clone(),
        label_basis: gathered.label_basis.clone(),
        sources: gathered.busiest.iter().map(|s| pricer.source_row(s, &choice)).collect(),
        shown: wanted.top,
        streams: streams::stream_rows(&all_streams),
        gaps,
        talks: None,
        rules: rows,
        input,
    }
}

impl<'a> Bench<'a> {
    fn new(
        rules: &'a Compiled,
        wanted: &'a Wanted,
        units: &'a Units,
        gathered: &'a Gathered,
        pricer: Pricer<'a>,
    ) -> Self {
        let alpha_ppb = alpha::alpha_ppb(wanted.look);
        let budget = Budget { limit_ppb: wanted.limit_ppb, alpha_ppb };
        let table = gathered.clusters_held();
        let count = |choice: &Choice| (table.hurt(choice), table.held_out());
        let settle = |rule: usize, last: usize| settle(&pricer, rule, last);
        let found = search::search(rules, budget, count, settle);
        let choice = search::choice(rules, &found.chosen);
        let rolling = search::rolling(rules, budget, table, gathered.days.len());
        let alpha_ppb = budget.alpha_of_one_ppb(rules.rules().len());
        Self { rules, wanted, units, gathered, pricer, alpha_ppb, found, choice, rolling }
    }

    fn is_provisional(&self) -> bool {
        self.choice.is_empty()
    }

    fn measured(
        &self,
        input: &Input,
        coverage: &Coverage,
        loss: &Loss,
        gaps: &[GapRow],
        law: &Law,
        (surface, capture, rows): (&Surface, &Capture, &[RuleRow]),
    ) -> Measured {
        Measured {
            sweeps: input.sweeps,
            coverage_ppm: coverage.ppm,
            evicted_ppm: loss.evicted_ppm.or(Some(0).filter(|_| input.sweeps > 0)),
            unseen_ppm: loss.unseen_ppm.or(Some(0).filter(|_| input.sweeps > 0)),
            gaps_ppm: self.gaps_ppm(gaps),
            days: self.gathered.days.len() as u64,
            clusters: surface.clusters.n,
            clusters_needed: bound::needed(0, self.wanted.limit_ppb, self.alpha_ppb),
            rejected_ppm: ppm(input.rows_rejected, input.rows + input.rows_rejected),
            refused: input.segments_refused,
            violations: law.violations,
            unproven: self.unproven(),
            upper_ppb: surface.clusters.upper_ppb,
            rolling_ppb: surface.clusters_rolling.upper_ppb,
            connections_ppb: surface.connections.upper_ppb,
            allow_listed: surface.allow_listed,
            network_ppm: surface
                .largest_prefix_ppm
                .filter(|_| surface.affected >= gates::MIN_SPREAD)
                .unwrap_or(0),
            worst_day_ppb: surface.worst_day_ppb.unwrap_or(0),
            spoofed_ppm: self.spoofed_ppm(rows),
            candidates: self.found.chosen.iter().flatten().count() as u64,
            abusive: self.gathered.population.abusive,
            capture_ppm: capture.packets.ppm.filter(|_| !self.is_provisional()),
            labelled_ppm: self.labelled_ppm(),
            known_ppm: self.known_ppm(),
            is_canary_done: false,
            limit_ppb: self.wanted.limit_ppb,
            connection_limit_ppb: self.wanted.connection_limit_ppb,
        }
    }

    /// What the numbers are about: the candidate, or the safest thresholds where there is none.
    fn effective(&self) -> Choice {
        if self.is_provisional() {
            search::choice(self.rules, &search::safest(self.rules))
        } else {
            self.choice
        }
    }

    fn candidate(&self) -> String {
        let chosen =
            if self.is_provisional() { search::safest(self.rules) } else { self.found.chosen };
        let set = self.rules.set();
        text::to_toml(&set.pinned(&chosen[..set.rules.len()]))
    }

    pub(super) fn bound(&self, k: u64, n: u64) -> Bound {
        Bound::of(k, n, self.alpha_ppb)
    }

    fn surface(&self, choice: &Choice) -> Surface {
        let Self { gathered, pricer, .. } = self;
        let table = gathered.clusters_held();
        let known = gathered.table(1, false);
        let affected = pricer.affected(choice);
        let (mut packets, mut bytes) = (0_u64, 0_u64);
        for source in &affected {
            let sent = pricer.taken(&source.facts, choice).sent;
            packets = packets.saturating_add(sent.packets);
            bytes = bytes.saturating_add(sent.bytes);
        }
        let worst = self.worst_day(choice);
        let network = pricer.largest_network(&affected);
        Surface {
            clusters: self.bound(table.hurt(choice), table.held_out()),
            clusters_known: self.bound(known.hurt(choice), known.held_out()),
            clusters_rolling: self
                .bound(table.hurt_where(|day| self.rolling[day]), table.held_out()),
            connections: self.bound(self.connections_hurt(choice), gathered.connections),
            packets: pricer.share(packets, gathered.protected.0),
            bytes: pricer.share(bytes, gathered.protected.1),
            worst_day: worst.as_ref().map(|(date, _)| date.clone()),
            worst_day_ppb: worst.map(|(_, share)| share),
            largest_prefix: network.as_ref().map(|(net, _)| net.clone()),
            largest_prefix_ppm: network.map(|(_, share)| share),
            allow_listed: pricer.allow_listed(choice),
            blast_radius: pricer.blast_radius(choice),
            affected: affected.len() as u64,
            top: affected
                .iter()
                .take(MAX_LISTED)
                .map(|source| pricer.affected_row(source, choice))
                .collect(),
        }
    }

    /// Handshakes that protected sources completed on held-out days while rules act on them.
    fn connections_hurt(&self, choice: &Choice) -> u64 {
        let Some(from) = self.gathered.days.get(1) else { return 0 };
        let protected = self.gathered.acted.iter().filter(|source| source.label.is_protected());
        let by = protected.filter_map(|s| s.facts.acted.as_ref()).flat_map(|acted| &acted.by);
        let held = by.filter(|((day, vector), _)| day >= from && choice.acts(*vector));
        held.map(|(_, booked)| booked.handshakes).fold(0, u64::saturating_add)
    }

    fn worst_day(&self, choice: &Choice) -> Option<(String, u64)> {
        let table = self.gathered.clusters_held();
        let days = 1..self.gathered.days.len();
        let share = |day: usize| {
            let (k, n) = (table.hurt_on(day, choice), table.held_out_on(day));
            u64::try_from((u128::from(k) * u128::from(PPB)).checked_div(u128::from(n))?).ok()
        };
        let worst = days.filter_map(|day| Some((share(day)?, std::cmp::Reverse(day)))).max()?;
        Some((words::date(self.gathered.days[worst.1.0]), worst.0))
    }

    fn spoofed_ppm(&self, rows: &[RuleRow]) -> u64 {
        let chosen = rows.iter().zip(&self.rules.set().rules);
        let drops = chosen.filter(|(row, rule)| row.is_candidate && rule.is_drop());
        drops.filter_map(|(row, _)| row.spoofable_ppm).max().unwrap_or(0)
    }

    fn gaps_ppm(&self, gaps: &[GapRow]) -> Option<u64> {
        let timed_ms = streams::sum(self.units, |unit| unit.timed_ns) / 1_000_000;
        let untimed_ms = streams::sum(self.units, |unit| unit.untimed_ns) / 1_000_000;
        let unobserved = gaps.iter().filter(|gap| gap.from_boot_ns.is_none());
        let between: u64 = unobserved
            .map(|gap| gap.to_unix_ms.saturating_sub(gap.from_unix_ms))
            .fold(0, u64::saturating_add);
        let without = untimed_ms.saturating_add(between);
        ppm(without, timed_ms.saturating_add(without))
    }

    /// Streams that no proven program under seal has counted.
    fn unproven(&self) -> u64 {
        let is_digest = |text: &String| text.len() == 64 && text.bytes().any(|b| b != b'0');
        let is_sealed = |text: &String| matches!(text.as_str(), "frozen" | "exclusive");
        let is_proven = |unit: &crate::fold::facts::UnitFacts| {
            unit.programs.iter().all(is_digest) && unit.evidence.iter().all(is_sealed)
        };
        let all = streams::streams(self.units);
        let is_unproven =
            |stream: &&streams::StreamUnits<'_>| !stream.days.iter().all(|d| is_proven(d));
        all.iter().filter(is_unproven).count() as u64
    }

    fn plan(&self, clusters: &Bound) -> Plan {
        let days = self.gathered.days.len() as u64;
        let held_out = days.saturating_sub(1).max(1);
        let clusters_per_day_milli = clusters.n.saturating_mul(1000) / held_out;
        let limit_ppb = self.wanted.limit_ppb;
        let missing =
            plan::plan(clusters.k, clusters.n, clusters_per_day_milli, limit_ppb, self.alpha_ppb);
        let mut plan = Plan {
            needed_clusters: missing.needed_clusters,
            have_clusters: clusters.n,
            clusters_per_day_milli,
            more_days_milli: missing.more_days_milli,
            more_whole_days: gates::MIN_DAYS.saturating_sub(days),
            sentence: String::new(),
        };
        plan.sentence = words::plan(&plan, limit_ppb);
        plan
    }

    fn labelled_ppm(&self) -> Option<u64> {
        let basis = &self.gathered.label_basis;
        ppm(basis.stream_days_covered, basis.stream_days)
    }

    fn known_ppm(&self) -> Option<u64> {
        let basis = &self.gathered.label_basis;
        ppm(basis.handshakes_known, basis.handshakes)
    }

    fn settings(&self, window_ms: u64) -> Settings {
        Settings {
            window_ms,
            rules_sha256: text::sha256(self.rules.set()),
            look: self.wanted.look,
            alpha_ppb: alpha::alpha_ppb(self.wanted.look),
            limit_ppb: self.wanted.limit_ppb,
            connection_limit_ppb: self.wanted.connection_limit_ppb,
            labels: match self.gathered.label_basis.stream_days_covered {
                0 => label::DEFINITION,
                _ => label::CONNECTION_DEFINITION,
            },
            is_label_independent: gates::is_label_independent(
                self.labelled_ppm(),
                self.known_ppm(),
            ),
            is_canary_done: false,
        }
    }
}

/// The safest threshold that catches as much as the loosest accepted one; none when that
/// catches nothing, or mostly addresses that nobody owns.
fn settle(pricer: &Pricer<'_>, rule: usize, last: usize) -> Option<usize> {
    let thresholds = pricer.rules.set().rules[rule].thresholds();
    let capture =
        |index| pricer.capture_ppm(&Choice::default().with(rule, Some(index), thresholds));
    let most = capture(last).filter(|ppm| *ppm > 0)?;
    let is_drop = pricer.rules.set().rules[rule].is_drop();
    let is_enough = |index: &usize| {
        u128::from(capture(*index).unwrap_or(0)) * 100 >= u128::from(most) * SAME_CAPTURE_PERCENT
    };
    let index = (0..=last).find(is_enough).unwrap_or(last);
    let spoofed = spoofed_at(pricer, rule, index).unwrap_or(0);
    (!is_drop || spoofed <= gates::MAX_SPOOFED_PPM).then_some(index)
}
