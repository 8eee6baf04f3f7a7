// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two CPUs on the same frames at the same time. Each test breaks when the one line of the
//! program that settles its race is weakened.

use std::sync::atomic::{AtomicU32, Ordering};

use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, flag};
use ibsr_tests::prog::{Compiled, Sensor, compilers};
use rustix::thread::{CpuSet, sched_setaffinity};
use test_tag::tag;

const SOURCES: u32 = 20_000;

/// How long to wait for the other CPU before the scheduler may run somebody else.
const SPINS: u32 = 1_000;

fn frame(number: u32, flags: u8, seq: u32) -> Vec<u8> {
    Frame::v4(0x0a00_0000 + number, [10, 77, 0, 1]).flags(flags).seq(seq).build()
}

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
    let sensor = Sensor::load(&PortSet::all(), 1 << 16);
    on_both_cpus(&sensor, |number| frame(number, flag::SYN, 1));
    let totals = sensor.totals();
    assert_eq!((totals.tracked, totals.insert_failed), (2 * u64::from(SOURCES), 0));
    let sources = sensor.sources();
    assert_eq!(sources.len() as u32, SOURCES);
    assert!(sources.values().all(|source| (source.packets, source.syn) == (2, 2)));
    assert_eq!(totals.inserted, u64::from(SOURCES));
}

/// X8: the same at the doorkeeper. The packet that waits is given back once or lost once,
/// whoever comes second, so each is in an entry or among what no source is charged with.
#[tag(root)]
#[test]
fn no_count_is_lost_or_doubled_when_two_cpus_knock_for_one_source() {
    let compiled = Compiled::sensor(&compilers().pop().expect("a compiler"));
    let sensor = Sensor::load_with(&compiled, &PortSet::all(), 1 << 16, &[]);
    on_both_cpus(&sensor, |number| frame(number, flag::SYN, 1));
    let (totals, sources) = (sensor.totals(), sensor.sources());
    assert_eq!((totals.tracked, totals.insert_failed), (2 * u64::from(SOURCES), 0));
    assert!(sources.values().all(|source| source.packets == source.syn && source.packets <= 2));
    let attributed = sources.values().map(|source| source.packets).sum();
    assert_eq!(totals.evicted(attributed), Ok(0), "{totals:?}");
    assert!(totals.missed() < u64::from(SOURCES) / 100, "{totals:?}");
}

/// X8: two CPUs see the ACK of one handshake, which must be counted once.
#[tag(root)]
#[test]
fn a_handshake_is_counted_once_when_two_cpus_see_its_ack() {
    let sensor = Sensor::load(&PortSet::all(), 1 << 16);
    for number in 0..SOURCES {
        sensor.see(&frame(number, flag::SYN, 1));
    }
    on_both_cpus(&sensor, |number| frame(number, flag::ACK, 2));
    let lost = sensor.totals().pending_lost;
    let handshakes: u64 = sensor.sources().values().map(|source| source.handshakes).sum();
    assert_eq!(handshakes, u64::from(SOURCES) - lost);
}
