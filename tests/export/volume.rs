// SPDX-License-Identifier: MIT OR Apache-2.0
//! E9: a backlog of 100,000 segments, and two exporters at once.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use ibsr_tests::process::{Running, say, wait_until};
use ibsr_tests::s3::faults::{Fault, Op, Rule};
use rustix::process::Signal;

use crate::rig::{LIMIT, Rig};

const BACKLOG: u64 = 100_000;
/// The list takes about 200 bytes a segment, the SDK and its threads the rest.
const MAX_RSS_KIB: u64 = 96 * 1024;
/// Bound on a walk over the backlog on a busy machine.
const WALK_LIMIT: Duration = Duration::from_secs(120);

/// Highest resident size so far; `None` once the process is gone.
fn peak_rss_kib(export: &Running) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", export.pid())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// E9: memory does not grow with the backlog, and SIGTERM is heeded in the middle of it.
#[test]
fn a_backlog_of_a_hundred_thousand_takes_bounded_memory() {
    let rig = Rig::new();
    let _segments = rig.segments(BACKLOG);

    let mut dry_run = rig.start("run", &["--dry-run"]);
    let (start, mut peak_dry) = (Instant::now(), 0);
    while dry_run.is_running() {
        peak_dry = peak_rss_kib(&dry_run).unwrap_or(peak_dry);
        thread::sleep(Duration::from_millis(2));
        assert!(start.elapsed() < WALK_LIMIT, "the dry run hangs");
    }
    assert_eq!(dry_run.wait(LIMIT).code(), Some(0));

    let mut run = rig.start("run", &[]);
    wait_until("500 uploads", WALK_LIMIT, || rig.server.stored_count() > 500);
    let peak_run = peak_rss_kib(&run).expect("it runs");
    run.signal(Signal::TERM);
    assert_eq!(run.wait(LIMIT).code(), Some(1), "segments are left over");

    eprintln!("{BACKLOG} waiting: peak {peak_dry} KiB dry, {peak_run} KiB while uploading");
    assert!(peak_dry > 0 && peak_dry < MAX_RSS_KIB, "{peak_dry} KiB");
    assert!(peak_run < MAX_RSS_KIB, "{peak_run} KiB");
    assert!(rig.server.stored_count() < BACKLOG as usize);
}

/// E9: the second exporter says so and leaves; the first is not disturbed.
#[test]
fn of_two_exporters_one_runs() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    rig.server.fail(Rule::new(Fault::Delay(Duration::from_secs(3))).on(Op::Put).times(1));
    let mut first = rig.start("run", &[]);
    wait_until("a PUT", LIMIT, || rig.server.seen().iter().any(|seen| seen.op == Op::Put));
    rig.run().expect_code(1).expect_stderr("another exporter is at work");
    assert_eq!(first.wait(LIMIT).code(), Some(0));
    rig.expect_uploaded(&segments);
}

/// E9: the lock goes with its holder, however that ended.
#[test]
fn a_killed_exporter_leaves_no_lock() {
    let rig = Rig::new();
    let segments = rig.segments(2);
    rig.server.fail(Rule::new(Fault::Stall).on(Op::Put).times(1));
    let mut first = rig.start("run", &[]);
    wait_until("a PUT", LIMIT, || rig.server.seen().iter().any(|seen| seen.op == Op::Put));
    first.signal(Signal::KILL);
    let _killed = first.wait(LIMIT);
    say(&mut rig.command("run")).expect_code(0);
    rig.expect_uploaded(&segments);
}
