// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report`: reads segments and says what was seen, who sent it, and what a rule would
//! have done. Reads files and objects, prints; touches no pin, no interface, no spool.
//!
//! `ingest` makes ordered segments of inputs, `fold` reads them once and leaves a `partial`
//! behind, the library `ibsr-replay` judges it, `render` shows the result.

#![forbid(unsafe_code)]

mod baseline;
mod bundle;
mod cli;
mod clock;
mod compact;
mod egress;
mod fold;
mod ingest;
mod outputs;
mod parallel;
mod partial;
mod progress;
mod render;
mod run;
mod simulate;
mod talk;

use std::process::ExitCode;

use clap::Parser as _;
use ibsr_cli::finish;

fn main() -> ExitCode {
    finish("ibsr-report", run::run(cli::Cli::parse()))
}
