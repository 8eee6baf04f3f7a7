// SPDX-License-Identifier: MIT OR Apache-2.0
//! What benches write beside the table that they print.

use std::path::Path;

use anyhow::{Context as _, Result};

/// Writes a file where the environment variable names one: `JSON`, or `SVG`.
///
/// # Errors
/// When it cannot be written.
pub fn write_where_asked(variable: &str, text: impl FnOnce() -> String) -> Result<()> {
    let Some(path) = std::env::var_os(variable) else { return Ok(()) };
    let path = Path::new(&path);
    std::fs::write(path, text() + "\n")
        .with_context(|| format!("failed to write `{}`", path.display()))
}
