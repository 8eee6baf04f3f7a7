// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of `--baseline`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::hint::with_hint;
use ibsr_proto::baseline::Baseline;

/// Reads it.
///
/// # Errors
/// When it cannot be read, or is no baseline: then with the place of what is wrong.
pub fn read(path: &Path) -> Result<Baseline> {
    let text =
        fs::read_to_string(path).with_context(|| format!("failed to read `{}`", path.display()))?;
    Baseline::parse(&text)
        .with_context(|| format!("`{}` is no baseline", path.display()))
        .map_err(|error| with_hint(error, "`ibsr-report baseline` writes one from segments"))
}
