// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the interval before a sweep is worth: timed, or a gap with its reason.
//!
//! Counters are cumulative, so a lost sweep costs no count; it costs the knowledge of when
//! the counting happened. What fell into a gap is in every total and in no rate.

use ibsr_proto::snapshot::{GapReason, Sweep};
use serde::{Deserialize, Serialize};

use super::window::Stretch;

/// An interval longer than this many configured periods is a gap.
const MAX_PERIODS: u64 = 3;
/// Longest interval whose rates say anything about windows of seconds; also bounds the
/// windows that one row can be spread over, whatever a header claims.
const MAX_INTERVAL_NS: u64 = 3_600_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// Why an interval has no rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nothing was attached to the interface.
    Detached,
    /// Sweeps are missing.
    Missing,
    /// Rows of the sweep are missing or were rejected.
    Incomplete,
    /// The sweep came later than three periods after the one before.
    Late,
    /// The spool merged several sweeps into one.
    Merged,
    /// The spool dropped a segment to keep its bounds.
    Retention,
    /// The spool could not be written.
    Disk,
    /// The maps were replaced.
    Epoch,
    /// The host was booted.
    Boot,
    /// A reason that this version does not know.
    Unknown,
}

impl Why {
    /// The word in the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Detached => "detached",
            Self::Missing => "missing",
            Self::Incomplete => "incomplete",
            Self::Late => "late",
            Self::Merged => "merged",
            Self::Retention => "retention",
            Self::Disk => "disk",
            Self::Epoch => "epoch",
            Self::Boot => "boot",
            Self::Unknown => "unknown",
        }
    }
}

impl From<GapReason> for Why {
    fn from(reason: GapReason) -> Self {
        match reason {
            GapReason::Detached => Self::Detached,
            GapReason::Retention => Self::Retention,
            GapReason::Disk => Self::Disk,
            GapReason::Epoch => Self::Epoch,
            _ => Self::Unknown,
        }
    }
}

/// The boot clock against the wall clock, at one sweep.
#[derive(Debug, Clone, Copy, Default)]
pub struct WallClock {
    at_boot_ns: u64,
    at_unix_ms: u64,
}

impl WallClock {
    /// As `sweep` saw it.
    #[must_use]
    pub const fn of(sweep: &Sweep) -> Self {
        Self { at_boot_ns: sweep.at_boot_ns, at_unix_ms: sweep.at_unix_ms }
    }

    /// Wall clock at `boot_ns`, as the sweep saw it.
    #[must_use]
    pub const fn unix_ms(self, boot_ns: u64) -> u64 {
        match boot_ns.checked_sub(self.at_boot_ns) {
            Some(later) => self.at_unix_ms.saturating_add(later / NS_PER_MS),
            None => self.at_unix_ms.saturating_sub((self.at_boot_ns - boot_ns) / NS_PER_MS),
        }
    }
}

/// What a header says about its sweeps.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    /// Configured period; 0 for single sweeps.
    pub period_ms: u64,
    /// Start of the epoch.
    pub attached_boot_ns: u64,
}

/// The interval before a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Interval {
    /// From the sweep before.
    pub over: Stretch,
    /// Whether increments over it have a rate.
    pub is_timed: bool,
    /// Why not, where that is a gap. The first sweep of a stream is none: what it counted
    /// before was not observed by these files.
    pub why: Option<Why>,
    /// Changes before it may be unlisted: a source that is not in it may have changed.
    pub is_break: bool,
}

/// Where a sweep stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Another file had it already, by itself or merged.
    Duplicate,
    /// Its clock contradicts its sequence number.
    Backwards,
    /// Behind the one before.
    Next(Interval),
}

/// The sweeps of one stream so far.
#[derive(Debug, Clone)]
pub struct Timeline {
    window_ns: u64,
    last: Option<(u64, u64)>,
    runs: Vec<Stretch>,
}

impl Timeline {
    /// Before the first sweep.
    #[must_use]
    pub const fn new(window_ns: u64) -> Self {
        Self { window_ns, last: None, runs: Vec::new() }
    }

    /// Says where `sweep` stands. `is_whole`: all rows that it counts were read.
    #[must_use]
    pub fn place(&self, pace: Pace, sweep: &Sweep, is_whole: bool) -> Placement {
        let Some((last_seq, last_at_ns)) = self.last else {
            return Placement::Next(self.first(pace, sweep, is_whole));
        };
        if sweep.seq <= last_seq {
            return Placement::Duplicate;
        }
        if sweep.at_boot_ns <= last_at_ns {
            return Placement::Backwards;
        }
        let over = Stretch { from_ns: last_at_ns, to_ns: sweep.at_boot_ns };
        let is_unlisted = sweep.since_boot_ns > last_at_ns;
        let is_missing = sweep.merged_from_seq.unwrap_or(sweep.seq) > last_seq + 1;
        let why = if !sweep.attached {
            Some(Why::Detached)
        } else if is_missing || is_unlisted {
            Some(Why::Missing)
        } else if !is_whole {
            Some(Why::Incomplete)
        } else if over.len_ns() > self.longest_ns(pace) {
            Some(if sweep.merged_from_seq.is_some() { Why::Merged } else { Why::Late })
        } else {
            None
        };
        let is_break = is_unlisted || !is_whole;
        Placement::Next(Interval { over, is_timed: why.is_none(), why, is_break })
    }

    /// A full first sweep soon after the start of the epoch is an interval like any other;
    /// otherwise nobody knows when its counts were made.
    fn first(&self, pace: Pace, sweep: &Sweep, is_whole: bool) -> Interval {
        let is_full = sweep.since_boot_ns == 0;
        let from_ns = if is_full { pace.attached_boot_ns } else { sweep.since_boot_ns };
        let over = Stretch { from_ns: from_ns.min(sweep.at_boot_ns), to_ns: sweep.at_boot_ns };
        let len_ns = over.len_ns();
        let is_timed =
            is_full && is_whole && sweep.attached && len_ns > 0 && len_ns <= self.longest_ns(pace);
        let why = (!sweep.attached).then_some(Why::Detached);
        Interval { over, is_timed, why, is_break: !is_whole }
    }

    /// Single sweeps have no period; three windows are as good a bound.
    const fn longest_ns(&self, pace: Pace) -> u64 {
        let period_ns = match pace.period_ms {
            0 => self.window_ns,
            ms => ms.saturating_mul(NS_PER_MS),
        };
        let longest_ns = period_ns.saturating_mul(MAX_PERIODS);
        if longest_ns < MAX_INTERVAL_NS { longest_ns } else { MAX_INTERVAL_NS }
    }

    /// Takes `sweep` as the last one.
    pub fn advance(&mut self, sweep: &Sweep, interval: &Interval) {
        let Interval { over, is_timed, .. } = *interval;
        match self.runs.last_mut() {
            _ if !is_timed => {}
            Some(run) if run.to_ns == over.from_ns => run.to_ns = over.to_ns,
            _ => self.runs.push(over),
        }
        self.last = Some((sweep.seq, sweep.at_boot_ns));
    }

    /// Whether timed intervals cover all of `window`.
    #[must_use]
    pub fn is_complete(&self, window: u64) -> bool {
        let from_ns = window.saturating_mul(self.window_ns);
        let to_ns = from_ns.saturating_add(self.window_ns);
        let behind = self.runs.partition_point(|run| run.from_ns <= from_ns);
        behind > 0 && self.runs[behind - 1].to_ns >= to_ns
    }

    /// Whether no sweep was taken yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.last.is_none()
    }
}

#[cfg(test)]
#[path = "timeline_tests.rs"]
mod tests;
