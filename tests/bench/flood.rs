// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-flood`: what a flood of spoofed addresses does to the counts of steady clients
//! with real connections, with the yardstick beside the sensor.
//!
//! BPF_PROG_TEST_RUN in a network namespace of its own, in which a server holds a connection
//! of every client: a sensor that asks the kernel for the socket finds it. A schedule says
//! which packet comes after which, so time is what lies between two packets of one client, not
//! seconds. Nothing sweeps the tables: what is evicted is lost, as it is between two sweeps.
//! Ends with 1 when a bound is missed. With `JSON=FILE` the rows are written there too; with
//! `ONLY=TEXT` only cases whose name holds it run.

use std::process::ExitCode;

use anyhow::{Result, bail};
use ibsr_cli::{Answer, finish};
use ibsr_tests::bench::write_where_asked;
use ibsr_tests::netns::Namespace;

#[path = "flood/cases.rs"]
mod cases;
#[path = "flood/clients.rs"]
mod clients;
#[path = "flood/output.rs"]
mod output;
#[path = "programs.rs"]
#[expect(dead_code, reason = "shared with the other benches of the sensor")]
mod programs;
#[path = "flood/schedule.rs"]
mod schedule;
#[path = "flood/tables.rs"]
mod tables;
#[path = "flood/trial.rs"]
mod trial;

fn main() -> ExitCode {
    finish("bench-flood", run())
}

#[expect(clippy::print_stdout, reason = "the table is the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("BPF_PROG_TEST_RUN needs root");
    }
    let only = std::env::var("ONLY").unwrap_or_default();
    let namespace = Namespace::new("flood");
    let outcomes = namespace.inside(|| -> Result<Vec<trial::Outcome>> {
        let programs = programs::Programs::compile()?;
        let clients = clients::Clients::connect()?;
        let cases = cases::cases().into_iter().filter(|case| case.name.contains(&only));
        cases.map(|case| trial::run(&programs, &clients, case)).collect()
    })?;
    println!("{}", output::table(&outcomes));
    write_where_asked("JSON", || output::json(&outcomes))?;
    Ok(if outcomes.iter().all(trial::Outcome::is_kept) { Answer::Yes } else { Answer::No })
}
