// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fold over rows as a reader writes them: one source, a sweep every ten seconds.

use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Gap, GapReason, SCHEMA};

use super::*;
use crate::fold::id::StreamId;
use crate::fold::source_facts::SourceFacts;
use crate::rules::parse;

const S: u64 = 1_000_000_000;
/// The epoch and its first interval begin here, on a window's edge.
const START_S: u64 = 1000;
/// 100 SYN a second, three windows in a row, five minutes.
const RULES: &str = r#"rule = [{ name = "x", when = ["syn_ps >= 100"], for = { k = 3, of = 3 },
    then = "drop_syn", ttl_s = 300 }]"#;

fn rules() -> Compiled {
    Compiled::new(parse(RULES).expect("rules"), 10 * S)
}

fn header() -> Header {
    Header {
        schema: SCHEMA.into(),
        tool: String::new(),
        host: "h1".into(),
        boot_id: "b".into(),
        scope: "xdp-eth0".into(),
        ifname: "eth0".into(),
        ifindex: 2,
        epoch: "e".into(),
        attached_boot_ns: START_S * S,
        program_sha256: String::new(),
        evidence: "frozen".into(),
        xdp_mode: "native".into(),
        period_ms: 10_000,
        max_sources: 10,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: Vec::new(),
        dst_port_ranges: Vec::new(),
    }
}

struct Maker<'a> {
    fold: UnitFold<'a>,
    seq: u64,
    at_s: u64,
    syn: u64,
    line: u64,
}

impl<'a> Maker<'a> {
    fn new(rules: &'a Compiled) -> Self {
        Self::of_day(rules, 0)
    }

    fn of_day(rules: &'a Compiled, day: u32) -> Self {
        let header = header();
        let id = UnitId { stream: StreamId::from(&header), day };
        let mut fold = UnitFold::new(id, rules, Partition::WHOLE);
        fold.begin("a.jsonl", &header);
        Self { fold, seq: 0, at_s: START_S, syn: 0, line: 1 }
    }

    fn add(&mut self, row: Row) {
        self.line += 1;
        self.fold.add(self.line, row);
    }

    fn source(&self) -> Source {
        Source {
            seq: self.seq,
            src: "192.0.2.1".parse().expect("an address"),
            dst_port: 443,
            syn: self.syn,
            ack: 0,
            handshakes: 0,
            fin: 0,
            rst: 0,
            packets: self.syn,
            bytes: self.syn * 60,
            proven: None,
            born_boot_ns: START_S * S,
            last_boot_ns: 0,
        }
    }

    fn sweep(&self, since_s: u64) -> Sweep {
        let (received, passed, tracked) = (self.syn, self.syn, self.syn);
        Sweep {
            seq: self.seq,
            merged_from_seq: None,
            since_boot_ns: if self.seq == 1 { 0 } else { since_s * S },
            at_boot_ns: self.at_s * S,
            at_unix_ms: self.at_s * 1000,
            rows: 1,
            entries: 1,
            max_entries: 10,
            attributed: self.syn,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: Totals { received, passed, tracked, ..Totals::default() },
            losses: Vec::new(),
            rx_packets: None,
            attached: true,
            read_us: 0,
        }
    }

    /// `seconds` further, with `syn` more SYN.
    fn step(&mut self, seconds: u64, syn: u64) {
        let since_s = self.at_s;
        self.seq += 1;
        self.at_s += seconds;
        self.syn += syn;
        self.add(Row::Source(self.source()));
        self.add(Row::Sweep(Box::new(self.sweep(since_s))));
    }

    fn finish(mut self) -> (UnitFacts, SourceFacts) {
        self.fold.end();
        let mut unit = self.fold.finish();
        let (_, facts) =
            unit.sources.pop().unwrap_or_else(|| (self_address(), SourceFacts::default()));
        (unit.facts, facts)
    }
}

fn self_address() -> ibsr_proto::addr::SourceAddr {
    "192.0.2.1".parse().expect("an address")
}

