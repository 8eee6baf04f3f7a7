// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives the fold over the rows of one day of one stream, in the order of its segments.
//!
//! The rows of a sweep wait for the `sweep` row that closes them: until then nobody knows
//! whether they count, over which interval, and on which day. Sweeps of the hours before the
//! day move the automata and are not counted; sweeps outside of both are not looked at, so
//! it does not matter how much more than the day a fold is given.

use ibsr_proto::snapshot::{Header, Row, Source, Sweep};

use super::book::Book;
use super::compiled::Compiled;
use super::counts::Counts;
use super::facts::{FoldedUnit, Rejects, UnitFacts, UnitId};
use super::gaps::{GapFact, StatedGap, explain};
use super::horizon::{DAY_MS, Horizon, Partition};
use super::law::{Law, Rows};
use super::sources::{Now, Recent, Sources, Visited};
use super::state::RuleState;
use super::timeline::{Interval, Pace, Placement, Timeline, WallClock, Why};
use super::window::{Stretch, apportion};
use crate::rules::ast::MAX_SECONDS;

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// The fold over one unit.
#[derive(Debug)]
pub struct UnitFold<'a> {
    rules: &'a Compiled,
    id: UnitId,
    partition: Partition,
    horizon: Horizon,
    is_history_counted: bool,
    facts: UnitFacts,
    segment: String,
    header: Pace,
    pending: Vec<(u64, Source)>,
    refused: Rejects,
    unknown: u64,
    is_last_counted: bool,
    timeline: Timeline,
    sources: Sources,
    law: Law,
    stated: Vec<StatedGap>,
    clock: WallClock,
    ordinal: u32,
    baseline: u32,
    known_since_ns: u64,
}

/// Where a sweep stands in the day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Outside,
    Before,
    Inside,
}

impl<'a> UnitFold<'a> {
    /// Before the first segment.
    #[must_use]
    pub fn new(id: UnitId, rules: &'a Compiled, partition: Partition) -> Self {
        let horizon = Horizon::of(id.day, rules.warm_ns() / NS_PER_MS);
        Self {
            rules,
            id,
            partition,
            horizon,
            is_history_counted: false,
            facts: UnitFacts::default(),
            segment: String::new(),
            header: Pace::default(),
            pending: Vec::new(),
            refused: Rejects::default(),
            unknown: 0,
            is_last_counted: false,
            timeline: Timeline::new(rules.window_ns()),
            sources: Sources::default(),
            law: Law::default(),
            stated: Vec::new(),
            clock: WallClock::default(),
            ordinal: 0,
            baseline: 0,
            known_since_ns: 0,
        }
    }

    /// Counts what entries held before the first sweep as sent at that time. Only for the
    /// first day of a stream, and for who asks about entries and not about days.
    #[must_use]
    pub const fn with_history(mut self) -> Self {
        self.is_history_counted = true;
        self
    }

    /// Begins a segment.
    pub fn begin(&mut self, name: &str, header: &Header) {
        name.clone_into(&mut self.segment);
        let Header { period_ms, attached_boot_ns, .. } = *header;
        self.header = Pace { period_ms, attached_boot_ns };
        self.is_last_counted = false;
    }

    /// Takes note of the programs of a segment that holds sweeps of the day.
    pub fn vouch(&mut self, header: &Header) {
        self.facts.programs.insert(header.program_sha256.clone());
        self.facts.evidence.insert(header.evidence.clone());
    }

    /// Takes line `line` of the segment.
    pub fn add(&mut self, line: u64, row: Row) {
        match row {
            Row::Source(source) => self.pending.push((line, source)),
            Row::Sweep(sweep) => self.close(line, &sweep),
            Row::Gap(gap) => self.stated.push(StatedGap::new(gap)),
            Row::Header(_) => self.reject(line, "a second header"),
            Row::Footer(_) => {}
            Row::Unknown(_) => self.unknown += 1,
        }
    }

    /// Takes note of a line that is no row.
    pub fn reject(&mut self, line: u64, reason: impl Into<String>) {
        self.refused.add(&self.segment, line, reason);
    }

    /// Ends a segment. Rows that no sweep closed belong to none.
    pub fn end(&mut self) {
        for (line, _) in std::mem::take(&mut self.pending) {
            self.reject(line, "no `sweep` row closes it");
        }
        self.settle_lines(self.is_last_counted);
    }

    /// Lines belong to the day of the sweep that they stand in or follow.
    fn settle_lines(&mut self, is_counted: bool) {
        let refused = std::mem::take(&mut self.refused);
        let unknown = std::mem::take(&mut self.unknown);
        // Every partition reads every line: one of them answers for what is no row of a source.
        if is_counted && self.partition.index == 0 {
            self.facts.rejects.append(refused);
            self.facts.unknown += unknown;
        }
    }

