// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drives the fold over the rows of one stream, in the order of its segments.
//!
//! The rows of a sweep wait for the `sweep` row that closes them: until then nobody knows
//! whether they count, and over which interval.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_proto::snapshot::{Header, Row, Source, Sweep};

use super::counts::Counts;
use super::gaps::{GapFact, StatedGap, explain};
use super::id::StreamId;
use super::law::{Coverage, Law, Rows, Settled, Violation};
use super::merge::{Partial, Rejects, SourceTotals};
use super::rule::SynRule;
use super::sources::{Now, Recent, Sources};
use super::timeline::{Interval, Pace, Placement, Timeline, Why};
use super::window::apportion;

/// What a fold needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Length of a window.
    pub window_ns: u64,
    /// The rule to replay.
    pub rule: SynRule,
}

/// SYN of a window over all sources.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WindowSyn {
    /// All of them.
    pub syn: u64,
    /// Those that the rule would have dropped.
    pub acted: u64,
    /// Wall clock at the start of the window.
    pub at_unix_ms: u64,
    /// Whether timed intervals cover all of it.
    pub is_complete: bool,
}

/// What a stream left behind, without its sources.
#[derive(Debug)]
pub struct StreamFacts {
    /// Whose.
    pub id: StreamId,
    /// Digests of the programs that counted, sorted.
    pub programs: BTreeSet<String>,
    /// How strongly the maps are bound to them.
    pub evidence: BTreeSet<String>,
    /// Sweeps used.
    pub sweeps: u64,
    /// Sweeps that another file had already.
    pub duplicates: u64,
    /// Source rows used.
    pub rows: u64,
    /// Rows of unknown types.
    pub unknown: u64,
    /// Wall clock at the start of the first and the end of the last interval.
    pub span_unix_ms: Option<(u64, u64)>,
    /// Time with rates.
    pub timed_ns: u64,
    /// Time between the first and last sweep without.
    pub untimed_ns: u64,
    /// Totals and what was lost.
    pub settled: Settled,
    /// Packets in source rows.
    pub seen_packets: u64,
    /// Against the interface's own counter.
    pub coverage: Coverage,
    /// Broken laws: how many, and the first ones.
    pub violations: (u64, Vec<Violation>),
    /// Gaps in order.
    pub gaps: Vec<GapFact>,
    /// SYN by window.
    pub windows: BTreeMap<u64, WindowSyn>,
}

/// The boot clock against the wall clock, at one sweep.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock {
    at_boot_ns: u64,
    at_unix_ms: u64,
}

impl WallClock {
    /// Wall clock at `boot_ns`, as the sweep saw it.
    #[must_use]
    pub const fn unix_ms(self, boot_ns: u64) -> u64 {
        const NS_PER_MS: u64 = 1_000_000;
        match boot_ns.checked_sub(self.at_boot_ns) {
            Some(later) => self.at_unix_ms.saturating_add(later / NS_PER_MS),
            None => self.at_unix_ms.saturating_sub((self.at_boot_ns - boot_ns) / NS_PER_MS),
        }
    }
}

/// The fold over one stream.
#[derive(Debug)]
pub struct StreamFold {
    settings: Settings,
    facts: StreamFacts,
    segment: String,
    pace: Pace,
    pending: Vec<(u64, Source)>,
    timeline: Timeline,
    sources: Sources,
    law: Law,
    rejects: Rejects,
    stated: Vec<StatedGap>,
    clock: WallClock,
    ordinal: u32,
    baseline: u32,
}

impl StreamFold {
    /// Before the first segment.
    #[must_use]
    pub fn new(id: StreamId, settings: Settings) -> Self {
        Self {
            settings,
            facts: StreamFacts::new(id),
            segment: String::new(),
            pace: Pace::default(),
            pending: Vec::new(),
            timeline: Timeline::new(settings.window_ns),
            sources: Sources::default(),
            law: Law::default(),
            rejects: Rejects::default(),
            stated: Vec::new(),
            clock: WallClock::default(),
            ordinal: 0,
            baseline: 0,
        }
    }

