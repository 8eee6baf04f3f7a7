// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sweep after sweep without a pause: the worst neighbour that a reader can be, for who
//! measures what that does to packets.

use std::io::{self, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::{Rows, sweep};
use crate::batch::Walker;
use crate::clock::cpu_ns;
use crate::xdp::pinned::Pinned;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// What each sweep does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pass {
    /// Reads the table and lists nothing: most of its time is the kernel's.
    Reading,
    /// Writes and hashes a row for every source.
    Listing,
}

/// What was done until the end.
#[derive(Debug, Serialize)]
struct Done {
    sweeps: u64,
    /// Of the last sweep.
    entries: u64,
    cpu_us: u64,
}

/// Prints an empty line when the first sweep begins, then sweeps until standard input ends;
/// one line of JSON.
///
/// # Errors
/// When the pins cannot be opened or read.
pub fn until_eof(dir: &Path, pass: Pass) -> Result<String> {
    let rows = match pass {
        Pass::Reading => Rows::Unlisted,
        Pass::Listing => Rows::Hashed,
    };
    let pinned = Pinned::open(dir)?;
    let mut walker = Walker::default();
    writeln!(io::stdout())?;
    let mut done = Done { sweeps: 0, entries: 0, cpu_us: 0 };
    while !is_over()? {
        done.entries = sweep(&pinned, &mut walker, rows)?;
        done.sweeps += 1;
    }
    done.cpu_us = cpu_ns() / 1000;
    Ok(serde_json::to_string(&done)?)
}

/// Whether somebody wrote to standard input or closed it.
fn is_over() -> Result<bool> {
    let stdin = io::stdin();
    let mut input = [PollFd::new(&stdin, PollFlags::IN)];
    Ok(poll(&mut input, Some(&AT_ONCE)).context("failed to look at standard input")? > 0)
}
