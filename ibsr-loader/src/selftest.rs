// SPDX-License-Identifier: MIT OR Apache-2.0
//! `selftest`.
use anyhow::Result;
use ibsr_cli::Answer;
pub fn run() -> Result<Answer> {
    Ok(Answer::No)
}
