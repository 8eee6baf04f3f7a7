// SPDX-License-Identifier: MIT OR Apache-2.0
//! `s3 watch`: a sealed segment arrives within seconds, without waiting for the rescan; a
//! file that is being written never does; SIGTERM ends it cleanly.

use std::fs;

use ibsr_tests::process::wait_until;
use ibsr_tests::s3::faults::{INTERNAL_ERROR, Op, Rule};
use ibsr_tests::segments::{SegmentSpec, Traffic};
use rustix::process::Signal;

use crate::rig::{LIMIT, Rig};

/// So rare that whatever arrives was noticed, not found.
const NO_RESCAN: [&str; 2] = ["--rescan", "1h"];

fn spec(scope: &str, seq: u64) -> SegmentSpec {
    let sweeps = Traffic::new(seq, 2).sweeps(1);
    SegmentSpec { scope: scope.into(), first_seq: seq, sweeps, ..SegmentSpec::default() }
}

#[test]
fn a_sealed_segment_arrives_and_a_part_does_not() {
    let rig = Rig::new();
    let mut segments = rig.segments(1);
    let mut watch = rig.start("watch", &NO_RESCAN);
    wait_until("what lay there", LIMIT, || rig.server.stored_count() == 1);

    let part = spec("xdp-eth0", 98);
    fs::write(rig.spool().join("xdp-eth0").join(part.name().part_name()), part.bytes()).unwrap();
    segments.push(spec("xdp-eth0", 99).write(&rig.spool()));
    wait_until("a new segment", LIMIT, || rig.server.stored_count() == 2);

    // A sensor that is added later makes a new directory.
    segments.push(spec("xdp-eth1", 7).write(&rig.spool()));
    wait_until("a new scope", LIMIT, || rig.server.stored_count() == 3);
    segments.push(spec("xdp-eth1", 8).write(&rig.spool()));
    wait_until("the new scope again", LIMIT, || rig.server.stored_count() == 4);

    watch.signal(Signal::TERM);
    assert_eq!(watch.wait(LIMIT).code(), Some(0));
    rig.expect_uploaded(&segments);
    assert!(!rig.by_name().contains_key(&part.name().to_string()));
}

/// E2: what could not be sent is tried again at the next rescan, without anything new.
#[test]
fn what_was_left_over_is_tried_again() {
    let rig = Rig::new();
    let segments = rig.segments(2);
    rig.server.fail(Rule::refuse(INTERNAL_ERROR).on(Op::Put).times(4));
    let mut watch = rig.start("watch", &["--rescan", "1s", "--retries", "0"]);
    wait_until("both", LIMIT, || rig.server.stored_count() == 2);
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait(LIMIT).code(), Some(0));
    rig.expect_uploaded(&segments);
}

/// SIGTERM lets the segments in flight finish, and no more.
#[test]
fn a_stop_leaves_the_rest_for_later() {
    let rig = Rig::new();
    let segments = rig.segments(400);
    let mut watch = rig.start("watch", &NO_RESCAN);
    wait_until("some", LIMIT, || rig.server.stored_count() > 10);
    watch.signal(Signal::TERM);
    assert_eq!(watch.wait(LIMIT).code(), Some(0));
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}
