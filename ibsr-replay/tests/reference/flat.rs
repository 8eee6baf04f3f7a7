// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both replays as one sorted list of numbers with names, so that the first difference has
//! a name too. Zeros are left out.

use std::collections::BTreeMap;

use ibsr_proto::snapshot::Row;
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::facts::{FoldedUnit, UnitId};
use ibsr_replay::fold::gaps::GapFact;
use ibsr_replay::fold::horizon::Partition;
use ibsr_replay::fold::source_facts::SourceFacts;
use ibsr_replay::fold::unit::UnitFold;
use ibsr_replay::fold::vector::Vector;
use ibsr_replay::rules::ast::MAX_RULES;

use super::make::Input;
use super::slow::{self, SourceResult, Stream, UnitResult};

/// Numbers by name.
pub type Flat = BTreeMap<String, u128>;

/// What the slow replay says.
pub fn by_reference(input: &Input, reached: &mut Reached) -> Flat {
    let mut flat = Flat::new();
    for (number, stream) in input.streams.iter().enumerate() {
        for unit in slow::replay(stream, &input.settings) {
            add_slow(&mut flat, &format!("stream {number} day {}", unit.day), &unit);
            reached.add(&unit);
        }
    }
    flat
}

/// What a run of inputs has reached: an agreement about nothing proves nothing.
#[derive(Debug, Default)]
pub struct Reached {
    /// Units.
    pub units: u64,
    /// Of these without a gap.
    pub whole_units: u64,
    /// Stretches without rates.
    pub gaps: u64,
    /// Sources by unit.
    pub sources: u64,
    /// Of these with something acted on.
    pub acted: u64,
    /// Of these with something that has no rate.
    pub untimed: u64,
    /// Vectors in which two rules act.
    pub together: u64,
    /// Decisions that a list prevented.
    pub allow: u64,
    /// Decisions that a handshake prevented.
    pub established: u64,
    /// Decisions that a shared address prevented.
    pub shared: u64,
    /// Shares that went to an excepted port.
    pub port: u64,
}

impl Reached {
    fn add(&mut self, unit: &UnitResult) {
        self.units += 1;
        self.whole_units += u64::from(unit.gaps.is_empty());
        self.gaps += unit.gaps.len() as u64;
        self.allow += unit.saved.allow;
        self.established += unit.saved.established;
        self.shared += unit.saved.shared;
        self.port += unit.saved.port;
        for source in unit.sources.values() {
            self.sources += 1;
            self.acted += u64::from(!source.acted.is_empty());
            self.untimed += u64::from(!source.untimed.is_zero());
            let rules = |vector: &u32| (0..8).filter(|at| vector >> (4 * at) & 15 > 0).count();
            self.together += source.acted.keys().filter(|vector| rules(vector) > 1).count() as u64;
        }
    }
}

/// What the engine says, its sources folded in so many shares.
pub fn by_engine(input: &Input, shares: u32) -> Flat {
    let compiled = Compiled::new(input.settings.rules.clone(), input.settings.window_ns);
    let mut flat = Flat::new();
    for (number, stream) in input.streams.iter().enumerate() {
        for day in slow::days(stream) {
            let unit = folded(stream, day, &compiled, shares);
            add_engine(&mut flat, &format!("stream {number} day {day}"), day, &unit, stream);
        }
    }
    flat
}

fn folded(stream: &Stream, day: u32, rules: &Compiled, shares: u32) -> FoldedUnit {
    let share = |index| fold(stream, day, rules, Partition { index, of: shares });
    let mut whole = share(0);
    for part in (1..shares).map(share) {
        whole.facts.join(part.facts);
        whole.sources.extend(part.sources);
    }
    whole
}

fn fold(stream: &Stream, day: u32, rules: &Compiled, partition: Partition) -> FoldedUnit {
    let (header, _) = &stream.segments[0];
    let mut fold = UnitFold::new(UnitId { stream: header.into(), day }, rules, partition);
    for (number, (header, rows)) in stream.segments.iter().enumerate() {
        fold.begin(&format!("segment-{number}"), header);
        for (line, row) in rows.iter().enumerate() {
            fold.add(line as u64 + 2, row.clone());
        }
        fold.end();
    }
    fold.finish()
}

fn put(flat: &mut Flat, name: &str, value: u128) {
    if value > 0 {
        *flat.entry(name.to_owned()).or_default() += value;
    }
}

fn add_slow(flat: &mut Flat, at: &str, unit: &UnitResult) {
    let positive = |ns: i128| u128::try_from(ns).expect("lengths are positive");
    put(flat, &format!("{at} timed_ns"), positive(unit.timed_ns));
    put(flat, &format!("{at} untimed_ns"), positive(unit.untimed_ns));
    for (from_ns, to_ns) in &unit.gaps {
        put(flat, &format!("{at} gap from {from_ns}"), positive(*to_ns));
    }
    for ((port, vector), tally) in &unit.ports {
        put(flat, &format!("{at} port {port} {vector:#x} syn"), tally.syn);
        put(flat, &format!("{at} port {port} {vector:#x} packets"), tally.packets);
    }
    for source in unit.sources.values() {
        put(flat, &format!("{at} rated syn"), source.all.syn - source.untimed.syn);
        put(flat, &format!("{at} rated packets"), source.all.packets - source.untimed.packets);
        for (vector, tally) in &source.acted {
            put(flat, &format!("{at} in time {vector:#x} syn"), tally.syn);
            put(flat, &format!("{at} in time {vector:#x} packets"), tally.packets);
        }
    }
    for (src, source) in &unit.sources {
        add_slow_source(flat, &format!("{at} source {src}"), source);
    }
}

