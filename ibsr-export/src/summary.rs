// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one pass did, as one line and as an exit code.

use std::time::Instant;

use ibsr_cli::Answer;

/// Exit code when a key holds other content than the segment of that name.
pub const CONFLICT: Answer = Answer::Code(3);

/// Counts of one pass.
#[derive(Debug, Clone)]
pub struct Summary {
    started: Instant,
    /// Sent and stored.
    pub uploaded: u64,
    /// Found in the bucket, sent earlier.
    pub was_there: u64,
    /// Bytes of the uploaded segments in the spool.
    pub bytes_in: u64,
    /// Bytes of their objects.
    pub bytes_out: u64,
    /// To be tried again.
    pub left_over: u64,
    /// The key holds other content.
    pub conflicts: u64,
    /// Found damaged now.
    pub damaged: u64,
    /// Found damaged before, and not changed since.
    pub quarantined: u64,
    /// Gone, or no longer fit, between listing and opening.
    pub skipped: u64,
}

impl Summary {
    /// Starts the clock.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            uploaded: 0,
            was_there: 0,
            bytes_in: 0,
            bytes_out: 0,
            left_over: 0,
            conflicts: 0,
            damaged: 0,
            quarantined: 0,
            skipped: 0,
        }
    }

    /// Conflicts weigh more than what will be tried again. Damage counts in the pass that
    /// finds it: later ones would only repeat what nobody can repair.
    pub fn answer(&self) -> Answer {
        match self {
            Self { conflicts: 1.., .. } => CONFLICT,
            Self { left_over: 1.., .. } | Self { damaged: 1.., .. } => Answer::No,
            _ => Answer::Yes,
        }
    }

    /// The one line at the end.
    pub fn log(&self) {
        tracing::info!(
            uploaded = self.uploaded,
            was_there = self.was_there,
            bytes_in = self.bytes_in,
            bytes_out = self.bytes_out,
            seconds = format_args!("{:.1}", self.started.elapsed().as_secs_f64()),
            left_over = self.left_over,
            conflicts = self.conflicts,
            damaged = self.damaged,
            quarantined = self.quarantined,
            skipped = self.skipped,
            "pass done"
        );
    }

    /// Whether anything is worth a line in the journal of `watch`.
    pub fn is_news(&self) -> bool {
        let Self { uploaded, was_there, left_over, damaged, .. } = self;
        uploaded + was_there + left_over + damaged > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_thing_gives_the_answer() {
        let clean = Summary { uploaded: 3, quarantined: 1, ..Summary::start() };
        assert_eq!(clean.answer(), Answer::Yes);
        let waiting = Summary { left_over: 1, ..clean };
        assert_eq!(waiting.answer(), Answer::No);
        assert_eq!(Summary { conflicts: 1, ..waiting }.answer(), CONFLICT);
        assert_eq!(Summary { damaged: 1, ..Summary::start() }.answer(), Answer::No);
    }
}
