// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two CPUs on the same frames at the same time. Each test breaks when the one line of the
//! program that settles its race is weakened.

use std::sync::atomic::{AtomicU32, Ordering};

use ibsr_proto::abi::{ProofKind, Table};
use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, flag};
use ibsr_tests::prog::{Compiled, Knobs, Sensor, TABLES, compilers};
use rustix::thread::{CpuSet, sched_setaffinity};
use test_tag::tag;

const SOURCES: u32 = 20_000;

/// Of the lock of a set a CPU lets go soon, unless its host halts it in between: the other then
/// gives up, and says so. More often on a busy host, never often.
const GIVEN_UP: u64 = SOURCES as u64 / 20;

/// How long to wait for the other CPU before the scheduler may run somebody else.
const SPINS: u32 = 1_000;

fn frame(number: u32, flags: u8, seq: u32) -> Vec<u8> {
    Frame::v4(0x0a00_0000 + number, [10, 77, 0, 1]).flags(flags).seq(seq).build()
}

/// The sensor with one of its tables.
fn load(table: Table, max_sources: u32, knobs: Knobs<'_>) -> Sensor {
    let compiled = Compiled::sensor(&compilers().pop().expect("a compiler"));
    Sensor::load_with(&compiled, table, &PortSet::all(), max_sources, knobs)
}

/// Every source gets an entry with its first packet.
const ADMITS_FIRST: Knobs<'_> = &[("ibsr_admits_first", &[1])];

/// Shows the frame of every number to the sensor on both CPUs, in step.
fn on_both_cpus(sensor: &Sensor, frame: impl Fn(u32) -> Vec<u8> + Sync) {
    let steps = [AtomicU32::new(0), AtomicU32::new(0)];
    let run = |cpu: usize| {
        let mut only = CpuSet::new();
        only.set(cpu);
        sched_setaffinity(None, &only).expect("this machine has two CPUs");
        for number in 0..SOURCES {
            let frame = frame(number);
            steps[cpu].store(number + 1, Ordering::Release);
            wait_for(&steps[1 - cpu], number + 1);
            sensor.see(&frame);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| run(0));
        scope.spawn(|| run(1));
    });
}

fn wait_for(step: &AtomicU32, reached: u32) {
    let mut spins = 0;
    while step.load(Ordering::Acquire) < reached {
        spins += 1;
        match spins % SPINS {
            0 => std::thread::yield_now(),
            _ => std::hint::spin_loop(),
        }
    }
}

/// X8: two CPUs see the first packets of the same sources. What both count must be there,
/// whoever made the entry.
#[tag(root)]
#[test]
fn no_count_is_lost_when_two_cpus_meet_a_new_source() {
    for table in TABLES {
        let sensor = load(table, 1 << 16, ADMITS_FIRST);
        on_both_cpus(&sensor, |number| frame(number, flag::SYN, 1));
        let totals = sensor.totals();
        let failed = totals.insert_failed;
        let few = if table == Table::Sets { GIVEN_UP } else { 0 };
        assert!(failed <= few, "{failed} inserts failed");
        let entries = sensor.entries();
        assert_eq!(entries.len() as u32, SOURCES, "{table:?}");
        assert!(entries.iter().all(|(.., source)| source.packets == source.syn));
        let attributed: u64 = entries.iter().map(|(.., source)| source.packets).sum();
        assert_eq!((totals.tracked, attributed + failed), (2 * u64::from(SOURCES), totals.tracked));
        assert_eq!(totals.inserted, u64::from(SOURCES));
    }
}

/// X8: the same at the doorkeeper. The packet that waits is given back once or lost once,
/// whoever comes second, so each is in an entry or among what no source is charged with.
#[tag(root)]
#[test]
fn no_count_is_lost_or_doubled_when_two_cpus_knock_for_one_source() {
    for table in TABLES {
        let sensor = load(table, 1 << 16, &[]);
        on_both_cpus(&sensor, |number| frame(number, flag::SYN, 1));
        let (totals, sources) = (sensor.totals(), sensor.sources());
        assert_eq!(totals.tracked, 2 * u64::from(SOURCES));
        assert!(totals.insert_failed <= GIVEN_UP, "{totals:?}");
        assert!(sources.values().all(|source| source.packets == source.syn && source.packets <= 2));
        let attributed = sources.values().map(|source| source.packets).sum();
        assert_eq!(totals.evicted(attributed), Ok(0), "{totals:?}");
        assert!(totals.missed() < u64::from(SOURCES) / 100, "{totals:?}");
    }
}

/// X8: two CPUs see the ACK of one handshake, which must be counted once.
#[tag(root)]
#[test]
fn a_handshake_is_counted_once_when_two_cpus_see_its_ack() {
    for table in TABLES {
        let sensor = load(table, 1 << 16, ADMITS_FIRST);
        for number in 0..SOURCES {
            sensor.see(&frame(number, flag::SYN, 1));
        }
        on_both_cpus(&sensor, |number| frame(number, flag::ACK, 2));
        let lost = sensor.totals().pending_lost;
        let handshakes: u64 = sensor.sources().values().map(|source| source.handshakes).sum();
        assert_eq!(handshakes, u64::from(SOURCES) - lost, "{table:?}");
    }
}

/// X8: two CPUs push sources out of a table that is far too small while they count. Whatever is
/// evicted in the midst of it, each packet is in an entry, in `evicted`, or a failed insert.
#[tag(root)]
#[test]
fn no_count_is_lost_when_two_cpus_evict_each_others_sources() {
    // A set has eight ways: these have eight times as many sources.
    let sensor = load(Table::Sets, SOURCES / 16, ADMITS_FIRST);
    for _round in 0..3 {
        on_both_cpus(&sensor, |number| frame(number % (SOURCES / 4), flag::ACK, 1));
    }
    let (totals, entries) = (sensor.totals(), sensor.entries());
    let attributed: u64 = entries.iter().map(|(.., source)| source.packets).sum();
    assert_eq!(totals.tracked, 6 * u64::from(SOURCES));
    assert!(totals.evicted > u64::from(SOURCES), "{totals:?}");
    assert_eq!(totals.evicted(attributed), Ok(totals.evicted), "{totals:?}");
    let mut keys: Vec<_> = entries.iter().map(|(_, key, _)| *key).collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), entries.len(), "a source has two entries");
}

/// X8: two CPUs see what proves a source. It is counted as proven once.
#[tag(root)]
#[test]
fn a_source_is_proven_once_when_two_cpus_see_its_proof() {
    let proof = (ProofKind::Handshake as u32).to_ne_bytes();
    let sensor = load(Table::Sets, 1 << 16, &[("ibsr_admits_first", &[1]), ("ibsr_proof", &proof)]);
    for number in 0..SOURCES {
        sensor.see(&frame(number, flag::SYN, 1));
    }
    on_both_cpus(&sensor, |number| frame(number, flag::ACK, 2));
    let totals = sensor.totals();
    assert_eq!(totals.promoted, u64::from(SOURCES) - totals.pending_lost);
    let entries = sensor.entries();
    assert_eq!(entries.iter().filter(|(is_proven, ..)| *is_proven).count() as u64, totals.promoted);
    assert!(
        entries.iter().all(|(.., source)| (source.packets, source.syn, source.ack) == (3, 1, 2))
    );
}
