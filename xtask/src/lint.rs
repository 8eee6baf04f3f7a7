// SPDX-License-Identifier: MIT OR Apache-2.0
//! clippy, rustdoc and bpflinter; a warning is an error.

use std::process::Command;

use anyhow::Result;

use crate::step::{Tool, cargo, files, root, run};

const BPFLINTER: Tool = Tool { name: "bpflinter", version: "0.1.5" };

/// Runs all three, cheapest first.
pub(crate) fn lint() -> Result<()> {
    let programs = files(&root().join("bpf"), &[".bpf.c"])?;
    run("bpflinter", Command::new(BPFLINTER.path()?).args(programs))?;
    run("clippy", cargo().args(CLIPPY))?;
    run("rustdoc", cargo().args(RUSTDOC).env("RUSTDOCFLAGS", "-D warnings"))
}

const CLIPPY: [&str; 7] =
    ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
const RUSTDOC: [&str; 5] =
    ["doc", "--workspace", "--no-deps", "--document-private-items", "--locked"];