fn add_slow_source(flat: &mut Flat, at: &str, source: &SourceResult) {
    let all = &source.all;
    let counts = [all.syn, all.ack, all.handshakes, all.fin, all.rst, all.packets, all.bytes];
    for (name, count) in
        ["syn", "ack", "handshakes", "fin", "rst", "packets", "bytes"].into_iter().zip(counts)
    {
        put(flat, &format!("{at} {name}"), count);
    }
    put(flat, &format!("{at} untimed syn"), source.untimed.syn);
    put(flat, &format!("{at} untimed packets"), source.untimed.packets);
    put(flat, &format!("{at} ports"), source.ports.len() as u128);
    put(flat, &format!("{at} days"), u128::from(!all.is_zero()));
    for (vector, tally) in &source.acted {
        put(flat, &format!("{at} {vector:#x} syn"), tally.syn);
        put(flat, &format!("{at} {vector:#x} handshakes"), tally.handshakes);
        put(flat, &format!("{at} {vector:#x} packets"), tally.packets);
        put(flat, &format!("{at} {vector:#x} bytes"), tally.bytes);
    }
}

/// Four bits a rule, rule 0 lowest.
fn bits(vector: Vector) -> u32 {
    (0..MAX_RULES).map(|rule| u32::from(vector.level(rule)) << (4 * rule)).sum()
}

/// Gap rows of a stream.
fn stated(stream: &Stream) -> Vec<Option<(u64, u64)>> {
    let rows = stream.segments.iter().flat_map(|(_, rows)| rows);
    rows.filter_map(|row| match row {
        Row::Gap(gap) => Some(Some((gap.from_boot_ns, gap.to_boot_ns))),
        _ => None,
    })
    .collect()
}

fn add_engine(flat: &mut Flat, at: &str, day: u32, unit: &FoldedUnit, stream: &Stream) {
    let stated = stated(stream);
    put(flat, &format!("{at} timed_ns"), unit.facts.timed_ns.into());
    put(flat, &format!("{at} untimed_ns"), unit.facts.untimed_ns.into());
    // Stated gaps that no interval meets are listed too; intervals are what is compared.
    let is_stated =
        |gap: &&GapFact| stated.contains(&gap.over.map(|over| (over.from_ns, over.to_ns)));
    for over in unit.facts.gaps.iter().filter(|gap| !is_stated(gap)).filter_map(|gap| gap.over) {
        put(flat, &format!("{at} gap from {}", over.from_ns), over.to_ns.into());
    }
    for ((port, vector), load) in unit.facts.ports.iter().filter(|((_, v), _)| !v.is_none()) {
        let vector = bits(*vector);
        put(flat, &format!("{at} port {port} {vector:#x} syn"), load.syn.into());
        put(flat, &format!("{at} port {port} {vector:#x} packets"), load.packets.into());
    }
    for bucket in unit.facts.buckets.values() {
        put(flat, &format!("{at} rated syn"), bucket.all.syn.into());
        put(flat, &format!("{at} rated packets"), bucket.all.packets.into());
        for (vector, load) in &bucket.acted {
            let vector = bits(*vector);
            put(flat, &format!("{at} in time {vector:#x} syn"), load.syn.into());
            put(flat, &format!("{at} in time {vector:#x} packets"), load.packets.into());
        }
    }
    for (src, source) in &unit.sources {
        add_engine_source(flat, &format!("{at} source {src}"), day, source);
    }
}

fn add_engine_source(flat: &mut Flat, at: &str, day: u32, source: &SourceFacts) {
    let all = &source.counts;
    let counts = [all.syn, all.ack, all.handshakes, all.fin, all.rst, all.packets, all.bytes];
    for (name, count) in
        ["syn", "ack", "handshakes", "fin", "rst", "packets", "bytes"].into_iter().zip(counts)
    {
        put(flat, &format!("{at} {name}"), count.into());
    }
    put(flat, &format!("{at} untimed syn"), source.untimed_syn.into());
    put(flat, &format!("{at} untimed packets"), source.untimed_packets.into());
    put(flat, &format!("{at} ports"), source.ports.into());
    put(flat, &format!("{at} days"), source.days.len() as u128);
    for (day_of, handshakes) in &source.days {
        assert_eq!((*day_of, *handshakes), (day, all.handshakes), "{at}");
    }
    for ((day_of, vector), booked) in source.acted.iter().flat_map(|acted| &acted.by) {
        assert_eq!(*day_of, day, "{at}");
        let vector = bits(*vector);
        put(flat, &format!("{at} {vector:#x} syn"), booked.syn.into());
        put(flat, &format!("{at} {vector:#x} handshakes"), booked.handshakes.into());
        put(flat, &format!("{at} {vector:#x} packets"), booked.packets.into());
        put(flat, &format!("{at} {vector:#x} bytes"), booked.bytes.into());
    }
}