    /// Begins a segment.
    pub fn begin(&mut self, name: &str, header: &Header) {
        name.clone_into(&mut self.segment);
        self.facts.programs.insert(header.program_sha256.clone());
        self.facts.evidence.insert(header.evidence.clone());
        let Header { period_ms, attached_boot_ns, .. } = *header;
        self.pace = Pace { period_ms, attached_boot_ns };
    }

    /// Takes line `line` of the segment.
    pub fn add(&mut self, line: u64, row: Row) {
        match row {
            Row::Source(source) => self.pending.push((line, source)),
            Row::Sweep(sweep) => self.close(line, &sweep),
            Row::Gap(gap) => self.stated.push(StatedGap::new(gap)),
            Row::Header(_) => self.reject(line, "a second header"),
            Row::Footer(_) => {}
            _ => self.facts.unknown += 1,
        }
    }

    /// Takes note of a line that is no row.
    pub fn reject(&mut self, line: u64, reason: impl Into<String>) {
        self.rejects.add(&self.segment, line, reason);
    }

    /// Ends a segment. Rows that no sweep closed belong to none.
    pub fn end(&mut self) {
        for (line, _) in std::mem::take(&mut self.pending) {
            self.reject(line, "no `sweep` row closes it");
        }
    }

    fn close(&mut self, line: u64, sweep: &Sweep) {
        self.refuse_strangers(sweep);
        let is_whole = self.pending.len() as u64 == sweep.rows;
        match self.timeline.place(self.pace, sweep, is_whole) {
            Placement::Duplicate => self.facts.duplicates += 1,
            Placement::Backwards => {
                self.rejects.count += self.pending.len() as u64;
                self.reject(line, "the boot clock went backwards while `seq` went on");
            }
            Placement::Next(interval) => self.take(sweep, interval, is_whole),
        }
        self.pending.clear();
    }

    fn refuse_strangers(&mut self, sweep: &Sweep) {
        let seqs = sweep.merged_from_seq.unwrap_or(sweep.seq)..=sweep.seq;
        let Self { pending, rejects, segment, .. } = self;
        pending.retain(|(line, row)| {
            let is_ours = seqs.contains(&row.seq);
            if !is_ours {
                let reason = format!("a row of sweep {} inside sweep {}", row.seq, sweep.seq);
                rejects.add(segment, *line, reason);
            }
            is_ours
        });
    }

