// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report`: reads segments and says what was seen, who sent it, and what a rule would
//! have done. Reads files and objects, prints; touches no pin, no interface, no spool.
//!
//! `ingest` makes ordered segments of inputs, `replay` folds their rows, `model` is the
//! result as one value, `render` shows it.

#![forbid(unsafe_code)]

mod cli;
mod clock;
mod compact;
mod ingest;
mod parallel;
mod progress;
mod render;
#[allow(dead_code)]
mod render_next;
mod run;

use std::process::ExitCode;

use clap::Parser as _;
use ibsr_cli::finish;

fn main() -> ExitCode {
    finish("ibsr-report", run::run(cli::Cli::parse()))
}
