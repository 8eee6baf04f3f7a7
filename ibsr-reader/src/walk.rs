// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ways through the source table in one process, timed: what batches are worth on this
//! machine, and what listing rows costs. CPU time, so that a busy machine does not decide.
//! Reads only.

use std::path::Path;

use anyhow::Result;
use ibsr_proto::snapshot::RowRef;
use libbpf_rs::MapHandle;
use serde::Serialize;

use crate::batch::Walker;
use crate::clock::{Moment, cpu_ns};
use crate::pinned::Pinned;
use crate::sweep::{self, Plan};

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
    let ways = [
        timed("get-next-key and lookup", || {
            both(&pinned, |table| Ok(walker.walk_by_key(table, |_key, _value| ())?))
        })?,
        timed("batches", || both(&pinned, |table| Ok(walker.walk(table, |_key, _value| ())?)))?,
        timed("sweep that lists nothing", || sweep(&pinned, &mut walker, Some(u64::MAX)))?,
        timed("sweep that lists every source", || sweep(&pinned, &mut walker, None))?,
    ];
    Ok(serde_json::to_string(&ways)?)
}

fn both(pinned: &Pinned, mut walk: impl FnMut(&MapHandle) -> Result<u64>) -> Result<u64> {
    Ok(walk(&pinned.unproven)? + walk(&pinned.proven)?)
}

/// As the service sweeps, with rows as text, which then goes nowhere.
fn sweep(pinned: &Pinned, walker: &mut Walker, since_boot_ns: Option<u64>) -> Result<u64> {
    let plan = Plan { seq: 0, since_boot_ns, at: Moment::now() };
    let mut text = Vec::new();
    let reading = sweep::read(pinned, walker, &plan, |row| {
        text.clear();
        RowRef::Source(row).write_to(&mut text);
    })?;
    Ok(reading.entries())
}

fn timed(name: &'static str, walk: impl FnOnce() -> Result<u64>) -> Result<Way> {
    let start = cpu_ns();
    let entries = walk()?;
    Ok(Way { name, entries, cpu_us: (cpu_ns() - start) / 1000 })
}
