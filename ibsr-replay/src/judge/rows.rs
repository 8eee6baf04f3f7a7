// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lists of the report: rules with their thresholds, days, cut-offs of the label.

use super::gates;
use super::gather::CUTS_PERCENT;
use super::label::Label;
use super::price::{Pricer, shortest_ttl_s};
use super::report::Bench;
use super::search;
use super::streams::ppm;
use super::words;
use crate::fold::vector::{Choice, Vector};
use crate::model::{DayRow, RuleRow, Sensitivity, Step, Threshold};
use crate::rules::ast::RuleSet;
use crate::rules::text;

impl Bench<'_> {
    pub(super) fn rule_row(&self, rule: usize) -> RuleRow {
        let set = self.rules.set();
        let ast = &set.rules[rule];
        let thresholds = ast.thresholds();
        let chosen = self.found.chosen[rule];
        let shown = chosen.unwrap_or(0);
        let alone = Choice::default().with(rule, Some(shown), thresholds);
        let mut labels = [0_u64; 4];
        let mut sent = (0_u64, 0_u64);
        for source in &self.gathered.acted {
            let taken = self.pricer.taken(&source.facts, &alone).sent;
            sent = (sent.0.saturating_add(taken.syn), sent.1.saturating_add(taken.packets));
            labels[source.label as usize] += u64::from(taken.packets > 0);
        }
        let [legitimate_acted, abusive_acted, spoofable_acted, unknown_acted] = labels;
        let spoofable_ppm = ppm(spoofable_acted, labels.iter().sum());
        let level = u8::try_from(thresholds - shown).expect("a grid has at most 15 thresholds");
        let ttl = self.pricer.ttl(rule, level);
        let whole = &self.gathered.population.counts;
        let one = RuleSet { rules: vec![ast.clone()], allow: Vec::new() };
        RuleRow {
            name: ast.name.clone(),
            text: text::to_toml(&one),
            action: ast.then.as_str(),
            grid_metric: ast.grid.as_ref().map(|grid| ast.when[grid.predicate].metric.as_str()),
            chosen: chosen.map(|index| self.threshold(rule, index)),
            is_candidate: chosen.is_some(),
            why_not: self.why_not(rule),
            path: (0..thresholds).map(|index| self.step(rule, index)).collect(),
            legitimate_acted,
            abusive_acted,
            spoofable_acted,
            unknown_acted,
            spoofable_ppm,
            syn: self.pricer.share(sent.0, whole.syn),
            packets: self.pricer.share(sent.1, whole.packets),
            shortest_ttl_s: shortest_ttl_s(&ttl),
            ttl,
        }
    }

    fn threshold(&self, rule: usize, index: usize) -> Threshold {
        let grid = self.rules.set().rules[rule].grid.as_ref();
        Threshold { index, value: grid.and_then(|grid| grid.values.get(index)).copied() }
    }

    /// A threshold with what was chosen of the rules before it.
    fn step(&self, rule: usize, index: usize) -> Step {
        let thresholds = self.rules.set().rules[rule].thresholds();
        let mut before = self.found.chosen;
        before[rule..].fill(None);
        before[rule] = Some(index);
        let with = search::choice(self.rules, &before);
        let alone = Choice::default().with(rule, Some(index), thresholds);
        let table = self.gathered.clusters_held();
        let tried = self.found.paths[rule].steps.iter().find(|step| step.index == index);
        Step {
            threshold: self.threshold(rule, index),
            clusters: self.bound(table.hurt(&with), table.held_out()),
            capture_ppm: self.pricer.capture_ppm(&alone),
            is_tried: tried.is_some(),
            is_accepted: tried.is_some_and(|step| step.is_accepted),
        }
    }

    fn why_not(&self, rule: usize) -> Option<String> {
        if self.found.chosen[rule].is_some() {
            return None;
        }
        let Some(index) = self.found.paths[rule].accepted() else {
            return Some("no threshold of it was shown to be safe".to_owned());
        };
        let spoofed = spoofed_at(&self.pricer, rule, index);
        Some(if spoofed.is_some_and(|ppm| ppm > gates::MAX_SPOOFED_PPM) {
            "most of the addresses that it would drop were never proven to exist: dropping by address \
             is useless against a spoofed flood, SYN cookies are not"
                .to_owned()
        } else {
            "it acts on no abusive source".to_owned()
        })
    }

    pub(super) fn sensitivity(&self, choice: &Choice) -> Vec<Sensitivity> {
        let row = |(cut, completed_percent): (usize, u64)| {
            let of = |is_unknown_included| {
                let table = self.gathered.table(cut, is_unknown_included);
                self.bound(table.hurt(choice), table.held_out())
            };
            Sensitivity { completed_percent, known: of(false), with_unknown: of(true) }
        };
        CUTS_PERCENT.into_iter().enumerate().map(row).collect()
    }

    pub(super) fn days(&self, choice: &Choice) -> Vec<DayRow> {
        let table = self.gathered.clusters_held();
        let row = |(at, day): (usize, &u32)| {
            let units = || self.units.iter().filter(|(id, _)| id.day == *day).map(|(_, unit)| unit);
            let buckets = || units().flat_map(|unit| unit.buckets.values());
            let acted = |vector: &Vector| choice.acts(*vector);
            DayRow {
                date: words::date(*day),
                is_held_out: at > 0,
                new_clusters: table.held_out_on(at),
                affected: table.hurt_on(at, choice),
                affected_rolling: table.hurt_on(at, &self.rolling[at]),
                sources: self.gathered.sources_on[at],
                syn: total(buckets().map(|bucket| bucket.all.syn)),
                syn_acted: total(
                    buckets()
                        .flat_map(|bucket| &bucket.acted)
                        .filter(|(vector, _)| acted(vector))
                        .map(|(_, load)| load.syn),
                ),
                timed_ms: total(units().map(|unit| unit.timed_ns)) / 1_000_000,
                untimed_ms: total(units().map(|unit| unit.untimed_ns)) / 1_000_000,
            }
        };
        self.gathered.days.iter().enumerate().map(row).collect()
    }
}

/// Share of spoofable sources among those that a rule alone would have acted on.
pub fn spoofed_at(pricer: &Pricer<'_>, rule: usize, index: usize) -> Option<u64> {
    let thresholds = pricer.rules.set().rules[rule].thresholds();
    let alone = Choice::default().with(rule, Some(index), thresholds);
    let acted = pricer.gathered.acted.iter();
    let mut counts = (0, 0);
    for source in acted.filter(|source| pricer.taken(&source.facts, &alone).sent.packets > 0) {
        counts.0 += u64::from(source.label == Label::Spoofable);
        counts.1 += 1;
    }
    ppm(counts.0, counts.1)
}

/// A sum that a hostile file cannot stop.
fn total(values: impl Iterator<Item = u64>) -> u64 {
    values.fold(0, u64::saturating_add)
}
