// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attaches the sensor, pins its maps, and exits. The kernel counts on; nothing of this
//! program stays in memory.

#![deny(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser as _};
use ibsr_cli::{Answer, finish};

use crate::cli::{Cli, Command, Sensor};

mod attach;
mod baseline;
mod cgroupfs;
mod check;
mod cli;
mod detach;
mod hint;
mod installed;
#[expect(unsafe_code, reason = "the one file of system calls, each with its SAFETY")]
mod kernel;
mod meta;
mod netdev;
mod object;
mod out;
mod pindir;
mod plan;
mod preflight;
mod selftest;
mod status;
mod upgrade;

fn main() -> ExitCode {
    finish("ibsr-loader", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<Answer> {
    cli.log.init();
    bridge_libbpf();
    match cli.command {
        Command::Attach { sensor: Sensor::Xdp(args) } => {
            attach::xdp::run(&args, &args.pins.root()?)
        }
        Command::Attach { sensor: Sensor::Cgroup(args) } => {
            attach::cgroup::run(&args, &args.pins.root()?)
        }
        Command::Detach { scope, pins, dry_run } => {
            detach::run(&pins.root()?, scope.as_ref(), dry_run)
        }
        Command::Status { scope, pins, format } => {
            status::run(&pins.root()?, scope.as_ref(), format)
        }
        Command::Check { ifname, cgroup, pins, format } => {
            check::run(ifname.as_deref(), cgroup.as_deref(), &pins.root()?, format)
        }
        Command::Selftest => selftest::run(),
        Command::Generate(generate) => generate.run(Cli::command()),
    }
}

/// libbpf's messages, one level below ours: its warnings matter only beside our error.
fn bridge_libbpf() {
    fn say(level: libbpf_rs::PrintLevel, text: String) {
        let text = text.trim_end();
        match level {
            libbpf_rs::PrintLevel::Warn => tracing::debug!(target: "libbpf", "{text}"),
            _ => tracing::trace!(target: "libbpf", "{text}"),
        }
    }
    libbpf_rs::set_print(Some((libbpf_rs::PrintLevel::Debug, say)));
}
