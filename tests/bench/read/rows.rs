// SPDX-License-Identifier: MIT OR Apache-2.0
//! A row as text, beside a copy of the same text, which is as fast as memory lets anybody be;
//! and what the exporter's compression of it costs, which the reader has no part in.
//!
//! The rows are those of a segment that the reader wrote of the sensor's own table.

use std::io::{self, Write};
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use comfy_table::Table as Printed;
use ibsr_proto::abi::Table;
use ibsr_tests::process::program;
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::compression::{Compression, ZSTD_LEVEL};
use crate::programs::Programs;
use crate::scene::Scene;
use crate::{Measured, Wanted, median, scope};

/// In the segment, where `SOURCES` does not say otherwise.
const ROWS: u32 = 100_000;
/// Packets for each source, so that their counters differ.
const PACKETS_EACH: u32 = 20;
/// As the exporter reads.
const READ_BYTES: usize = 64 * 1024;

/// What `ibsr-reader rewrite` prints for each way, and what compression is measured as.
#[derive(Debug, Deserialize)]
struct Way {
    name: String,
    rows: u64,
    bytes: u64,
    cpu_ns: u64,
}

struct Row {
    name: String,
    ns: f64,
    bytes: f64,
    mb_per_s: f64,
    of_copy: f64,
}

/// Measures every way on one segment.
///
/// # Errors
/// When there is no segment.
pub fn measure(wanted: &Wanted) -> Result<Measured> {
    let sources = if let [only] = wanted.sizes[..] { only } else { ROWS };
    let scene = Scene::new(&Programs::compile()?, Table::Lru, sources)?;
    scene.run(sources * PACKETS_EACH)?;
    let spool = scope::spool();
    let segment = scene.segment(spool.path())?;
    let rounds: Vec<Vec<Way>> =
        (0..wanted.rounds).map(|_| round(&segment)).collect::<Result<_>>()?;
    let rows: Vec<Row> = (0..rounds[0].len()).map(|at| row(&rounds, at)).collect();
    Ok(Measured { table: print(&rows), json: json(&rows), is_kept: true })
}

/// Every way once: those of the reader, then the exporter's.
fn round(segment: &Path) -> Result<Vec<Way>> {
    let mut command = Command::new(program("ibsr-reader"));
    let output = command.args(["rewrite", "--quiet"]).arg(segment).output()?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut ways: Vec<Way> =
        serde_json::from_slice(&output.stdout).context("failed to read times")?;
    ensure!(ways.windows(2).all(|two| two[0].bytes == two[1].bytes), "the texts differ: {ways:?}");
    let text = std::fs::read(segment).context("failed to read the segment")?;
    ways.push(compressed(&text, ways[0].rows)?);
    Ok(ways)
}

/// The whole segment, whose other lines are four of many thousands.
fn compressed(text: &[u8], rows: u64) -> Result<Way> {
    let before = thread_cpu_ns();
    let mut encoder = Compression::Zstd.encoder(Counting(0))?;
    for part in text.chunks(READ_BYTES) {
        encoder.write_all(part)?;
    }
    let Counting(bytes) = encoder.finish()?;
    let cpu_ns = thread_cpu_ns() - before;
    Ok(Way { name: format!("the exporter's zstd, level {ZSTD_LEVEL}"), rows, bytes, cpu_ns })
}

/// Counts what it is given.
struct Counting(u64);

impl Write for Counting {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Way `at` over all rounds; the first is the copy. Speed is that of the text, not of what
/// becomes of it.
fn row(rounds: &[Vec<Way>], at: usize) -> Row {
    let over = |of: &dyn Fn(&[Way]) -> f64| median(rounds.iter().map(|ways| of(ways)).collect());
    let (way, text_bytes) = (&rounds[0][at], rounds[0][0].bytes);
    let ns = over(&|ways| ways[at].cpu_ns as f64 / ways[at].rows as f64);
    Row {
        name: way.name.clone(),
        ns,
        bytes: way.bytes as f64 / way.rows as f64,
        mb_per_s: text_bytes as f64 / way.rows as f64 / ns * 1e3,
        of_copy: over(&|ways| ways[at].cpu_ns as f64 / ways[0].cpu_ns.max(1) as f64),
    }
}

fn print(rows: &[Row]) -> Printed {
    let head = ["way", "ns a row", "M rows/s", "MB/s of text", "bytes a row", "of a copy"];
    let mut table = ibsr_cli::table(&head, &[1, 2, 3, 4, 5]);
    for row in rows {
        table.add_row([
            row.name.clone(),
            format!("{:.0}", row.ns),
            format!("{:.2}", 1e3 / row.ns),
            format!("{:.0}", row.mb_per_s),
            format!("{:.1}", row.bytes),
            format!("{:.1} x", row.of_copy),
        ]);
    }
    table
}

fn json(rows: &[Row]) -> Value {
    let row = |row: &Row| {
        json!({
            "name": row.name,
            "ns_per_row": row.ns,
            "bytes_per_row": row.bytes,
            "text_mb_per_s": row.mb_per_s,
            "of_copy": row.of_copy,
        })
    };
    rows.iter().map(row).collect()
}

fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}
