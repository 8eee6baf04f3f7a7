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
use crate::pinned::{Pinned, Sources};
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
    let mut ways = Vec::new();
    if let Sources::Lru { proven, unproven } = &pinned.sources {
        ways.push(timed("get-next-key and lookup", || {
            both(proven, unproven, |table| Ok(walker.walk_by_key(table, |_key, _value| ())?))
        })?);
    }
    ways.push(timed(name_of(&pinned.sources), || {
        Ok(sweep::walk(&pinned.sources, &mut walker, |_key, _counts, _is_proven| ())?)
    })?);
    ways.push(timed("sweep that lists nothing", || sweep(&pinned, &mut walker, Some(u64::MAX)))?);
    ways.push(timed("sweep that lists every source", || sweep(&pinned, &mut walker, None))?);
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