    fn take(&mut self, sweep: &Sweep, interval: Interval, is_whole: bool) {
        let interval = self.with_stated(interval);
        self.ordinal += 1;
        if interval.is_break || self.baseline == 0 {
            self.baseline = self.ordinal;
        }
        let packets = self.difference(&interval);
        self.law.observe(sweep, Rows { packets, is_whole });
        self.timeline.advance(sweep, &interval);
        let Sweep { at_boot_ns, at_unix_ms, .. } = *sweep;
        self.clock = WallClock { at_boot_ns, at_unix_ms };
        self.note(&interval);
        self.spread(&interval);
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
    fn difference(&mut self, interval: &Interval) -> u64 {
        let now = Now {
            ordinal: self.ordinal,
            baseline: self.baseline,
            from_ns: interval.over.from_ns,
            is_timed: interval.is_timed,
        };
        let mut packets = 0_u64;
        for (line, row) in &self.pending {
            packets = packets.saturating_add(row.packets);
            match self.sources.add(row, now) {
                Ok(increment) => {
                    self.facts.rows += 1;
                    self.facts.seen_packets = self.facts.seen_packets.saturating_add(increment);
                }
                Err(fault) => self.rejects.add(&self.segment, *line, fault.to_string()),
            }
        }
        packets
    }

    fn note(&mut self, interval: &Interval) {
        let clock = self.clock;
        let first = clock.unix_ms(interval.over.from_ns);
        let span = self.facts.span_unix_ms.map_or(first, |(first, _)| first);
        self.facts.span_unix_ms = Some((span, clock.at_unix_ms));
        self.facts.sweeps += 1;
        if let Some(why) = interval.why {
            self.facts.gaps.push(GapFact::found(interval.over, why, clock));
        }
        for gap in &mut self.stated {
            gap.clock.get_or_insert(clock);
        }
    }

    fn spread(&mut self, interval: &Interval) {
        let Settings { window_ns, rule } = self.settings;
        let current = interval.over.to_ns / window_ns;
        let Self { sources, timeline, facts, clock, .. } = self;
        let mut book =
            Book { rule: &rule, window_ns, timeline, clock: *clock, windows: &mut facts.windows };
        sources.visit_recent(|totals, recent| {
            let delta = std::mem::take(&mut recent.delta);
            for (window, share) in apportion(delta, interval.over, window_ns) {
                if window != recent.window {
                    book.enter(totals, recent);
                    recent.window = window;
                }
                recent.open = recent.open.plus(share);
            }
            if recent.window < current || !interval.is_timed {
                book.enter(totals, recent);
            }
            recent.rule.publish(&rule, current);
            !recent.open.is_zero() || !recent.rule.is_idle(current)
        });
    }

    /// Ends the stream.
    #[must_use]
    pub fn finish(mut self) -> Partial {
        let Settings { window_ns, rule } = self.settings;
        let Self { sources, timeline, facts, clock, .. } = &mut self;
        let mut book =
            Book { rule: &rule, window_ns, timeline, clock: *clock, windows: &mut facts.windows };
        sources.visit_recent(|totals, recent| {
            book.enter(totals, recent);
            false
        });
        let mut facts = self.facts;
        facts.timed_ns = self.timeline.timed_ns();
        facts.untimed_ns = self.timeline.untimed_ns();
        facts.settled = self.law.settle(facts.seen_packets);
        facts.coverage = self.law.coverage;
        facts.violations = (self.law.violated, self.law.violations);
        facts.gaps = explain(facts.gaps, &self.stated, self.clock);
        Partial {
            streams: vec![facts],
            sources: self.sources.into_totals().collect(),
            rejects: self.rejects,
        }
    }
}

/// Where windows that are over are entered.
struct Book<'a> {
    rule: &'a SynRule,
    window_ns: u64,
    timeline: &'a Timeline,
    clock: WallClock,
    windows: &'a mut BTreeMap<u64, WindowSyn>,
}

impl Book<'_> {
    /// Enters the open window of a source, which is then empty.
    fn enter(&mut self, totals: &mut SourceTotals, recent: &mut Recent) {
        let counts: Counts = std::mem::take(&mut recent.open);
        if counts.is_zero() {
            return;
        }
        let window = recent.window;
        let from_ns = window.saturating_mul(self.window_ns);
        let from_unix_ms = self.clock.unix_ms(from_ns);
        let is_complete = self.timeline.is_complete(window);
        let all = self
            .windows
            .entry(window)
            .or_insert(WindowSyn { at_unix_ms: from_unix_ms, ..WindowSyn::default() });
        all.syn = all.syn.saturating_add(counts.syn);
        all.is_complete = is_complete;
        if recent.rule.is_acting(window) {
            all.acted = all.acted.saturating_add(counts.syn);
            let to_ns = from_ns.saturating_add(self.window_ns);
            totals.acted.add_window(&counts, from_unix_ms, self.clock.unix_ms(to_ns));
        }
        if is_complete {
            totals.add_peak(counts.syn, from_unix_ms);
            let is_hit = self.rule.is_hit(counts.syn, self.window_ns);
            recent.rule.judge(self.rule, window, is_hit);
        }
    }
}

impl StreamFacts {
    fn new(id: StreamId) -> Self {
        Self {
            id,
            programs: BTreeSet::new(),
            evidence: BTreeSet::new(),
            sweeps: 0,
            duplicates: 0,
            rows: 0,
            unknown: 0,
            span_unix_ms: None,
            timed_ns: 0,
            untimed_ns: 0,
            settled: Settled::default(),
            seen_packets: 0,
            coverage: Coverage::default(),
            violations: (0, Vec::new()),
            gaps: Vec::new(),
            windows: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
#[path = "stream_tests.rs"]
mod tests;
