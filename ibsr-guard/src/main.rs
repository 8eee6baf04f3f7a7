// SPDX-License-Identifier: MIT OR Apache-2.0
//! Checks policies, attaches the guard for a rehearsal, and arms it with evidence. Nothing of
//! this program stays in memory.

#![deny(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{CommandFactory as _, Parser as _};
use ibsr_cli::{Answer, finish, privilege};

use crate::arm::Arming;
use crate::cli::{Cli, Command};

mod arm;
mod attach;
mod bundle;
mod check;
mod cli;
mod clock;
mod generation;
mod machine;
mod object;
mod pinned;
mod status;
mod subject;

fn main() -> ExitCode {
    finish("ibsr-guard", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<Answer> {
    cli.log.init();
    match cli.command {
        Command::Check { policy, format } => check::run(&policy, format),
        Command::Rehearse { policy, cgroup, dns_interface, pins, dry_run } => {
            privilege::limit()?;
            attach::rehearse(&policy, &cgroup, &dns_interface, &pins.pin_root, dry_run)
        }
        Command::Subject { policy, cgroup, host } => {
            subject::run(&policy, &cgroup, host.as_deref())
        }
        Command::Arm { policy, evidence, trust, canary, lease, host, pins, dry_run } => {
            // Before a byte of the bundle is read.
            privilege::limit()?;
            let arming = Arming {
                policy,
                evidence,
                trust,
                canary_percent: canary,
                lease: lease.lease,
                host,
            };
            arm::arm(&arming, &pins.pin_root, dry_run)
        }
        Command::Renew { lease, pins } => {
            privilege::limit()?;
            arm::renew(&pins.pin_root, lease.lease)
        }
        Command::Apply { policy, pins, dry_run } => {
            privilege::limit()?;
            attach::apply(&policy, &pins.pin_root, dry_run)
        }
        Command::Status { pins, format } => status::run(&pins.pin_root, format),
        Command::Disarm { pins, dry_run } => attach::disarm(&pins.pin_root, dry_run),
        Command::Generate(generate) => generate.run(Cli::command()),
    }
}
