// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-reader`: pinned maps in, sealed segments out. Runs without rights, opens nothing
//! for writing but its spool, and keeps no state that a kill could lose.

mod attachment;
mod batch;
mod cgroup;
mod cli;
mod clock;
mod epoch;
mod guard;
mod notify;
mod pin;
mod privilege;
mod reader;
mod sensor;
mod settings;
mod spool;
mod sweep;
mod throttle;
mod xdp;

use std::io::{self, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser as _};
use ibsr_cli::{Answer, finish};

use cgroup::Cgroup;
use cli::{Cli, Command};
use clock::{boot_ns, next_due};
use guard::Guard;
use notify::{Manager, Waiter, Wake};
use reader::Reader;
use sensor::Sensor;
use settings::Settings;
use xdp::{Xdp, walk};

fn main() -> ExitCode {
    finish("ibsr-reader", run(Cli::parse()))
}

fn run(cli: Cli) -> Result<Answer> {
    cli.log.init();
    match cli.command {
        Command::Run(args) => {
            let settings = args.settings();
            match &settings.scope {
                scope if scope.is_guard() => keep_sweeping::<Guard>(settings)?,
                scope if scope.is_cgroup() => keep_sweeping::<Cgroup>(settings)?,
                _ => keep_sweeping::<Xdp>(settings)?,
            }
        }
        Command::Once(args) => {
            privilege::confine()?;
            let settings = args.settings();
            let sealed = match &settings.scope {
                scope if scope.is_guard() => Reader::<Guard>::open(settings)?.once()?,
                scope if scope.is_cgroup() => Reader::<Cgroup>::open(settings)?.once()?,
                _ => Reader::<Xdp>::open(settings)?.once()?,
            };
            writeln!(io::stdout(), "{}", sealed.display())?;
        }
        Command::Walk(args) => {
            privilege::confine()?;
            let dir = args.pins.scope.dir(&args.pins.pin_root);
            let answer = match args.until_eof {
                Some(pass) => walk::until_eof(&dir, pass)?,
                None => walk::compare(&dir)?,
            };
            writeln!(io::stdout(), "{answer}")?;
        }
        Command::Rewrite { segment } => {
            privilege::confine()?;
            writeln!(io::stdout(), "{}", walk::rewrite(&segment)?)?;
        }
        Command::Generate(generate) => return generate.run(Cli::command()),
    }
    Ok(Answer::Yes)
}

/// Until a signal; then one more sweep and the seal, also after an error.
fn keep_sweeping<S: Sensor>(settings: Settings) -> Result<()> {
    privilege::confine()?;
    let waiter = Waiter::new().context("failed to make a timer")?;
    let manager = Manager::from_env();
    let period_ns = settings.period_ns;
    let mut reader = Reader::<S>::open(settings)?;
    let ended = drive(&mut reader, &waiter, &manager, period_ns);
    manager.stopping();
    let sealed = reader.finish();
    ended.and(sealed)
}

/// Ready once the pins are open or waited for. A sign of life follows each turn that ended.
fn drive<S: Sensor>(
    reader: &mut Reader<S>,
    waiter: &Waiter,
    manager: &Manager,
    period_ns: u64,
) -> Result<()> {
    let mut due = boot_ns();
    let mut status = reader.turn()?;
    manager.ready();
    loop {
        manager.alive(&status);
        let now = boot_ns();
        if now >= due {
            due = next_due(due, now, period_ns);
        }
        let until = due.min(now.saturating_add(manager.longest_wait_ns()));
        if waiter.wait(until).context("failed to wait")? == Wake::Stop {
            return Ok(());
        }
        if boot_ns() >= due {
            status = reader.turn()?;
        }
    }
}
