// SPDX-License-Identifier: MIT OR Apache-2.0
//! cargo-deny: licences, bans and sources must pass; advisories where their database can be
//! reached, because a build that needs a third party to be up is no build.

use anyhow::{Context as _, Result};

use crate::step::{Tool, root, run, say};

const CARGO_DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };

/// Runs the four checks.
pub(crate) fn deny() -> Result<()> {
    run(
        "cargo-deny",
        tool()?.args(["check", "--hide-inclusion-graph", "licenses", "bans", "sources"]),
    )?;
    let fetch = tool()?.args(["fetch", "db"]).output().context("failed to start `cargo-deny`")?;
    if !fetch.status.success() {
        let said = String::from_utf8_lossy(&fetch.stderr);
        let reason = said.lines().find(|line| line.contains("fatal:")).unwrap_or("no reason given");
        say(&format!("cargo-deny advisories: SKIPPED, the database cannot be reached: {reason}"));
        return Ok(());
    }
    run("cargo-deny advisories", tool()?.args(["check", "--disable-fetch", "advisories"]))
}

fn tool() -> Result<std::process::Command> {
    let mut command = std::process::Command::new(CARGO_DENY.path()?);
    command.current_dir(root()).args(["--workspace", "--locked", "--log-level", "error"]);
    Ok(command)
}
