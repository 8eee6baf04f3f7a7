// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report for people and programs. Each renderer is a pure function of the model; only
//! [`print()`] writes.
//!
//! `doc` says what there is to say, once; `text`, `md` and `html` write it, `chart` draws the
//! numbers of the page. `json` and `csv` are the model as it is, `toml` its candidate rules.

use std::io::{self, Write as _};

pub mod chart;
pub mod csv;
pub mod doc;
pub mod escape;
pub mod html;
pub mod json;
pub mod md;
#[cfg(test)]
mod sample;
#[cfg(test)]
mod tests;
pub mod text;
pub mod toml;
pub mod units;

/// Writes to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
