// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-read`: a sweep of 100,000 sources beside a walk by get-next-key, in one process
//! and in CPU time. Absolute figures are this machine's; the ratio is the claim. With
//! `JSON=FILE` the rows are written there too, with `SOURCES=N` the table has another size.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, bail};
use comfy_table::Table;
use ibsr_cli::{Answer, finish};
use ibsr_tests::process::program;
use serde::Deserialize;
use serde_json::json;

#[path = "../reader/scope.rs"]
#[expect(dead_code, reason = "shared with the tests of the reader")]
mod scope;
use scope::{Design, Made, SCOPE};

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;
const SOURCES: u32 = 100_000;

/// What `ibsr-reader walk` prints for each way.
#[derive(Debug, Deserialize)]
struct Way {
    name: String,
    entries: u64,
    cpu_us: u64,
}

/// A way over all rounds.
struct Row {
    name: String,
    median_us: u64,
    min_us: u64,
    ratio: f64,
}

fn main() -> ExitCode {
    finish("bench-read", run())
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("making maps needs root");
    }
    let sources = match std::env::var("SOURCES") {
        Ok(text) => text.parse().context("failed to read SOURCES")?,
        Err(_) => SOURCES,
    };
    let mut design = Design::default();
    // An LRU map evicts before it is full: each CPU keeps free entries for itself.
    design.proven.entries = sources + sources / 10 + 4096;
    let made = Made::new(&design);
    made.fill(sources);
    let rounds: Vec<Vec<Way>> =
        (0..ROUNDS).map(|_| round(&made, sources)).collect::<Result<_>>()?;
    let rows = rows(&rounds);
    println!("{}", table(sources, &rows));
    if let Some(path) = std::env::var_os("JSON") {
        write_json(Path::new(&path), &rows)?;
    }
    Ok(Answer::Yes)
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

/// Rows in the order of the ways; the first is what the others are compared with.
fn rows(rounds: &[Vec<Way>]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for index in 0..rounds[0].len() {
        let mut times: Vec<u64> = rounds.iter().map(|ways| ways[index].cpu_us).collect();
        times.sort_unstable();
        let (median_us, min_us) = (times[times.len() / 2], times[0]);
        let base_us = rows.first().map_or(median_us, |row| row.median_us);
        let ratio = base_us as f64 / median_us.max(1) as f64;
        rows.push(Row { name: rounds[0][index].name.clone(), median_us, min_us, ratio });
    }
    rows
}

fn table(sources: u32, rows: &[Row]) -> Table {
    let size = format!("{sources} sources");
    let mut table = ibsr_cli::table(&[&size, "median us", "min us", "faster"], &[1, 2, 3]);
    for Row { name, median_us, min_us, ratio } in rows {
        let cells =
            [name.clone(), median_us.to_string(), min_us.to_string(), format!("{ratio:.1} x")];
        table.add_row(cells);
    }
    table
}

fn write_json(path: &Path, rows: &[Row]) -> Result<()> {
    let rows: Vec<_> = rows
        .iter()
        .map(|row| json!({"name": row.name, "median": row.median_us, "min": row.min_us, "ratio": row.ratio}))
        .collect();
    let report = json!({"bench": "read", "unit": "us", "rows": rows});
    std::fs::write(path, format!("{report:#}\n"))
        .with_context(|| format!("failed to write `{}`", path.display()))
}
