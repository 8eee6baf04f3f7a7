// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long an armed guard goes on denying after everything in user space was killed.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ibsr_tests::process::{Running, program};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::Row;
use crate::lab::{Lab, refused};

const POLICY: &str = "rules:\n  - {action: deny, ports: 1000}\n";
const DENIED: &str = "10.77.0.2:1000";
/// The longest lease.
const BOUND: Duration = Duration::from_secs(60);
/// Renewals of the timer, as its unit has them.
const PERIOD_S: u32 = 15;
/// Long enough for a renewal to have come.
const ARMED: Duration = Duration::from_secs(20);

/// Arms by the real program with the longest lease, kills who renews it, and waits.
pub fn rows() -> Result<Vec<Row>> {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    let script =
        format!("while sleep {PERIOD_S}; do \"$0\" renew --pin-root \"$1\" || exit 1; done");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).arg(program("ibsr-guard")).arg(lab.pins.path());
    let renewal = Running::start(command.process_group(0).stderr(Stdio::null()));
    let mut actor = lab.actor();
    let begun = Instant::now();
    while begun.elapsed() < ARMED {
        ensure!(refused(&mut actor, DENIED).is_some(), "it passed while the lease was renewed");
        std::thread::sleep(Duration::from_millis(100));
    }
    let group = i32::try_from(renewal.pid()).ok().and_then(Pid::from_raw).context("a pid")?;
    kill_process_group(group, Signal::KILL)?;
    let killed = Instant::now();
    while refused(&mut actor, DENIED).is_some() {
        ensure!(killed.elapsed() < 2 * BOUND, "it never ended");
        std::thread::sleep(Duration::from_millis(10));
    }
    let took = killed.elapsed();
    Ok(vec![(
        "all of user space killed, until everything passes".into(),
        format!("{took:.2?}"),
        format!("{BOUND:?}"),
        took <= BOUND,
    )])
}
