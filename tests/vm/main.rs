// SPDX-License-Identifier: MIT OR Apache-2.0
//! The inner half of `make vm-test`: process 1 of a guest that runs another kernel over the
//! machine's own file tree. Runs the root tests that make sense there, writes what came of
//! each, and turns the guest off. The outer half is in xtask.

mod guest;
mod libtest;
mod objects;
mod plan;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use ibsr_cli::{Answer, finish};

fn main() -> ExitCode {
    finish("ibsr-vm-guest", run())
}

fn run() -> Result<Answer> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["objects", dir] => objects::write(Path::new(dir)),
        ["run", dir] => guest::run(Path::new(dir)),
        _ => bail!("usage: ibsr-vm-guest objects DIR | run DIR; `make vm-test` does both"),
    }
}
