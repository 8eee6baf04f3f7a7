// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots of the public tool `nr-ibsr` (JSON Lines, schema versions 5 to 7) as segments of
//! ours, written to a temporary directory: everything behind it is as for any other segment.
//!
//! Their line lists every source with its counts since `base_ts_unix_sec`, and says neither
//! host nor boot nor when an entry was made. So:
//!
//! - **A line with `base == ts`** holds one window of 10 s: its interval is `[ts - 10 s, ts]`,
//!   and every entry in it is a life of its own, born when the window began. Time between two
//!   such windows was not recorded: a gap. Two windows that overlap would count packets
//!   twice: the later line is rejected.
//! - **Two lines of one run and base** differ by what was counted between their `ts`. A longer
//!   interval than three configured ones is a gap, as everywhere.
//! - **The first line of a base** counts from the base, where all counters were zero. It has a
//!   rate only when that is not too long ago.
//! - **A source that appears later** counted from zero since the line before, because that
//!   line listed everything.
//! - **A source that disappears** was dropped with its counts, and what it did until then is
//!   in no line: the sweep is incomplete, which is a gap.
//! - **Another base** is another set of counters: a new epoch. The run is the host.
//! - What the interface received is unknown, and so is coverage; no program was proven. The
//!   verdict is at most INSUFFICIENT_EVIDENCE, which is true.
//! - `dst_port` may be missing: 0. FIN is not counted: 0. Times are whole seconds, so a rate
//!   over 10 s may be wrong by a tenth.
//!
//! A boot clock is made of the wall clock: seconds since 1970 in nanoseconds. All lines are
//! held in memory, about 80 bytes for each bucket, up to a limit.

mod line;
mod run;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use tracing::warn;

use super::discover::Found;
use super::lines::{Line, Lines};
use super::open::{Part, Place};
use line::{LineError, Snapshot};
use run::Run;

/// Longest line: a million buckets.
const MAX_LINE_BYTES: u64 = 256 << 20;
/// Buckets of all inputs together: 8 GiB of memory.
const MAX_BUCKETS: usize = 100_000_000;
/// Bad lines of a file that are logged; all are counted.
const MAX_LOGGED: u64 = 20;

/// Reads `files` as snapshots and writes their segments into `dir`. The order of files and
/// lines changes nothing.
///
/// # Errors
/// When there is more than fits into memory, or `dir` cannot be written. A file that cannot be
/// used is among what is returned, with the reason.
pub fn translate(files: Vec<Found>, dir: &Path) -> anyhow::Result<Vec<Found>> {
    let mut runs = BTreeMap::<String, Run>::new();
    let mut found = Vec::new();
    let mut buckets = 0;
    for file in files {
        match read(&file, &mut runs, &mut buckets) {
            Ok(()) => {}
            Err(reason) => {
                let Found { origin, place: Place { path, .. }, name } = file;
                found.push(Found {
                    origin,
                    place: Place { path, part: Part::Refused(reason) },
                    name,
                });
            }
        }
        ensure!(buckets <= MAX_BUCKETS, "failed to import more than {MAX_BUCKETS} buckets at once");
    }
    for (id, run) in runs {
        for (name, segment) in run.segments(&id) {
            let path = dir.join(&name);
            fs::write(&path, segment).with_context(|| format!("failed to write `{name}`"))?;
            found.push(Found { origin: format!("run `{id}`: {name}"), place: path.into(), name });
        }
    }
    Ok(found)
}

/// Adds the lines of a file to their runs, all of them or none.
fn read(file: &Found, runs: &mut BTreeMap<String, Run>, buckets: &mut usize) -> Result<(), String> {
    let reader = file.place.open().map_err(|error| format!("failed to read it: {error}"))?;
    let mut lines = Lines::with_cap(reader, MAX_LINE_BYTES);
    let mut snapshots: Vec<Snapshot> = Vec::new();
    let mut bad = Vec::new();
    loop {
        let read = match lines.next().map_err(|error| format!("failed to read it: {error}"))? {
            None => break,
            Some(Line::Whole(text)) => line::read(text),
            Some(Line::Part { is_first: true, .. }) => Err(LineError::TooLong),
            Some(Line::Part { .. }) => continue,
        };
        let number = lines.number();
        match read {
            Ok(snapshot) => {
                *buckets += snapshot.buckets.len();
                snapshots.push(snapshot);
            }
            Err(LineError::Empty) => {}
            Err(error @ LineError::Version(_)) => return Err(format!("line {number}: {error}")),
            Err(error) => {
                if (bad.len() as u64) < MAX_LOGGED {
                    warn!(path = file.origin, line = number, reason = %error, "line not used");
                }
                bad.push(format!("{}:{number}: {error}", file.name));
            }
        }
        if *buckets > MAX_BUCKETS {
            return Ok(());
        }
    }
    let Some(first) = snapshots.first() else {
        return Err("none of its lines is a snapshot of nr-ibsr".to_owned());
    };
    runs.entry(first.run_id.clone()).or_default().rejected.extend(bad);
    for snapshot in snapshots {
        runs.entry(snapshot.run_id.clone()).or_default().snapshots.push(snapshot);
    }
    Ok(())
}