/// SYN while the rule acts.
fn acted(facts: &SourceFacts) -> u64 {
    facts.acted.iter().flat_map(|acted| &acted.by).map(|(_, booked)| booked.syn).sum()
}

/// SYN with a rate.
fn timed(facts: &UnitFacts) -> u64 {
    facts.buckets.values().map(|bucket| bucket.all.syn).sum()
}

/// Windows 0 to 2 decide, 3 is the delay: 4 and 5 are acted on.
#[test]
fn a_flood_is_acted_on_from_the_window_behind_the_delay() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    (0..6).for_each(|_| maker.step(10, 1000));
    let (unit, facts) = maker.finish();
    assert_eq!(unit.rejects.count, 0);
    assert_eq!((timed(&unit), acted(&facts)), (6000, 2000));
    assert_eq!(facts.peak.map(|peak| (peak.syn, peak.at_unix_ms)), Some((1000, 1_000_000)));
    let acted = facts.acted.expect("acted on");
    assert_eq!(acted.marks[0].1.delay_ms, 40_000);
    let load: u64 = unit.ports.values().map(|load| load.syn).sum();
    assert_eq!(load, 2000);
}

/// A sweep that ends behind the window's edge makes the rule wait for it: windows 0 and 1
/// are complete at 25 s, 2 to 4 at 50 s, so it acts from window 6 on.
#[test]
fn evidence_that_comes_late_acts_late() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    (0..3).for_each(|_| maker.step(25, 2500));
    assert_eq!(acted(&maker.finish().1), 1500);
}

#[test]
fn one_syn_less_in_one_window_and_nothing_happens() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    for syn in [1000, 1000, 999, 1000, 1000, 999, 0, 0] {
        maker.step(10, syn);
    }
    assert_eq!(maker.finish().1.acted, None);
}

/// The day before decided; the day acts. Each books its own.
#[test]
fn a_flood_over_midnight_is_acted_on_without_a_break() {
    let rules = rules();
    let booked = |day| {
        let mut maker = Maker::of_day(&rules, day);
        maker.at_s = 86_400 - 120;
        (0..18).for_each(|_| maker.step(10, 1000));
        let (unit, facts) = maker.finish();
        (facts.counts.syn, timed(&unit), acted(&facts), facts.days)
    };
    // The first sweep has no rate, three windows decide, one is the delay: 86,330 s is the
    // first second that is acted on. The sweep that ends at midnight is the new day's.
    assert_eq!(booked(0).2, 6000);
    assert_eq!((booked(1).0, booked(1).2), (7000, 7000));
    assert_eq!((booked(0).3, booked(1).3), (vec![(0, 0)], vec![(1, 0)]));
    assert_eq!(booked(2), (0, 0, 0, vec![]));
}

/// A gap ends a streak: what happened in it is not known.
#[test]
fn windows_on_both_sides_of_a_gap_are_no_streak() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 1000);
    maker.step(10, 1000);
    maker.step(40, 4000);
    maker.step(10, 1000);
    maker.step(10, 1000);
    maker.step(10, 0);
    let (facts, totals) = maker.finish();
    assert_eq!(acted(&totals), 0);
    assert_eq!((totals.counts.syn, totals.untimed_syn), (8000, 4000));
    assert_eq!(timed(&facts), 4000);
    assert_eq!(facts.gaps.iter().map(|gap| gap.why).collect::<Vec<_>>(), [Why::Late]);
}

/// Every SYN with a rate is in one window, whatever the sweeps' rhythm.
#[test]
fn windows_hold_every_timed_syn_once() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    for (at, seconds) in (1..).zip([3, 7, 11, 13, 1, 29, 2, 10, 17]) {
        maker.step(seconds, at * 97);
    }
    let (facts, totals) = maker.finish();
    assert_eq!(totals.untimed_syn, 0);
    assert_eq!(timed(&facts), totals.counts.syn);
}

