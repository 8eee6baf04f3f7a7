// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sweeping does to packets: their rate on one CPU while the reader sweeps on another
//! without a pause, beside the rate with nobody there and with a program that copies memory.
//!
//! The rate is by CPU time of the thread that runs packets, in which all waiting for locks,
//! caches and memory is. Each round runs every neighbour once, begins with another one than the
//! round before, and is compared with itself.

use std::thread;

use anyhow::{Result, ensure};
use comfy_table::Table as Printed;
use ibsr_proto::abi::Table;
use serde_json::{Value, json};

use crate::neighbour::{Done, Neighbour, PACKETS_CPU, bind};
use crate::programs::{Programs, TABLES};
use crate::scene::{Scene, is_nearly};
use crate::{Measured, Wanted, median};

/// Of one round and neighbour: a second or so with a million sources, two sweeps of them.
const PACKETS: u32 = 3_000_000;
/// The first two are what the others are compared with.
const NEIGHBOURS: [(&str, Neighbour); 4] = [
    ("nobody", Neighbour::Nobody),
    ("copies memory", Neighbour::Copying),
    ("sweeps that list nothing", Neighbour::Sweeping("reading")),
    ("sweeps that list every source", Neighbour::Sweeping("listing")),
];
/// Of the rate with nobody there; for this many sources and more.
const AT_LEAST: (f64, u32) = (0.9, 1_000_000);

struct Row {
    table: Table,
    sources: u32,
    name: &'static str,
    is_sweep: bool,
    packets_per_s: f64,
    of_nobody: f64,
    /// Least and greatest of the rounds.
    of_nobody_within: (f64, f64),
    of_copying: f64,
    done: Done,
}

impl Row {
    fn is_kept(&self) -> bool {
        let (at_least, from) = AT_LEAST;
        !self.is_sweep || self.sources < from || self.of_nobody >= at_least
    }
}

/// Measures every table at every size.
///
/// # Errors
/// When the kernel refuses a program, or there are not two CPUs.
pub fn measure(wanted: &Wanted) -> Result<Measured> {
    let programs = Programs::compile()?;
    let mut rows = Vec::new();
    for table in TABLES {
        for sources in &wanted.sizes {
            let scene = Scene::new(&programs, table, *sources)?;
            // A thread of its own, so that nothing else stays on one CPU.
            let measure = || of_scene(&scene, table, *sources, wanted.rounds);
            let measured = thread::scope(|scope| scope.spawn(measure).join());
            rows.extend(measured.expect("the measurement does not panic")?);
        }
    }
    Ok(Measured { table: print(&rows), json: json(&rows), is_kept: rows.iter().all(Row::is_kept) })
}

/// Rates of one round, in the order of [`NEIGHBOURS`].
type Round = [f64; NEIGHBOURS.len()];

fn of_scene(scene: &Scene, table: Table, sources: u32, rounds: usize) -> Result<Vec<Row>> {
    bind(None, PACKETS_CPU)?;
    let mut done = [Done::default(); NEIGHBOURS.len()];
    let rounds: Vec<Round> =
        (0..rounds).map(|first| round(scene, sources, first, &mut done)).collect::<Result<_>>()?;
    let over = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of).collect());
    let within = |at: usize| {
        let ratios = rounds.iter().map(|round| round[at] / round[0]);
        ratios.fold((f64::MAX, f64::MIN), |(least, most), of| (least.min(of), most.max(of)))
    };
    let row = |(at, (name, neighbour)): (usize, &(&'static str, Neighbour))| Row {
        table,
        sources,
        name,
        is_sweep: matches!(neighbour, Neighbour::Sweeping(_)),
        packets_per_s: over(&|round| round[at]),
        of_nobody: over(&|round| round[at] / round[0]),
        of_nobody_within: within(at),
        of_copying: over(&|round| round[at] / round[1]),
        done: done[at],
    };
    Ok(NEIGHBOURS.iter().enumerate().map(row).collect())
}

fn round(scene: &Scene, sources: u32, first: usize, sums: &mut [Done]) -> Result<Round> {
    let mut rates = Round::default();
    for turn in 0..NEIGHBOURS.len() {
        let at = (first + turn) % NEIGHBOURS.len();
        let busy = NEIGHBOURS[at].1.start(&scene.made)?;
        let cost = scene.run(PACKETS);
        // Also after an error: a reader must not outlive the bench.
        let done = busy.stop()?;
        rates[at] = 1e9 / cost?;
        let Some(done) = done else { continue };
        let is_whole = done.sweeps > 0 && is_nearly(done.entries, sources);
        ensure!(is_whole, "not every source was swept: {done:?}");
        sums[at].sweeps += done.sweeps;
        sums[at].cpu_us += done.cpu_us;
    }
    Ok(rates)
}

fn print(rows: &[Row]) -> Printed {
    let head = [
        "table",
        "sources",
        "the other CPU",
        "M packets/s",
        "of nobody",
        "rounds",
        "of copies",
        "sweeps",
    ];
    let mut table = ibsr_cli::table(&head, &[1, 3, 4, 5, 6, 7]);
    for row in rows {
        table.add_row([
            row.table.as_str().to_owned(),
            row.sources.to_string(),
            row.name.to_owned(),
            format!("{:.2}", row.packets_per_s / 1e6),
            format!("{:.2} x", row.of_nobody),
            within(row),
            format!("{:.2} x", row.of_copying),
            if row.is_sweep { row.done.sweeps.to_string() } else { String::new() },
        ]);
    }
    table
}

/// Of the rows that are compared with another.
fn within(row: &Row) -> String {
    let (least, most) = row.of_nobody_within;
    if least < most { format!("{least:.2} to {most:.2}") } else { String::new() }
}

fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "table": row.table.as_str(),
            "sources": row.sources,
            "neighbour": row.name,
            "packets_per_s": row.packets_per_s,
            "of_nobody": row.of_nobody,
            "of_nobody_within": row.of_nobody_within,
            "of_copying": row.of_copying,
            "sweeps": row.done.sweeps,
            "sweeping_cpu_us": row.done.cpu_us,
            "is_kept": row.is_kept(),
        })
    };
    rows.iter().map(row).collect()
}
