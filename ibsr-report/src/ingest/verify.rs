// SPDX-License-Identifier: MIT OR Apache-2.0
//! First pass over every file: which of them are whole.

use tracing::warn;

use super::discover::Found;
use super::scan::{ScanError, Segment, scan};
use crate::parallel;

/// Refusals that are logged; all are counted.
const MAX_LOGGED: usize = 20;

/// What the first pass came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// Whole segments.
    pub segments: Vec<Segment>,
    /// Files that cannot be used.
    pub refused: Vec<RefusedFile>,
}

/// A file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedFile {
    /// Where it was found.
    pub origin: String,
    /// Its name in the report.
    pub name: String,
    /// Why.
    pub reason: String,
}

/// Reads every file to its end, on `threads` threads.
pub fn verify(files: &[Found], threads: usize) -> Verified {
    let scanned = parallel::map(files, threads, |file| {
        file.place.open().map_err(ScanError::from).and_then(scan)
    });
    let mut verified = Verified::default();
    for (file, scanned) in files.iter().cloned().zip(scanned) {
        let Found { origin, place, name } = file;
        match scanned {
            Ok(contents) => verified.segments.push(Segment { origin, place, name, contents }),
            Err(error) => {
                let reason = error.to_string();
                if verified.refused.len() < MAX_LOGGED {
                    warn!(path = origin, reason, "segment not used");
                }
                verified.refused.push(RefusedFile { origin, name, reason });
            }
        }
    }
    verified
}
