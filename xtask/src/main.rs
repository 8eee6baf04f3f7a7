// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chores, one file each. `make` is the front door and calls this; CI calls `make`.
//!
//! Depends on next to nothing, so that the cheapest checks run before anything large is
//! compiled.

#![forbid(unsafe_code)]

mod check;
mod deny;
mod deps;
mod faults;
mod fmt;
mod generate;
mod lint;
mod python;
mod step;
mod test;
mod vm;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
usage: cargo xtask CHORE

  check            every chore below that can fail, cheapest first, then the tests
  fmt [--check]    rustfmt and clang-format
  deps             the table of who may depend on whom
  faults [--check] docs/faults.md from the comments of the tests
  lint             clippy, rustdoc, bpflinter
  deny             licences, bans, sources, advisories
  test             build everything, run all tests (without root: all that need none)
  vm [KERNEL ...]  the root tests on 5.10, 6.1, 6.12, newest, or on those named, in QEMU
  man DIR          manual pages of every program
  completions DIR  bash, fish and zsh completions of every program";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            step::say(&format!("FAILED: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["check"] => check::check(),
        ["fmt"] => fmt::fmt(false),
        ["fmt", "--check"] => fmt::fmt(true),
        ["deps"] => deps::deps(),
        ["faults"] => faults::faults(false),
        ["faults", "--check"] => faults::faults(true),
        ["lint"] => lint::lint(),
        ["deny"] => deny::deny(),
        ["test"] => test::test(),
        ["vm", ref names @ ..] => vm::vm(names),
        ["man", dir] => generate::man(Path::new(dir)),
        ["completions", dir] => generate::completions(Path::new(dir)),
        _ => bail!("unknown chore\n{USAGE}"),
    }
}
