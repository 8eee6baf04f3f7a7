// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a run is, on a terminal; nothing anywhere else.

use indicatif::{ProgressBar, ProgressStyle};

/// Lines between two updates: a bar must not cost what it shows.
const STEP_LINES: u64 = 65_536;

/// A bar over lines, on stderr.
#[derive(Debug)]
pub struct Progress(ProgressBar);

impl Progress {
    /// Over `lines` lines.
    #[must_use]
    pub fn new(lines: u64, is_quiet: bool) -> Self {
        if is_quiet {
            return Self(ProgressBar::hidden());
        }
        let style = "{bar:30} {human_pos}/{human_len} rows, {per_sec}, {eta} left";
        let style =
            ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
        Self(ProgressBar::new(lines).with_style(style))
    }

    /// Takes note of line `number` of a file.
    pub fn line(&self, number: u64) {
        if number.is_multiple_of(STEP_LINES) {
            self.0.inc(STEP_LINES);
        }
    }

    /// Takes note of the end of a file with `lines` lines.
    pub fn file(&self, lines: u64) {
        self.0.inc(lines % STEP_LINES);
    }

    /// Takes the bar away.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}
