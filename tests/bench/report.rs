// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-report`: the release build of `ibsr-report` beside DuckDB over the same rows of
//! JSON Lines, in one run, in CPU time and peak memory. With `ROWS=N` it reads another number
//! of rows; from 20 million on they are packed and only our own programs read them. With
//! `JSON=FILE` the rows of the table are written there too.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;
use serde_json::{Value, json};

#[path = "report/measure.rs"]
mod measure;
#[path = "report/rows.rs"]
mod rows;
use measure::{Cost, measure};

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 3;
const ROWS: u64 = 10_000_000;
/// More rows than this are for the bound on memory: 2 GB for each 10 million are too many.
const DUCKDB_ROWS: u64 = 20_000_000;
const NOW: &str = "2026-11-24T12:00:00Z";
/// Makes this program write the recording in a process of its own: what the parent holds in
/// memory would count as the children's.
const WRITE: &str = "--write-rows";

/// What is compared.
struct Way {
    name: &'static str,
    command: Command,
    /// Bounds as shares of what DuckDB needs for its two queries.
    cpu_limit: Option<f64>,
    memory_limit: Option<f64>,
}

/// A way over all rounds.
struct Measured {
    name: String,
    costs: Vec<Cost>,
    cpu_limit: Option<f64>,
    memory_limit: Option<f64>,
}

fn main() -> ExitCode {
    finish("bench-report", run())
}

fn run() -> Result<Answer> {
    let rows = match std::env::var("ROWS") {
        Ok(text) => text.parse().context("failed to read ROWS")?,
        Err(_) => ROWS,
    };
    let target = target()?;
    let is_packed = rows >= DUCKDB_ROWS;
    let cache = target.join("bench-report");
    if std::env::args().nth(1).as_deref() == Some(WRITE) {
        let _dir = rows::folder(&cache, rows, is_packed)?;
        return Ok(Answer::Yes);
    }
    let writer = std::env::current_exe().context("failed to find this program")?;
    let status = Command::new(writer).arg(WRITE).status().context("failed to start the writer")?;
    ensure!(status.success(), "failed to write the recording");
    let folder = rows::folder(&cache, rows, is_packed)?;
    let ways = if is_packed {
        ours(&target, &folder)?
    } else {
        [duckdb(&target, &folder)?, ours(&target, &folder)?].into_iter().flatten().collect()
    };
    let measured = rounds(ways)?;
    if !is_packed {
        agree(&measured)?;
    }
    show(rows, &measured)
}

/// Where builds are put: this program lies in a profile's folder of it.
fn target() -> Result<PathBuf> {
    let path = std::env::current_exe().context("failed to find this program")?;
    let target = path.parent().and_then(Path::parent).context("this program has no folder")?;
    Ok(target.to_owned())
}

fn duckdb(target: &Path, folder: &Path) -> Result<Vec<Way>> {
    let python = target.join("fleet-venv/bin/python");
    ensure!(python.is_file(), "DuckDB is missing\nhint: make deps-fleet");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/report/query.py");
    let way = |name, query| {
        let mut command = Command::new(&python);
        command.arg(&script).arg(query).arg(folder);
        Way { name, command, cpu_limit: None, memory_limit: None }
    };
    Ok(vec![way("DuckDB: top 5", "top"), way("DuckDB: windows", "windows")])
}

fn ours(target: &Path, folder: &Path) -> Result<Vec<Way>> {
    let report = target.join("release/ibsr-report");
    ensure!(report.is_file(), "`{}` is missing\nhint: make release", report.display());
    let way = |name, cpu_limit, memory_limit, args: &[&str]| {
        let mut command = Command::new(&report);
        command.arg(args[0]).arg(folder).args(&args[1..]).args(["--now", NOW, "--quiet"]);
        Way { name, command, cpu_limit, memory_limit }
    };
    let out = folder.with_extension("report");
    let out = out.to_str().context("the build's folder is no UTF-8")?;
    let sources = ["sources", "--top", "5", "--by", "syn", "--format", "json"];
    Ok(vec![
        way("ibsr-report sources", Some(0.4), Some(0.2), &sources),
        way("ibsr-report run", Some(1.0), None, &["run", "--out", out]),
    ])
}

/// Every way once a round, in turn: a machine that gets slower does so for all.
fn rounds(mut ways: Vec<Way>) -> Result<Vec<Measured>> {
    let mut measured: Vec<_> = ways
        .iter()
        .map(|way| Measured {
            name: way.name.to_owned(),
            costs: Vec::new(),
            cpu_limit: way.cpu_limit,
            memory_limit: way.memory_limit,
        })
        .collect();
    for _ in 0..ROUNDS {
        for (way, measured) in ways.iter_mut().zip(&mut measured) {
            // A verdict is an exit code; from 2 on there is none.
            measured.costs.push(measure(&mut way.command, &[0, 1])?);
        }
    }
    if let [top, windows, ..] = &measured[..]
        && top.name.starts_with("DuckDB")
    {
        let both = both(top, windows);
        measured.insert(2, both);
    }
    Ok(measured)
}

