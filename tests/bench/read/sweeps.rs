// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over a full table in every way that there is, in CPU time.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use ibsr_tests::process::program;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::measure::measure as run;
use crate::scope::{Design, Made, SCOPE};
use crate::{Measured, Wanted};

/// Of bpftool, which needs ten seconds for a million.
const DUMP_ROUNDS: usize = 3;
const DUMP: &str = "bpftool map dump -j";
/// All that a full sweep of the service does, but for the file.
const FULL_SWEEP: &str = "sweep that lists and hashes every source";
/// How much faster than bpftool a sweep has to be.
const AT_LEAST: f64 = 10.0;

/// What `ibsr-reader walk` prints for each way.
#[derive(Debug, Deserialize)]
struct Way {
    name: String,
    entries: u64,
    cpu_us: u64,
}

/// A way over all rounds, and how much faster it is than the two that everybody has.
struct Row {
    sources: u32,
    name: String,
    median_us: u64,
    min_us: u64,
    than_dump: f64,
    than_walk: f64,
}

/// Measures every way at every size.
///
/// # Errors
/// When maps cannot be made or read.
pub fn measure(wanted: &Wanted) -> Result<Measured> {
    let mut rows = Vec::new();
    for sources in &wanted.sizes {
        rows.extend(of_size(*sources, wanted.rounds)?);
    }
    let is_kept = |row: &Row| row.name != FULL_SWEEP || row.than_dump >= AT_LEAST;
    Ok(Measured { table: table(&rows), json: json(&rows), is_kept: rows.iter().all(is_kept) })
}

fn of_size(sources: u32, rounds: usize) -> Result<Vec<Row>> {
    let mut design = Design::default();
    // An LRU map evicts before it is full: each CPU keeps free entries for itself.
    design.proven.entries = sources + sources / 10 + 4096;
    let made = Made::new(&design);
    made.fill(sources);
    let dumps: Vec<u64> = (0..DUMP_ROUNDS).map(|_| dump(&made)).collect::<Result<_>>()?;
    let rounds: Vec<Vec<Way>> =
        (0..rounds).map(|_| round(&made, sources)).collect::<Result<_>>()?;
    let ways = (0..rounds[0].len()).map(|at| {
        let times = rounds.iter().map(|ways| ways[at].cpu_us).collect();
        (rounds[0][at].name.clone(), times)
    });
    let all = std::iter::once((DUMP.to_owned(), dumps)).chain(ways).collect();
    Ok(rows(sources, all))
}

/// CPU time of bpftool, in microseconds. What it prints is thrown away, unread.
fn dump(made: &Made) -> Result<u64> {
    let mut command = Command::new("sh");
    command.args(["-c", "exec bpftool -j map dump pinned \"$1\" > /dev/null", "sh"]);
    command.arg(made.dir.join(ibsr_proto::pins::PROVEN));
    Ok(u64::try_from(run(&mut command, &[0])?.cpu.as_micros())?)
}

fn round(made: &Made, sources: u32) -> Result<Vec<Way>> {
    let mut command = Command::new(program("ibsr-reader"));
    command.args(["walk", "--quiet", "--scope", SCOPE, "--pin-root"]).arg(made.root.path());
    let output = command.output().context("failed to run ibsr-reader")?;
    let ways: Vec<Way> = serde_json::from_slice(&output.stdout).context("failed to read times")?;
    if ways.iter().any(|way| way.entries != u64::from(sources)) {
        bail!("not every way found {sources} entries: {ways:?}");
    }
    Ok(ways)
}

/// Rows in the order of the ways: bpftool, the walk by get-next-key, ours.
fn rows(sources: u32, ways: Vec<(String, Vec<u64>)>) -> Vec<Row> {
    let medians: Vec<(String, u64, u64)> = ways
        .into_iter()
        .map(|(name, mut times)| {
            times.sort_unstable();
            (name, times[times.len() / 2], times[0])
        })
        .collect();
    let faster = |than: usize, us: u64| medians[than].1 as f64 / us.max(1) as f64;
    let row = |(name, median_us, min_us): &(String, u64, u64)| Row {
        sources,
        name: name.clone(),
        median_us: *median_us,
        min_us: *min_us,
        than_dump: faster(0, *median_us),
        than_walk: faster(1, *median_us),
    };
    medians.iter().map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let head = ["sources", "way", "median us", "min us", "than bpftool", "than get-next-key"];
    let mut table = ibsr_cli::table(&head, &[0, 2, 3, 4, 5]);
    for row in rows {
        table.add_row([
            row.sources.to_string(),
            row.name.clone(),
            row.median_us.to_string(),
            row.min_us.to_string(),
            format!("{:.1} x", row.than_dump),
            format!("{:.1} x", row.than_walk),
        ]);
    }
    table
}

fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "sources": row.sources,
            "name": row.name,
            "median_us": row.median_us,
            "min_us": row.min_us,
            "faster_than_bpftool": row.than_dump,
            "faster_than_get_next_key": row.than_walk,
        })
    };
    rows.iter().map(row).collect()
}
