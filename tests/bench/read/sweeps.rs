// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over a full table in every way that there is, in CPU time.

use std::process::Command;

use anyhow::{Context as _, Result, bail};
use comfy_table::Table as Printed;
use ibsr_proto::abi::Table;
use ibsr_proto::pins;
use ibsr_tests::process::program;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::measure::measure as run;
use crate::programs::{Programs, TABLES};
use crate::scene::{Scene, is_nearly};
use crate::scope::{Made, SCOPE};
use crate::{Measured, Wanted};

/// Of bpftool, which needs ten seconds for a million.
const DUMP_ROUNDS: usize = 3;
const DUMP: &str = "bpftool map dump -j";
/// The walk that everybody writes first; of the LRU tables alone, and compared with in all.
const WALK: &str = "get-next-key and lookup";
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
    table: Table,
    sources: u32,
    name: String,
    median_us: u64,
    min_us: u64,
    than_dump: f64,
    than_walk: f64,
}

impl Row {
    fn is_kept(&self) -> bool {
        self.name != FULL_SWEEP || self.than_dump >= AT_LEAST
    }
}

/// Measures every way at every size, of both tables of the sensor.
///
/// # Errors
/// When maps cannot be made or read.
pub fn measure(wanted: &Wanted) -> Result<Measured> {
    let programs = Programs::compile()?;
    let mut rows = Vec::new();
    for sources in &wanted.sizes {
        rows.extend(of_size(&programs, *sources, wanted.rounds)?);
    }
    Ok(Measured { table: print(&rows), json: json(&rows), is_kept: rows.iter().all(Row::is_kept) })
}

/// The times of each way, in microseconds.
type Times = Vec<(String, Vec<u64>)>;

/// Both tables hold the same sources, and take turns.
fn of_size(programs: &Programs, sources: u32, rounds: usize) -> Result<Vec<Row>> {
    let scenes: Vec<Scene> =
        TABLES.iter().map(|table| Scene::new(programs, *table, sources)).collect::<Result<_>>()?;
    let mut times: Vec<Times> = scenes
        .iter()
        .zip(TABLES)
        .map(|(scene, table)| {
            let dumps =
                (0..DUMP_ROUNDS).map(|_| dump(&scene.made, table)).collect::<Result<_>>()?;
            Ok(vec![(DUMP.to_owned(), dumps)])
        })
        .collect::<Result<_>>()?;
    for _ in 0..rounds {
        for (scene, times) in scenes.iter().zip(&mut times) {
            for way in round(&scene.made, sources)? {
                match times.iter_mut().find(|(name, _)| *name == way.name) {
                    Some((_, of_way)) => of_way.push(way.cpu_us),
                    None => times.push((way.name, vec![way.cpu_us])),
                }
            }
        }
    }
    let walk_us = times.iter().flatten().find(|(name, _)| name == WALK);
    let walk_us = median(&walk_us.context("nobody walked by get-next-key")?.1);
    let of_table = |(table, times): (Table, Times)| rows_of(table, sources, times, walk_us);
    Ok(TABLES.into_iter().zip(times).flat_map(of_table).collect())
}

/// CPU time of bpftool with the map that holds the sources, in microseconds. What it prints is
/// thrown away, unread.
fn dump(made: &Made, table: Table) -> Result<u64> {
    let pin = match table {
        Table::Lru => pins::PROVEN,
        Table::Sets => pins::SETS,
    };
    let mut command = Command::new("sh");
    command.args(["-c", "exec bpftool -j map dump pinned \"$1\" > /dev/null", "sh"]);
    command.arg(made.dir.join(pin));
    Ok(u64::try_from(run(&mut command, &[0])?.cpu.as_micros())?)
}

fn round(made: &Made, sources: u32) -> Result<Vec<Way>> {
    let mut command = Command::new(program("ibsr-reader"));
    command.args(["walk", "--quiet", "--scope", SCOPE, "--pin-root"]).arg(made.root.path());
    let output = command.output().context("failed to run ibsr-reader")?;
    let ways: Vec<Way> = serde_json::from_slice(&output.stdout).context("failed to read times")?;
    if ways.iter().any(|way| !is_nearly(way.entries, sources)) {
        bail!("not every way found {sources} entries: {ways:?}");
    }
    Ok(ways)
}

fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times[times.len() / 2]
}

/// Rows in the order of the ways, bpftool first.
fn rows_of(table: Table, sources: u32, ways: Times, walk_us: u64) -> Vec<Row> {
    let dump_us = median(&ways[0].1);
    let faster = |than_us: u64, us: u64| than_us as f64 / us.max(1) as f64;
    let row = |(name, times): (String, Vec<u64>)| {
        let median_us = median(&times);
        Row {
            table,
            sources,
            name,
            median_us,
            min_us: times.into_iter().min().expect("every way was timed"),
            than_dump: faster(dump_us, median_us),
            than_walk: faster(walk_us, median_us),
        }
    };
    ways.into_iter().map(row).collect()
}

fn print(rows: &[Row]) -> Printed {
    let head =
        ["table", "sources", "way", "median us", "min us", "than bpftool", "than get-next-key"];
    let mut table = ibsr_cli::table(&head, &[1, 3, 4, 5, 6]);
    for row in rows {
        table.add_row([
            row.table.as_str().to_owned(),
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
            "table": row.table.as_str(),
            "sources": row.sources,
            "name": row.name,
            "median_us": row.median_us,
            "min_us": row.min_us,
            "faster_than_bpftool": row.than_dump,
            "faster_than_get_next_key": row.than_walk,
            "is_kept": row.is_kept(),
        })
    };
    rows.iter().map(row).collect()
}
