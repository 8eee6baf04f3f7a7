// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways through the source table in one process, timed: what batches are worth on this
//! machine, and what listing rows costs. CPU time, so that a busy machine does not decide.
//! Reads only.

mod endless;
mod rewrite;

use std::path::Path;

use anyhow::Result;
use ibsr_proto::snapshot::RowRef;
use libbpf_rs::MapHandle;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::pinned::{Pinned, Sources};
use super::sweep;
use crate::batch::Walker;
use crate::clock::{Moment, cpu_ns};
use crate::sweep::Plan;

pub use endless::{Pass, until_eof};
pub use rewrite::rewrite;

/// As much as a segment gathers before it hashes and writes.
const BUFFER_BYTES: usize = 64 * 1024;

/// What becomes of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// There are none.
    Unlisted,
    /// They are written as text, which then goes nowhere.
    Written,
    /// They are hashed too: all that a full sweep of the service does, but for the file.
    Hashed,
}

/// One way.
#[derive(Debug, Serialize)]
struct Way {
    name: &'static str,
    entries: u64,
    cpu_us: u64,
}

/// Walks the table under `dir` each way; one line of JSON.
///
/// # Errors
/// When the pins cannot be opened or read.
pub fn compare(dir: &Path) -> Result<String> {
    let pinned = Pinned::open(dir)?;
    let mut walker = Walker::default();
    let mut ways = Vec::new();
    if let Sources::Lru { proven, unproven } = &pinned.sources {
        ways.push(timed("get-next-key and lookup", || {
            both(proven, unproven, |table| Ok(walker.walk_by_key(table, |_key, _value| ())?))
        })?);
    }
    ways.push(timed(name_of(&pinned.sources), || {
        Ok(sweep::walk(&pinned.sources, &mut walker, |_key, _counts, _is_proven| ())?)
    })?);
    for (name, rows) in [
        ("sweep that lists nothing", Rows::Unlisted),
        ("sweep that lists every source", Rows::Written),
        ("sweep that lists and hashes every source", Rows::Hashed),
    ] {
        ways.push(timed(name, || sweep(&pinned, &mut walker, rows))?);
    }
    Ok(serde_json::to_string(&ways)?)
}

/// The way that a sweep takes.
const fn name_of(sources: &Sources) -> &'static str {
    match sources {
        Sources::Lru { .. } => "batches",
        Sources::Sets(_) => "mapping",
    }
}

fn both(
    proven: &MapHandle,
    unproven: &MapHandle,
    mut walk: impl FnMut(&MapHandle) -> Result<u64>,
) -> Result<u64> {
    Ok(walk(unproven)? + walk(proven)?)
}

/// As the service sweeps.
fn sweep(pinned: &Pinned, walker: &mut Walker, rows: Rows) -> Result<u64> {
    let since_boot_ns = (rows == Rows::Unlisted).then_some(u64::MAX);
    let plan = Plan { seq: 0, since_boot_ns, at: Moment::now(), is_over: false };
    let (mut text, mut hasher) = (Vec::with_capacity(BUFFER_BYTES), Sha256::new());
    let reading = sweep::read(pinned, walker, &plan, |row| {
        RowRef::Source(row).write_to(&mut text);
        if text.len() >= BUFFER_BYTES {
            if rows == Rows::Hashed {
                hasher.update(&text);
            }
            text.clear();
        }
    })?;
    Ok(reading.entries())
}

fn timed(name: &'static str, walk: impl FnOnce() -> Result<u64>) -> Result<Way> {
    let start = cpu_ns();
    let entries = walk()?;
    Ok(Way { name, entries, cpu_us: (cpu_ns() - start) / 1000 })
}
