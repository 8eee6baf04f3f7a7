// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two clocks. Intervals are measured on the boot clock, which counts through suspend
//! and cannot be set; the wall clock is read here and nowhere else, once a sweep, so that a
//! reader of the files can place them in time and see the wall clock being set.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Boot clock.
    pub boot_ns: u64,
    /// Wall clock.
    pub unix_ms: u64,
}

impl Moment {
    /// The present. The two reads are some 50 ns apart.
    #[must_use]
    pub fn now() -> Self {
        let wall = nanoseconds(clock_gettime(ClockId::Realtime));
        Self { boot_ns: boot_ns(), unix_ms: wall / 1_000_000 }
    }
}

/// The present on the boot clock.
#[must_use]
pub fn boot_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Boottime))
}

/// CPU time that this process has used.
#[must_use]
pub fn cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// A wall clock set before 1970 counts as 1970.
fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let rest = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}

/// When to sweep next, after the deadline `due` at `now`: in the same rhythm as before, or,
/// when one period or more was missed (suspend, a stuck disk), one period from now.
#[must_use]
pub fn next_due(due: u64, now: u64, period: u64) -> u64 {
    let next = due.saturating_add(period);
    if next > now { next } else { now.saturating_add(period) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_advance_and_the_wall_clock_is_not_the_boot_clock() {
        let first = Moment::now();
        let second = Moment::now();
        assert!(second.boot_ns > first.boot_ns);
        assert!(first.unix_ms > 1_500_000_000_000, "after 2017");
    }

    #[test]
    fn a_wall_clock_before_1970_is_not_a_panic() {
        assert_eq!(nanoseconds(Timespec { tv_sec: -5, tv_nsec: 7 }), 7);
    }

    /// R8: after a suspend of an hour there is one sweep, not 360, and the rhythm goes on.
    #[test]
    fn a_missed_period_is_not_caught_up() {
        assert_eq!(next_due(100, 103, 10), 110);
        assert_eq!(next_due(100, 110, 10), 120);
        assert_eq!(next_due(100, 3_700, 10), 3_710);
        assert_eq!(next_due(u64::MAX, 1, 10), u64::MAX);
    }
}