    fn phase(&self, sweep: &Sweep) -> Phase {
        match sweep.at_unix_ms {
            at if !self.horizon.holds(at) => Phase::Outside,
            at if at < self.horizon.start_ms() => Phase::Before,
            _ => Phase::Inside,
        }
    }

    fn close(&mut self, line: u64, sweep: &Sweep) {
        let phase = self.phase(sweep);
        let is_inside = phase == Phase::Inside;
        self.is_last_counted = is_inside;
        if phase == Phase::Outside {
            self.pending.clear();
            self.settle_lines(false);
            return;
        }
        self.refuse_strangers(sweep);
        let is_whole = self.pending.len() as u64 == sweep.rows;
        match self.timeline.place(self.header, sweep, is_whole) {
            Placement::Duplicate => self.facts.duplicates += u64::from(is_inside),
            Placement::Backwards => {
                self.refused.count += self.pending.len() as u64;
                self.reject(line, "the boot clock went backwards while `seq` went on");
            }
            Placement::Next(interval) => self.take(sweep, interval, is_whole, is_inside),
        }
        self.pending.clear();
        self.settle_lines(is_inside);
    }

    fn refuse_strangers(&mut self, sweep: &Sweep) {
        let seqs = sweep.merged_from_seq.unwrap_or(sweep.seq)..=sweep.seq;
        let Self { pending, refused, segment, .. } = self;
        pending.retain(|(line, row)| {
            let is_ours = seqs.contains(&row.seq);
            if !is_ours {
                let reason = format!("a row of sweep {} inside sweep {}", row.seq, sweep.seq);
                refused.add(segment, *line, reason);
            }
            is_ours
        });
    }

    fn take(&mut self, sweep: &Sweep, interval: Interval, is_whole: bool, is_inside: bool) {
        let mut interval = self.with_stated(interval);
        self.ordinal += 1;
        let is_first = self.timeline.is_empty();
        if is_first && !self.counts_from_zero(sweep) {
            // What stands in the table was counted before anything that this day knows of.
            self.known_since_ns = sweep.at_boot_ns;
            interval.is_timed = false;
        }
        if interval.is_break || self.baseline == 0 {
            self.baseline = self.ordinal;
        }
        let packets = self.difference(sweep, &interval, is_inside);
        if is_inside {
            self.law.observe(sweep, Rows { packets, is_whole });
            self.note(sweep, &interval, is_first);
        }
        if !is_inside || (is_first && self.known_since_ns > 0) {
            self.law.begin(sweep);
        }
        self.timeline.advance(sweep, &interval);
        self.clock = WallClock::of(sweep);
        for gap in &mut self.stated {
            gap.clock.get_or_insert(self.clock);
        }
        self.spread(&interval, is_inside);
    }

    /// Whether the epoch began so late that all it counted belongs to the day or to the hours
    /// before it.
    fn counts_from_zero(&self, sweep: &Sweep) -> bool {
        let attached_unix_ms = WallClock::of(sweep).unix_ms(self.header.attached_boot_ns);
        self.is_history_counted || attached_unix_ms >= self.horizon.warm_ms()
    }

    /// A gap row inside an interval means that part of it was not observed.
    fn with_stated(&self, interval: Interval) -> Interval {
        let stated = self.stated.iter().find(|gap| gap.overlaps(interval.over));
        match stated {
            Some(gap) if interval.why.is_none() => {
                Interval { is_timed: false, why: Some(Why::from(gap.row.reason)), ..interval }
            }
            _ => interval,
        }
    }

    /// Returns the packets in the rows of the sweep.
    fn difference(&mut self, sweep: &Sweep, interval: &Interval, is_inside: bool) -> u64 {
        let now = Now {
            ordinal: self.ordinal,
            baseline: self.baseline,
            from_ns: interval.over.from_ns,
            is_timed: interval.is_timed,
            window: sweep.at_boot_ns.saturating_sub(1) / self.rules.window_ns(),
            known_since_ns: self.known_since_ns,
            is_counted: is_inside,
        };
        let mut packets = 0_u64;
        for (line, row) in &self.pending {
            packets = packets.saturating_add(row.packets);
            if !self.partition.holds(row) {
                continue;
            }
            match self.sources.add(row, &now) {
                Ok(added) if is_inside => {
                    let facts = &mut self.facts;
                    facts.rows += 1;
                    facts.seen_packets = facts.seen_packets.saturating_add(added.packets);
                    facts.before_packets = facts.before_packets.saturating_add(added.before);
                }
                Ok(_) => {}
                Err(fault) if is_inside => {
                    self.facts.rejects.add(&self.segment, *line, fault.to_string());
                }
                Err(_) => {}
            }
        }
        packets
    }