/// One query after the other.
fn both(one: &Measured, other: &Measured) -> Measured {
    let costs = one.costs.iter().zip(&other.costs).map(|(one, other)| Cost {
        cpu: one.cpu + other.cpu,
        wall: one.wall + other.wall,
        peak_bytes: one.peak_bytes.max(other.peak_bytes),
        stdout: String::new(),
    });
    let costs = costs.collect();
    Measured { name: "DuckDB: both".into(), costs, cpu_limit: None, memory_limit: None }
}

/// A comparison of programs that say different things would be worth nothing.
fn agree(measured: &[Measured]) -> Result<()> {
    let by_duckdb: Vec<(String, u64)> = measured[0].costs[0]
        .stdout
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .filter_map(|(src, syn)| Some((src.to_owned(), syn.parse().ok()?)))
        .collect();
    let sources =
        measured.iter().find(|way| way.name.ends_with("sources")).context("no sources")?;
    let json: Value =
        serde_json::from_str(&sources.costs[0].stdout).context("failed to read the sources")?;
    let by_us: Vec<(String, u64)> = json["sources"]
        .as_array()
        .context("there are no sources")?
        .iter()
        .filter_map(|row| Some((row["src"].as_str()?.to_owned(), row["syn"].as_u64()?)))
        .collect();
    if by_duckdb.len() != 5 || by_duckdb != by_us {
        bail!("DuckDB found {by_duckdb:?} but ibsr-report {by_us:?}");
    }
    Ok(())
}

impl Measured {
    fn median<T: Ord + Copy>(&self, of: impl Fn(&Cost) -> T) -> T {
        let mut values: Vec<T> = self.costs.iter().map(of).collect();
        values.sort_unstable();
        values[values.len() / 2]
    }

    fn cpu(&self) -> Duration {
        self.median(|cost| cost.cpu)
    }

    fn peak_mib(&self) -> f64 {
        self.median(|cost| cost.peak_bytes) as f64 / f64::from(1 << 20)
    }

    /// CPU and memory as shares of those of `base`.
    fn shares(&self, base: &Self) -> (f64, f64) {
        let cpu = self.cpu().as_secs_f64() / base.cpu().as_secs_f64();
        (cpu, self.peak_mib() / base.peak_mib())
    }

    fn is_within(&self, (cpu, memory): (f64, f64)) -> bool {
        self.cpu_limit.is_none_or(|limit| cpu <= limit)
            && self.memory_limit.is_none_or(|limit| memory <= limit)
    }
}

/// Prints the table; `No` when a bound is not kept.
#[expect(clippy::print_stdout, reason = "the table is the output")]
fn show(rows: u64, measured: &[Measured]) -> Result<Answer> {
    let base = measured.iter().find(|way| way.name == "DuckDB: both");
    println!("{}", table(rows, measured, base));
    write_where_asked("JSON", || json(measured, base))?;
    let is_met = base.is_none_or(|base| measured.iter().all(|way| way.is_within(way.shares(base))));
    Ok(if is_met { Answer::Yes } else { Answer::No })
}

fn table(rows: u64, measured: &[Measured], base: Option<&Measured>) -> Table {
    let size = format!("{rows} rows");
    let names = [&size, "CPU s", "wall s", "cores", "peak MiB", "CPU", "memory", "bound"];
    let mut table = ibsr_cli::table(&names, &[1, 2, 3, 4, 5, 6]);
    for way in measured {
        let (cpu, wall) = (way.cpu().as_secs_f64(), way.median(|cost| cost.wall).as_secs_f64());
        let shares = base.map(|base| way.shares(base));
        let share =
            |share: Option<f64>| share.map_or(String::new(), |share| format!("{share:.2} x"));
        table.add_row([
            way.name.clone(),
            format!("{cpu:.1}"),
            format!("{wall:.1}"),
            format!("{:.2}", cpu / wall),
            format!("{:.0}", way.peak_mib()),
            share(shares.map(|(cpu, _)| cpu)),
            share(shares.map(|(_, memory)| memory)),
            shares.map_or(String::new(), |shares| bound(way, shares)),
        ]);
    }
    table
}

/// The bounds of a way and whether they are kept.
fn bound(way: &Measured, shares: (f64, f64)) -> String {
    let limit = |name, limit: Option<f64>| limit.map(|limit| format!("{name} {limit:.1} x"));
    let limits: Vec<_> = [limit("CPU", way.cpu_limit), limit("memory", way.memory_limit)]
        .into_iter()
        .flatten()
        .collect();
    match (limits.is_empty(), way.is_within(shares)) {
        (true, _) => String::new(),
        (false, true) => format!("{}: kept", limits.join(", ")),
        (false, false) => format!("{}: MISSED", limits.join(", ")),
    }
}

fn json(measured: &[Measured], base: Option<&Measured>) -> String {
    let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let rows: Vec<_> = measured
        .iter()
        .map(|way| {
            let min = way.costs.iter().map(|cost| cost.cpu).min().unwrap_or_default();
            let shares = base.map(|base| way.shares(base));
            json!({
                "name": way.name, "median": ms(way.cpu()), "min": ms(min),
                "ratio": shares.map(|(cpu, _)| cpu),
                "wall_ms": ms(way.median(|cost| cost.wall)),
                "peak_bytes": way.median(|cost| cost.peak_bytes),
                "peak_ratio": shares.map(|(_, memory)| memory),
            })
        })
        .collect();
    format!("{:#}", json!({"bench": "report", "unit": "ms", "rows": rows}))
}
