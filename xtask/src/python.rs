// SPDX-License-Identifier: MIT OR Apache-2.0
//! DuckDB, with which the tests run the queries that the documentation shows.

use std::process::Command;

use anyhow::Result;

use crate::step::{run, target_dir};

const DUCKDB: &str = "duckdb==1.4.4";

/// Installs it beside the build's own output, where it is not there yet.
pub(crate) fn install_duckdb() -> Result<()> {
    let modules = target_dir()?.join("tools").join("python");
    if modules.join("duckdb").is_dir() {
        return Ok(());
    }
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    run("install duckdb", pip.arg("--target").arg(modules).arg(DUCKDB))
}
