// SPDX-License-Identifier: MIT OR Apache-2.0
//! First pass over every file: which of them are whole.

use anyhow::bail;
use tracing::warn;

use super::discover::Found;
use super::scan::{FlowSegment, ScanError, Scanned, Segment, VerdictSegment, scan};
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
    /// Whole segments of cgroups.
    pub flows: Vec<FlowSegment>,
    /// Whole segments of the guard.
    pub verdicts: Vec<VerdictSegment>,
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
            Ok(Scanned::Sources(contents)) => {
                verified.segments.push(Segment { origin, place, name, contents: *contents });
            }
            Ok(Scanned::Flows(contents)) => {
                verified.flows.push(Segment { origin, place, name, contents: *contents });
            }
            Ok(Scanned::Verdicts(contents)) => {
                verified.verdicts.push(Segment { origin, place, name, contents: *contents });
            }
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

impl Verified {
    /// That there is something of an interface, where there is something at all.
    ///
    /// # Errors
    /// When all that was found is of cgroups.
    pub fn check_sensor(&self) -> anyhow::Result<()> {
        if self.flows.is_empty() || !self.segments.is_empty() || !self.refused.is_empty() {
            return Ok(());
        }
        bail!(
            "failed to find a segment of an interface: {} of cgroups hold flows, and no source that a \
             rule could act on\nhint: name segments of an `xdp-` scope; docs/queries.md asks flows",
            self.flows.len()
        )
    }
}