    fn note(&mut self, sweep: &Sweep, interval: &Interval, is_first: bool) {
        let clock = WallClock::of(sweep);
        let first = clock.unix_ms(interval.over.from_ns);
        let facts = &mut self.facts;
        let span = facts.span_unix_ms.map_or(first, |(first, _)| first);
        facts.span_unix_ms = Some((span, sweep.at_unix_ms));
        let Stretch { from_ns, to_ns } = interval.over;
        let from_ns = if is_first && !interval.is_timed { to_ns } else { from_ns };
        let from_ns = facts.span_boot.map_or(from_ns, |span| span.from_ns);
        facts.span_boot = Some(Stretch { from_ns, to_ns });
        facts.sweeps += 1;
        facts.is_cold |= is_first;
        let len_ns = interval.over.len_ns();
        if interval.is_timed {
            facts.timed_ns = facts.timed_ns.saturating_add(len_ns);
        } else if !is_first {
            facts.untimed_ns = facts.untimed_ns.saturating_add(len_ns);
        }
        if let Some(why) = interval.why {
            facts.gaps.push(GapFact::found(interval.over, why, clock));
        }
    }

    fn spread(&mut self, interval: &Interval, is_inside: bool) {
        let window_ns = self.rules.window_ns();
        let current = interval.over.to_ns / window_ns;
        let memory = (u64::from(MAX_SECONDS) * NS_PER_S).div_ceil(window_ns);
        let Self { rules, sources, timeline, facts, clock, id, .. } = self;
        let mut book = Book::new(rules, id.day, is_inside, interval.over);
        sources.visit_recent(|source| {
            let delta = std::mem::take(&mut source.recent.delta);
            book.add_acted(source.facts, source.recent);
            for (window, share) in apportion(delta, interval.over, window_ns) {
                book.add(window, &share);
                if window != source.recent.window {
                    enter(&book, timeline, *clock, source);
                    source.recent.window = window;
                }
                source.recent.open = source.recent.open.plus(share);
            }
            if source.recent.window < current || !interval.is_timed {
                enter(&book, timeline, *clock, source);
            }
            book.publish(source.facts, source.recent, current);
            forget_idle(rules, source.recent, current, memory);
            !source.recent.open.is_zero() || !source.recent.rules.is_empty()
        });
        book.close(*clock, facts);
    }

    /// Ends the unit.
    #[must_use]
    pub fn finish(self) -> FoldedUnit {
        let Self { id, mut facts, sources, law, stated, clock, .. } = self;
        let settled = law.settle();
        facts.totals = settled.totals;
        facts.evicted = settled.evicted;
        facts.accountable_packets = settled.accountable;
        facts.pending_packets = settled.pending;
        facts.coverage = law.coverage;
        (facts.violated, facts.violations) = (law.violated, law.violations);
        let inside = |gap: &GapFact| gap.span_unix_ms.1 / DAY_MS == u64::from(id.day);
        facts.gaps = explain(facts.gaps, &stated, clock).into_iter().filter(inside).collect();
        let mut sources = sources.into_facts(id.day);
        let host_bit = id.stream.host_bit();
        sources.iter_mut().for_each(|(_, facts)| facts.hosts = host_bit);
        FoldedUnit { id, facts, sources }
    }
}

/// Enters the open window of a source, which is then empty.
fn enter(book: &Book<'_>, timeline: &Timeline, clock: WallClock, source: &mut Visited<'_>) {
    let Visited { addr, facts, memory, recent } = source;
    let counts: Counts = std::mem::take(&mut recent.open);
    if counts.is_zero() {
        return;
    }
    let (rules, window) = (book.rules, recent.window);
    let window_ns = rules.window_ns();
    let is_complete = timeline.is_complete(window);
    memory.note(window, counts.handshakes, is_complete, window_ns);
    if !recent.rules.is_empty() {
        book.limit(facts, recent, &counts);
    }
    if !is_complete {
        return;
    }
    if book.is_open {
        facts.add_peak(counts.syn, clock.unix_ms(window.saturating_mul(window_ns)));
    }
    let ports = recent.ports_in(window);
    for (at, rule) in rules.rules().iter().enumerate() {
        let level = rules.level(at, &counts, ports);
        if level == 0 {
            continue;
        }
        if recent.rules.is_empty() {
            recent.rules.resize(rules.rules().len(), None);
        }
        let state = recent.rules[at].get_or_insert_with(|| RuleState::new(rule));
        let reached = state.judge(rule, window, level);
        if reached > 0 && !rules.spares(at, *addr, memory, window) {
            state.decide(reached);
        }
    }
}

fn forget_idle(rules: &Compiled, recent: &mut Recent, current: u64, memory: u64) {
    if recent.rules.is_empty() {
        return;
    }
    for (state, rule) in recent.rules.iter_mut().zip(rules.rules()) {
        if state.as_ref().is_some_and(|state| state.is_idle(rule, current, memory)) {
            *state = None;
        }
    }
    if recent.rules.iter().all(Option::is_none) {
        recent.rules.clear();
    }
}

#[cfg(test)]
#[path = "unit_tests.rs"]
mod tests;
