// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-export`: takes sealed segments from the spool to S3, each exactly once.
//!
//! The spool is only read. What was uploaded stands in a ledger in the exporter's own state
//! directory; the bucket is the truth, and a lost ledger costs requests, never data.

#![forbid(unsafe_code)]

mod capability;
mod cli;
mod clock;
mod compression;
mod config;
mod exporter;
mod key;
mod ledger;
mod multipart;
mod outcome;
mod pass;
mod plan;
mod prepare;
mod segment;
mod segments;
mod state;
mod status;
mod stop;
mod summary;
mod upload;
mod watch;
mod worker;

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser as _};
use ibsr_cli::{Answer, finish};

use crate::cli::{Cli, Command, S3Command};
use crate::config::Config;

fn main() -> ExitCode {
    let cli = Cli::parse();
    cli.log.init();
    finish("ibsr-export", run(cli.command))
}

fn run(command: Command) -> anyhow::Result<Answer> {
    match command {
        Command::S3 { command: S3Command::Run(args) } => {
            let dry_run = args.dry_run;
            let config = Config::try_from(args.transfer)?;
            if dry_run {
                status::dry_run(&config)
            } else {
                runtime()?.block_on(exporter::run(config))
            }
        }
        Command::S3 { command: S3Command::Watch(args) } => {
            let rescan = args.rescan;
            runtime()?.block_on(watch::watch(Config::try_from(args.transfer)?, rescan))
        }
        Command::S3 { command: S3Command::Status(args) } => status::status(&args),
        Command::Generate(generate) => generate.run(Cli::command()),
    }
}

/// Threads for reading, compressing and resolving names; the unit's `TasksMax` is above it.
const BLOCKING_THREADS: usize = 8;

/// One thread for the network; whatever blocks goes to the pool.
fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("failed to start the runtime")
}
