// SPDX-License-Identifier: MIT OR Apache-2.0
//! One unit: one day of one stream, booked.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::rules::ast::{Guard, Rule};

use super::Settings;
use super::decide::{Acting, Saved, Subject, Unit};
use super::entries::{self, Increment};
use super::tally::Tally;
use super::timing::Placed;
use super::windows::{self, Windows};

/// Bits of a level in a vector.
const LEVEL_BITS: usize = 4;

/// What a unit leaves behind.
#[derive(Debug, Default)]
pub struct UnitResult {
    /// Day since 1970.
    pub day: i128,
    /// Time with rates.
    pub timed_ns: i128,
    /// Time without, behind the first sweep.
    pub untimed_ns: i128,
    /// The pieces of the latter.
    pub gaps: Vec<(i128, i128)>,
    /// Who was seen.
    pub sources: BTreeMap<SourceAddr, SourceResult>,
    /// SYN and frames acted on, by port and vector.
    pub ports: BTreeMap<(u16, u32), Tally>,
    /// What the guards did.
    pub saved: Saved,
}

/// A source in a unit.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct SourceResult {
    /// Everything that was counted.
    pub all: Tally,
    /// The part of it that has no rate.
    pub untimed: Tally,
    /// Ports that got something.
    pub ports: BTreeSet<u16>,
    /// What was acted on, by vector of levels.
    pub acted: BTreeMap<u32, Tally>,
}

/// A rule with, for each level from 1, when it acts.
struct RuleActing<'a> {
    rule: &'a Rule,
    levels: Vec<Acting>,
}

/// Replays a unit.
pub fn replay_unit(day: i128, placed: &[Placed<'_>], settings: &Settings) -> UnitResult {
    let window_ns = i128::from(settings.window_ns);
    let mut result = UnitResult { day, ..UnitResult::default() };
    for at in placed.iter().filter(|at| at.is_booked) {
        if at.is_timed {
            result.timed_ns += at.to_ns - at.from_ns;
        } else if !at.is_first {
            result.untimed_ns += at.to_ns - at.from_ns;
        }
        if at.is_gap {
            result.gaps.push((at.from_ns, at.to_ns));
        }
    }
    let increments = entries::increments(placed);
    let mut by_source: BTreeMap<SourceAddr, Vec<&Increment>> = BTreeMap::new();
    for found in &increments {
        by_source.entry(found.src).or_default().push(found);
    }
    let complete = completeness(placed, window_ns);
    let unit = Unit { placed, complete: &complete, window_ns, rules: &settings.rules };
    for (src, increments) in by_source {
        let windows = Windows::of(&increments, placed, window_ns);
        let subject = Subject { unit: &unit, src, windows: &windows };
        let source = replay_source(&subject, &increments, &mut result);
        if increments.iter().any(|found| placed[found.sweep].is_booked) {
            result.sources.insert(src, source);
        }
    }
    result
}

fn completeness(placed: &[Placed<'_>], window_ns: i128) -> BTreeMap<i128, bool> {
    let mut complete = BTreeMap::new();
    for at in placed.iter().filter(|at| at.is_timed) {
        for window in at.from_ns / window_ns..=at.to_ns / window_ns {
            complete
                .entry(window)
                .or_insert_with(|| windows::is_complete(placed, window, window_ns));
        }
    }
    complete
}

fn replay_source(
    subject: &Subject<'_>,
    increments: &[&Increment],
    result: &mut UnitResult,
) -> SourceResult {
    let saved = &mut result.saved;
    let rules: Vec<RuleActing<'_>> = subject
        .unit
        .rules
        .rules
        .iter()
        .map(|rule| {
            let indices = (0..rule.grid.as_ref().map_or(1, |grid| grid.values.len())).rev();
            let levels = indices.map(|index| subject.acting(rule, index, saved)).collect();
            RuleActing { rule, levels }
        })
        .collect();
    let mut source = SourceResult::default();
    for found in increments {
        let at = &subject.unit.placed[found.sweep];
        if !at.is_booked {
            continue;
        }
        source.all.add(&found.tally);
        if !found.tally.is_zero() {
            source.ports.insert(found.port);
        }
        if !found.is_timed {
            source.untimed.add(&found.tally);
            continue;
        }
        let shares = windows::spread(&found.tally, at.from_ns, at.to_ns, subject.unit.window_ns);
        for (window, share) in shares {
            let vector = vector(&rules, window, found.port, saved);
            if vector > 0 {
                source.acted.entry(vector).or_default().add(&share);
                result.ports.entry((found.port, vector)).or_default().add(&share);
            }
        }
    }
    source
}

/// The highest acting level of each rule, four bits each, rule 0 in the lowest.
fn vector(rules: &[RuleActing<'_>], window: i128, port: u16, saved: &mut Saved) -> u32 {
    let mut vector = 0;
    for (position, RuleActing { rule, levels }) in rules.iter().enumerate() {
        let acts = |acting: &Acting| acting.iter().any(|(from, to)| (*from..*to).contains(&window));
        let highest = levels.iter().rposition(acts).map_or(0, |below| below + 1);
        let is_excepted = rule
            .unless
            .iter()
            .any(|guard| matches!(guard, Guard::Port(ports) if ports.contains(&port)));
        if is_excepted {
            saved.port += u64::from(highest > 0);
        } else {
            let level = u32::try_from(highest).expect("levels fit into four bits");
            vector |= level << (position * LEVEL_BITS);
        }
    }
    vector
}
