// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader comes and goes; the kernel counts on. Whatever happened, the files hold what
//! was sent, to the packet.

use ibsr_tests::process::{Running, wait_until};
use rustix::process::Signal;
use test_tag::tag;

use crate::sealed::Story;
use crate::wire::{SCOPE, SOON, Wire, source};

#[track_caller]
fn assert_counts(story: &Story, sources: u32, each: u64) {
    let epoch = story.epochs()[0].to_owned();
    let packets = story.packets(&epoch);
    assert_eq!(packets.len(), sources as usize);
    for number in 0..sources {
        assert_eq!(packets[&source(number)], each, "source {number}");
    }
    let last = story.last();
    let sent = u64::from(sources) * each;
    assert_eq!((last.totals.tracked, last.evicted, last.attributed), (sent, 0, sent));
}

#[track_caller]
fn end(mut running: Running) {
    running.signal(Signal::TERM);
    assert!(running.wait(SOON).success());
}

/// R1: kill -9 at any moment, SIGTERM and restarts: no packet is missing, no `seq` is used
/// twice, every file is whole.
#[tag(root)]
#[test]
fn kills_and_restarts_lose_no_counted_packet() {
    let wire = Wire::new();
    wire.attach("--dst-port 443");
    for round in 0..3 {
        let mut running = wire.start("50ms", "--segment-age 200ms");
        wire.wait_for_sweeps(1);
        wire.send(40, 5);
        if round == 1 {
            wire.wait_for_sweeps(1);
        }
        running.signal(Signal::KILL);
        assert!(!running.wait(SOON).success());
        wire.send(40, 5);
    }
    let running = wire.start("50ms", "");
    wire.wait_for_sweeps(1);
    wire.send(40, 2);
    end(running);
    wire.send(40, 3);
    let running = wire.start("50ms", "");
    wire.wait_for_sweeps(1);
    end(running);

    let story = wire.story();
    assert_counts(&story, 40, 35);
    assert_eq!(story.epochs().len(), 1);
    assert!(story.gaps().is_empty(), "{:?}", story.gaps());
    assert!(story.segments.iter().any(|segment| segment.footer.recovered), "a kill was recovered");
}

/// SIGTERM: what was counted since the last period is in the file too.
#[tag(root)]
#[test]
fn the_last_sweep_of_a_stopped_reader_holds_what_came_since_the_period() {
    let wire = Wire::new();
    wire.attach("");
    let mut command = wire.reader("run");
    let running = Running::start(command.args(["--period", "1h"]));
    wait_until("the first sweep is written", SOON, || wire.part().is_some());
    wire.send(10, 7);
    end(running);
    assert_counts(&wire.story(), 10, 7);
}

/// Coverage: the interface's own counter and the program's agree to the packet.
#[tag(root)]
#[test]
fn sweeps_carry_the_interfaces_own_counter() {
    let wire = Wire::new();
    wire.attach("");
    let running = wire.start("50ms", "");
    wire.wait_for_sweeps(1);
    wire.send(10, 50);
    wire.wait_for_sweeps(2);
    end(running);
    let story = wire.story();
    let (first, last) = (&story.sweeps().next().expect("a sweep").0, story.last());
    let counted = last.totals.passed - first.totals.passed;
    let arrived = last.rx_packets.expect("in sight") - first.rx_packets.expect("in sight");
    assert_eq!(counted, arrived);
    assert_eq!(last.totals.tracked - first.totals.tracked, 500);
    assert!(story.sweeps().all(|(sweep, _)| sweep.attached));
    assert_eq!(story.segments[0].header.scope, SCOPE);
}

/// R9: far more sources than entries, all the while: no sweep lists one twice, the law
/// holds in each, what was lost is counted, and a sweep stays short. On a busy machine the
/// sweeps of a reader may all fall between packets: then it begins again.
#[tag(root)]
#[test]
fn churn_during_sweeps_is_bounded_and_counted() {
    const ENTRIES: u64 = 4096;
    const TRIES: u64 = 10;
    let wire = Wire::new();
    wire.attach("--max-sources 4096");
    let (mut story, mut sent) = (None, 0);
    while sent < TRIES * 200_000 {
        let running = wire.start("5ms", "");
        wire.wait_for_sweeps(1);
        wire.send(50_000, 4);
        end(running);
        sent += 200_000;
        let read = story.insert(wire.story());
        if read.sweeps().any(|(sweep, _)| sweep.during_read > 0) {
            break;
        }
    }
    let story = story.expect("it was tried");
    let last = story.last();
    assert_eq!(last.totals.tracked, sent);
    let missed = last.totals.missed() + last.totals.insert_failed;
    assert!(last.evicted >= ENTRIES, "{last:?}");
    assert_eq!(last.attributed + last.evicted + missed, sent);
    let busy = story.sweeps().filter(|(sweep, _)| sweep.during_read > 0).count();
    assert!(busy > 0, "no sweep met traffic");
    for (sweep, _) in story.sweeps() {
        assert!(sweep.entries <= 2 * ENTRIES, "{sweep:?}");
        assert!(sweep.read_us < 10_000_000, "{sweep:?}");
    }
}