/// P1: rows without their `sweep` row, as a crash leaves them, belong to nothing.
#[test]
fn rows_that_no_sweep_closes_are_rejected_by_line() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    maker.seq += 1;
    maker.add(Row::Source(maker.source()));
    let (facts, totals) = maker.finish();
    let rejects = &facts.rejects;
    assert_eq!((facts.rows, totals.counts.syn), (1, 5));
    assert_eq!((rejects.count, rejects.examples[0].line), (1, 4));
}

/// When a `sweep` row is lost, its sources stand above the next one: they must not be taken
/// for that one's.
#[test]
fn rows_of_another_sweep_are_rejected_and_the_hole_is_a_gap() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    maker.seq += 1;
    maker.syn += 5;
    maker.add(Row::Source(maker.source()));
    maker.at_s += 10;
    maker.step(10, 5);
    let (facts, totals) = maker.finish();
    let rejects = &facts.rejects;
    assert_eq!(rejects.count, 1);
    assert!(rejects.examples[0].reason.contains("sweep 2 inside sweep 3"));
    assert_eq!((totals.counts.syn, totals.untimed_syn), (15, 10));
    assert_eq!(facts.gaps[0].why, Why::Missing);
}

/// P2: the same sweep twice counts once.
#[test]
fn a_sweep_that_comes_again_is_counted_as_such_and_not_again() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    maker.add(Row::Source(maker.source()));
    maker.add(Row::Sweep(Box::new(maker.sweep(0))));
    let (facts, totals) = maker.finish();
    let rejects = &facts.rejects;
    assert_eq!((facts.sweeps, facts.duplicates, rejects.count), (1, 1, 0));
    assert_eq!(totals.counts.syn, 5);
}

#[test]
fn a_clock_that_goes_backwards_rejects_the_sweep_with_its_rows() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    maker.at_s -= 20;
    maker.step(10, 5);
    let (facts, totals) = maker.finish();
    let rejects = &facts.rejects;
    assert_eq!((facts.sweeps, totals.counts.syn, rejects.count), (1, 5, 2));
}

/// A stated gap explains a hole, also when it is written after it, and is listed once.
#[test]
fn a_gap_that_is_found_and_stated_is_one_gap_with_the_readers_reason() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    maker.seq += 2;
    maker.at_s += 20;
    maker.step(10, 5);
    let stated = |from_s, to_s, reason| {
        Row::Gap(Gap {
            from_boot_ns: from_s * S,
            to_boot_ns: to_s * S,
            reason,
            segment: Some("x.jsonl".into()),
        })
    };
    maker.add(stated(START_S + 10, START_S + 30, GapReason::Retention));
    maker.add(stated(START_S - 50, START_S - 10, GapReason::Detached));
    maker.step(10, 5);
    let (facts, _) = maker.finish();
    let gaps: Vec<_> =
        facts.gaps.iter().map(|gap| (gap.why, gap.span_unix_ms, gap.segment.is_some())).collect();
    assert_eq!(
        gaps,
        [(Why::Detached, (950_000, 990_000), true), (Why::Retention, (1_010_000, 1_040_000), true)]
    );
}

/// The program was off for a moment inside an interval that looks ordinary.
#[test]
fn a_gap_row_inside_an_interval_takes_its_rates() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.step(10, 5);
    let (from_boot_ns, to_boot_ns) = ((START_S + 13) * S, (START_S + 14) * S);
    let reason = GapReason::Detached;
    maker.add(Row::Gap(Gap { from_boot_ns, to_boot_ns, reason, segment: None }));
    maker.step(10, 5);
    let (facts, totals) = maker.finish();
    assert_eq!(totals.untimed_syn, 5);
    assert_eq!(facts.gaps.len(), 1);
}

#[test]
fn rows_of_unknown_types_are_counted_and_a_second_header_is_rejected() {
    let rules = rules();
    let mut maker = Maker::new(&rules);
    maker.add(Row::Unknown("flow".into()));
    maker.add(Row::Header(Box::new(header())));
    maker.step(10, 5);
    let (facts, _) = maker.finish();
    let rejects = &facts.rejects;
    assert_eq!((facts.unknown, rejects.count), (1, 1));
}
