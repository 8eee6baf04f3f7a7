// SPDX-License-Identifier: MIT OR Apache-2.0
//! Data for stdout. A closed pipe comes back as an error, which ends as success.

use std::io::{self, Write as _};

/// Writes a line.
///
/// # Errors
/// When stdout cannot be written.
pub fn line(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.write_all(b"\n")
}
