// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both ways through the source table in one process, timed: what the batches are worth on
//! this machine. Reads only.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::batch::Walker;
use crate::clock::boot_ns;
use crate::pinned::Pinned;

/// One comparison.
#[derive(Debug, Serialize)]
struct Comparison {
    batch_entries: u64,
    batch_us: u128,
    next_key_entries: u64,
    next_key_us: u128,
}

/// Walks the table under `dir` both ways; one line of JSON.
///
/// # Errors
/// When the pins cannot be opened or read.
pub fn compare(dir: &Path) -> Result<String> {
    let pinned = Pinned::open(dir)?;
    let mut walker = Walker::default();
    let mut packets = 0_u64;
    let mut look = |_key: &[u8], value: &[u8]| packets += u64::from(value[0]);
    let (batch_entries, batch_us) = timed(|| walker.walk(&pinned.src, &mut look))?;
    let (next_key_entries, next_key_us) = timed(|| walker.walk_by_key(&pinned.src, &mut look))?;
    let comparison = Comparison { batch_entries, batch_us, next_key_entries, next_key_us };
    Ok(serde_json::to_string(&comparison)?)
}

fn timed<E>(walk: impl FnOnce() -> Result<u64, E>) -> Result<(u64, u128), E> {
    let start = boot_ns();
    let entries = walk()?;
    let took = Duration::from_nanos(boot_ns().saturating_sub(start));
    Ok((entries, took.as_micros()))
}
