// SPDX-License-Identifier: MIT OR Apache-2.0
//! E6: killed anywhere. Whatever the moment, the next run ends with exactly one object per
//! segment, byte for byte, each stored once.

use std::thread;
use std::time::{Duration, Instant};

use ibsr_tests::process::{say, wait_until};
use ibsr_tests::segments::Random;
use rustix::process::Signal;

use crate::rig::{LIMIT, Rig};

const SEGMENTS: u64 = 10_000;
const KILLS: u32 = 200;

/// E6: a machine that cannot keep its exporter alive, 10,000 segments and 200 kills: half at
/// a random moment from the start on, half after a random number of further objects.
#[test]
fn ten_thousand_segments_survive_two_hundred_kills() {
    let rig = Rig::new();
    let segments = rig.segments(SEGMENTS);
    let mut random = Random(0xe6);
    let start = Instant::now();
    for kill in 0..KILLS {
        let mut export = rig.start("run", &[]);
        if kill % 2 == 0 {
            thread::sleep(Duration::from_millis(5 + random.below(295)));
        } else {
            let goal = rig.server.stored_count() + random.below(80) as usize;
            wait_until("uploads", LIMIT, || rig.server.stored_count() > goal);
        }
        export.signal(Signal::KILL);
        let _killed = export.wait(LIMIT);
    }
    let (killed_for, stored) = (start.elapsed(), rig.server.stored_count());
    assert!(stored < SEGMENTS as usize, "the last kills found nothing to do");
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
    eprintln!(
        "{stored} of {SEGMENTS} were stored during {KILLS} kills in {killed_for:.1?}, all of \
         them after {:.1?}",
        start.elapsed()
    );
}

/// E6: killed at the first, second and fifth call of everything that touches the network or
/// the disk: `strace` kills the process as it enters the call.
#[test]
fn a_kill_at_each_system_call_costs_nothing() {
    let calls = [
        "connect",
        "sendto",
        "writev",
        "recvfrom",
        "openat",
        "write",
        "fsync",
        "fdatasync",
        "rename",
        "unlink",
        "flock",
        "pread64",
        "epoll_wait",
    ];
    let mut killed = 0;
    for call in calls {
        for when in [1, 2, 5] {
            let rig = Rig::new();
            let segments = rig.segments(3);
            let inject = format!("inject={call}:signal=KILL:when={when}");
            let strace = ["-f", "-qq", "-o", "/dev/null", "-e", &inject];
            let said = say(&mut rig.command_under("strace", &strace, "run"));
            killed += u32::from(said.code != Some(0));
            let last = rig.run();
            assert_eq!(last.code, Some(0), "{call} {when}\n{}", last.stderr);
            rig.expect_uploaded(&segments);
        }
    }
    assert!(killed >= 20, "only {killed} of the calls were met");
}
