// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-read`: what reading costs, in three tables.
//!
//! A sweep beside a walk by get-next-key and `bpftool map dump -j` of the same map, in CPU
//! time; packets a second through the sensor while its tables are swept without a pause on
//! another CPU; and rows as text beside a copy of the text, with the compression that the
//! exporter does later. 10,000, 100,000 and a million sources, or `SOURCES=N`. Absolute
//! figures are this machine's; the ratios are the claim. With `JSON=FILE` the rows are written
//! there too, `ONLY=sweeps`, `packets` or `rows` is one table, and `ROUNDS=N` is another number
//! of rounds. Ends with 1 when a bound is missed.

use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;
use serde_json::{Value, json};

#[path = "../../ibsr-export/src/compression.rs"]
#[expect(dead_code, reason = "the exporter's own; it compresses in other ways too")]
mod compression;
#[path = "report/measure.rs"]
#[expect(dead_code, reason = "shared with bench-report, which shows the whole cost")]
mod measure;
#[path = "read/neighbour.rs"]
mod neighbour;
#[path = "read/packets.rs"]
mod packets;
#[path = "programs.rs"]
#[expect(dead_code, reason = "shared with the other benches of the sensor")]
mod programs;
#[path = "read/rows.rs"]
mod rows;
#[path = "read/scene.rs"]
mod scene;
#[path = "../reader/scope.rs"]
#[expect(dead_code, reason = "shared with the tests of the reader")]
mod scope;
#[path = "read/sweeps.rs"]
mod sweeps;

const SIZES: [u32; 3] = [10_000, 100_000, 1_000_000];
/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;

/// What is to be measured.
#[derive(Debug)]
struct Wanted {
    /// Sources in the table, one size after the other.
    sizes: Vec<u32>,
    /// Rounds of everything but bpftool.
    rounds: usize,
}

/// One table: what is printed, what goes into `JSON`, and whether its bounds are kept.
struct Measured {
    table: comfy_table::Table,
    json: Value,
    is_kept: bool,
}

/// A name for `ONLY` and for JSON, and what measures it.
type Part = (&'static str, fn(&Wanted) -> Result<Measured>);
const PARTS: [Part; 3] =
    [("sweeps", sweeps::measure), ("packets", packets::measure), ("rows", rows::measure)];

fn main() -> ExitCode {
    finish("bench-read", run())
}

#[expect(clippy::print_stdout, reason = "the tables are the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("making maps needs root");
    }
    let wanted = Wanted {
        sizes: from_env("SOURCES")?.map_or(SIZES.to_vec(), |sources| vec![sources]),
        rounds: from_env("ROUNDS")?.unwrap_or(ROUNDS).max(1),
    };
    let only = std::env::var("ONLY").unwrap_or_default();
    if !only.is_empty() && PARTS.iter().all(|(name, _)| *name != only) {
        bail!("`{only}` is no table of this bench");
    }
    let mut parts = vec![("bench", json!("read")), ("rounds", json!(wanted.rounds))];
    let mut is_kept = true;
    for (name, measure) in PARTS.iter().filter(|(name, _)| only.is_empty() || *name == only) {
        let measured = measure(&wanted).with_context(|| format!("failed to measure {name}"))?;
        println!("{}\n", measured.table);
        parts.push((name, measured.json));
        is_kept &= measured.is_kept;
    }
    write_where_asked("JSON", || {
        let object: Value =
            parts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        format!("{object:#}")
    })?;
    Ok(if is_kept { Answer::Yes } else { Answer::No })
}

/// A number, where the variable is set.
fn from_env<N>(variable: &str) -> Result<Option<N>>
where
    N: std::str::FromStr<Err = std::num::ParseIntError>,
{
    let Ok(text) = std::env::var(variable) else { return Ok(None) };
    text.parse().map(Some).with_context(|| format!("failed to read {variable}"))
}

/// The middle one.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}
