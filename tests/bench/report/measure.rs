// SPDX-License-Identifier: MIT OR Apache-2.0
//! A program run to its end, and what it cost as the kernel counted it.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

/// What a process cost, with every child that it waited for.
#[derive(Debug, Clone)]
pub struct Cost {
    /// User and system time.
    pub cpu: Duration,
    /// Time on the wall.
    pub wall: Duration,
    /// Greatest resident set.
    pub peak_bytes: u64,
    /// Standard output.
    pub stdout: String,
}

/// Runs `command`; an exit code that is not in `codes` is an error.
///
/// # Errors
/// When it cannot be started or ends otherwise.
pub fn measure(command: &mut Command, codes: &[i32]) -> Result<Cost> {
    let start = Instant::now();
    let name = format!("{command:?}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("failed to start {name}"))?;
    let stdout = std::io::read_to_string(child.stdout.take().expect("it is a pipe"))
        .with_context(|| format!("failed to read from {name}"))?;
    let (status, usage) = wait(child.id()).with_context(|| format!("failed to wait for {name}"))?;
    let is_exit = libc::WIFEXITED(status) && codes.contains(&libc::WEXITSTATUS(status));
    ensure!(is_exit, "{name} ended with status {status:#x}");
    Ok(Cost {
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        wall: start.elapsed(),
        peak_bytes: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
        stdout,
    })
}

/// The standard library waits without asking for the usage.
fn wait(pid: u32) -> std::io::Result<(i32, libc::rusage)> {
    let pid = libc::pid_t::try_from(pid).expect("a pid");
    let mut status = 0;
    // SAFETY: every bit pattern is a valid `rusage`, it holds integers only.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live values of the types that wait4(2) writes.
    let waited = unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut usage) };
    if waited == pid { Ok((status, usage)) } else { Err(std::io::Error::last_os_error()) }
}

fn time(value: libc::timeval) -> Duration {
    let (s, us) = (u64::try_from(value.tv_sec), u32::try_from(value.tv_usec));
    Duration::new(s.unwrap_or(0), us.unwrap_or(0) * 1_000)
}
