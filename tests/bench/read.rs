// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-read`: a sweep of 10,000, 100,000 and a million sources beside a walk by
//! get-next-key and beside `bpftool map dump -j` of the same map, in CPU time. Absolute figures
//! are this machine's; the ratios are the claim. With `JSON=FILE` the rows are written there
//! too, with `SOURCES=N` there is one table, of that size. Ends with 1 when a sweep that lists
//! every source is not ten times faster than bpftool.

use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;
use ibsr_tests::process::program;
use serde::Deserialize;
use serde_json::json;

#[path = "report/measure.rs"]
#[expect(dead_code, reason = "shared with bench-report, which shows the whole cost")]
mod measure;
#[path = "../reader/scope.rs"]
#[expect(dead_code, reason = "shared with the tests of the reader")]
mod scope;
use measure::measure;
use scope::{Design, Made, SCOPE};

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;
/// Of bpftool, which needs twenty seconds for a million.
const DUMP_ROUNDS: usize = 3;
const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
const DUMP: &str = "bpftool map dump -j";
const SWEEP: &str = "sweep that lists every source";
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

fn main() -> ExitCode {
    finish("bench-read", run())
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("making maps needs root");
    }
    let sizes = match std::env::var("SOURCES") {
        Ok(text) => vec![text.parse().context("failed to read SOURCES")?],
        Err(_) => SIZES.to_vec(),
    };
    let mut rows = Vec::new();
    for sources in sizes {
        rows.extend(of_size(sources)?);
    }
    println!("{}", table(&rows));
    write_where_asked("JSON", || json(&rows))?;
    let is_kept = |row: &Row| row.name != SWEEP || row.than_dump >= AT_LEAST;
    Ok(if rows.iter().all(is_kept) { Answer::Yes } else { Answer::No })
}

fn of_size(sources: u32) -> Result<Vec<Row>> {
    let mut design = Design::default();
    // An LRU map evicts before it is full: each CPU keeps free entries for itself.
    design.proven.entries = sources + sources / 10 + 4096;
    let made = Made::new(&design);
    made.fill(sources);
    let dumps: Vec<u64> = (0..DUMP_ROUNDS).map(|_| dump(&made)).collect::<Result<_>>()?;
    let rounds: Vec<Vec<Way>> =
        (0..ROUNDS).map(|_| round(&made, sources)).collect::<Result<_>>()?;
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
    Ok(u64::try_from(measure(&mut command, &[0])?.cpu.as_micros())?)
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

fn json(rows: &[Row]) -> String {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({
                "sources": row.sources,
                "name": row.name,
                "median": row.median_us,
                "min": row.min_us,
                "faster_than_bpftool": row.than_dump,
                "faster_than_get_next_key": row.than_walk,
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "read", "unit": "us", "rows": rows}))
}
