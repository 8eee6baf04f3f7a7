// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-xdp`: what the sensor adds to a packet, beside a program that does nothing, its
//! own parser alone and a plain sensor of the publicly known kind.
//!
//! BPF_PROG_TEST_RUN. All programs of a row run in turn, round after round, so that a slow
//! moment of the machine meets all of them; the least of a program's rounds is its cost, and
//! the program that only picks the sender is subtracted. Absolute figures are this machine's;
//! the ratio to the yardstick is the claim. Ends with 1 when a bound is missed. With
//! `JSON=FILE` and `SVG=FILE` the rows are written there too; with `ONLY=TEXT` only rows whose
//! name holds it are measured.

use std::process::ExitCode;

use anyhow::{Result, bail};
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;

#[path = "xdp/chart.rs"]
mod chart;
#[path = "xdp/measure.rs"]
mod measure;
#[path = "xdp/output.rs"]
mod output;
#[path = "programs.rs"]
#[expect(dead_code, reason = "shared with the other benches of the sensor")]
mod programs;
#[path = "xdp/rows.rs"]
mod rows;

fn main() -> ExitCode {
    finish("bench-xdp", run())
}

#[expect(clippy::print_stdout, reason = "the tables are the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("BPF_PROG_TEST_RUN needs root");
    }
    let programs = programs::Programs::compile()?;
    let only = std::env::var("ONLY").unwrap_or_default();
    let rows = rows::rows().into_iter().filter(|row| row.name.contains(&only));
    let measured: Vec<_> =
        rows.map(|row| measure::measure(&programs, row)).collect::<Result<_>>()?;
    let bounds = output::bounds(&measured);
    println!("{}\n\n{}", output::table(&measured), output::bounds_table(&bounds));
    write_where_asked("JSON", || output::json(&measured, &bounds))?;
    write_where_asked("SVG", || chart::svg(&measured))?;
    Ok(if bounds.iter().all(output::Bound::is_kept) { Answer::Yes } else { Answer::No })
}
