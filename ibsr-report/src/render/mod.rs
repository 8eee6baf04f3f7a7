// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as text and as JSON. Each renderer is a pure function of the model; only
//! [`print()`] writes.

use std::io::{self, Write as _};

use ibsr_cli::Format;
use ibsr_replay::v1::model::Report;

mod json;
mod text;

/// The whole report.
#[must_use]
pub fn report(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text::report(report),
        Format::Json => json::report(report),
    }
}

/// Only its busiest sources.
#[must_use]
pub fn sources(report: &Report, format: Format) -> String {
    match format {
        Format::Text => text::sources(report),
        Format::Json => json::sources(report),
    }
}

/// Writes to stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
