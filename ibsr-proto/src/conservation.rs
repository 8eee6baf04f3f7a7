// SPDX-License-Identifier: MIT OR Apache-2.0
//! Totals of a scope and the law they obey:
//!
//! - `received = passed = non_ip + malformed + fragments + other_l4 + other_port + tracked`
//! - `tracked = attributed + unattributed - resumed + insert_failed + evicted`
//!
//! The kernel drops LRU entries silently, so `evicted` is the remainder of the second line,
//! and a remainder below zero is a bug. The set-associative table counts what it evicts. Checked by the reader at every sweep, by the report
//! over files, and by tests.

use serde::{Deserialize, Serialize};

use crate::abi::CpuTotals;

/// Totals over all CPUs since the epoch began. Every value counts packets, except the two
/// whose name says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Frames seen.
    pub received: u64,
    /// Frames passed on.
    pub passed: u64,
    /// Not IP.
    pub non_ip: u64,
    /// A header that is cut short or contradicts itself.
    pub malformed: u64,
    /// Fragments.
    pub fragments: u64,
    /// Not TCP, or TCP too deep behind extension headers.
    pub other_l4: u64,
    /// TCP to a port that is not selected.
    pub other_port: u64,
    /// TCP to a selected port.
    pub tracked: u64,
    /// Frame bytes of `tracked`.
    pub tracked_bytes: u64,
    /// Tracked, but no entry could be had.
    pub insert_failed: u64,
    /// Tracked, but not counted for its source when it came: it waits for the source's next
    /// packet, or was refused.
    pub unattributed: u64,
    /// Of `unattributed`, counted when the source's next packet came.
    #[serde(default)]
    pub resumed: u64,
    /// Entries made.
    pub inserted: u64,
    /// Sources that were proven, with a new entry or in theirs.
    #[serde(default)]
    pub promoted: u64,
    /// SYNs whose completion can no longer be seen.
    pub pending_lost: u64,
    /// Packets of evicted entries, where the table can tell; else 0.
    #[serde(default)]
    pub evicted: u64,
}

/// How the law is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConservationError {
    /// Received and passed differ.
    #[error("{received} frames received but {passed} passed")]
    Passed {
        /// Frames received.
        received: u64,
        /// Frames passed.
        passed: u64,
    },
    /// The classes do not add up to the frames passed.
    #[error("{passed} frames passed but the classes hold {classes}")]
    Classes {
        /// Frames passed.
        passed: u64,
        /// Sum of the classes.
        classes: u64,
    },
    /// Sources hold more than was tracked.
    #[error("sources and losses hold {accounted} packets but only {tracked} were tracked")]
    Negative {
        /// Packets tracked.
        tracked: u64,
        /// Packets in sources, unattributed and failed inserts.
        accounted: u64,
    },
}

impl Totals {
    /// Each pair of values through `f`.
    #[must_use]
    pub fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            received: f(self.received, other.received),
            passed: f(self.passed, other.passed),
            non_ip: f(self.non_ip, other.non_ip),
            malformed: f(self.malformed, other.malformed),
            fragments: f(self.fragments, other.fragments),
            other_l4: f(self.other_l4, other.other_l4),
            other_port: f(self.other_port, other.other_port),
            tracked: f(self.tracked, other.tracked),
            tracked_bytes: f(self.tracked_bytes, other.tracked_bytes),
            insert_failed: f(self.insert_failed, other.insert_failed),
            unattributed: f(self.unattributed, other.unattributed),
            resumed: f(self.resumed, other.resumed),
            inserted: f(self.inserted, other.inserted),
            promoted: f(self.promoted, other.promoted),
            pending_lost: f(self.pending_lost, other.pending_lost),
            evicted: f(self.evicted, other.evicted),
        }
    }

    /// Sum over CPUs.
    #[must_use]
    pub fn from_cpus(cpus: &[CpuTotals]) -> Self {
        cpus.iter().fold(Self::default(), |sum, cpu| sum.plus(cpu))
    }

    fn plus(self, cpu: &CpuTotals) -> Self {
        Self {
            received: self.received + cpu.received,
            passed: self.passed + cpu.passed,
            non_ip: self.non_ip + cpu.non_ip,
            malformed: self.malformed + cpu.malformed,
            fragments: self.fragments + cpu.fragments,
            other_l4: self.other_l4 + cpu.other_l4,
            other_port: self.other_port + cpu.other_port,
            tracked: self.tracked + cpu.tracked,
            tracked_bytes: self.tracked_bytes + cpu.tracked_bytes,
            insert_failed: self.insert_failed + cpu.insert_failed,
            unattributed: self.unattributed + cpu.unattributed,
            resumed: self.resumed + cpu.resumed,
            inserted: self.inserted + cpu.inserted,
            promoted: self.promoted + cpu.promoted,
            pending_lost: self.pending_lost + cpu.pending_lost,
            evicted: self.evicted + cpu.evicted,
        }
    }

    /// Sum of the six classes.
    #[must_use]
    pub const fn classes(&self) -> u64 {
        self.non_ip
            .saturating_add(self.malformed)
            .saturating_add(self.fragments)
            .saturating_add(self.other_l4)
            .saturating_add(self.other_port)
            .saturating_add(self.tracked)
    }

    /// Checks the first line of the law. Exact only on totals that nobody was writing while
    /// they were read; `in_flight` is how many packets may have been between two counters
    /// (one a CPU on a live interface, 0 on a quiet one).
    ///
    /// # Errors
    /// [`ConservationError::Passed`] or [`ConservationError::Classes`].
    pub const fn check_classes(&self, in_flight: u64) -> Result<(), ConservationError> {
        let Self { received, passed, .. } = *self;
        if received.abs_diff(passed) > in_flight {
            return Err(ConservationError::Passed { received, passed });
        }
        let classes = self.classes();
        if passed.abs_diff(classes) > in_flight {
            return Err(ConservationError::Classes { passed, classes });
        }
        Ok(())
    }

    /// Tracked packets that no entry was charged with, so far.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.unattributed.saturating_sub(self.resumed)
    }

    /// The second line: packets of entries that the kernel evicted, given the sum of
    /// `packets` over all entries. On a live interface it also holds the packets that were
    /// tracked while the table was read.
    ///
    /// # Errors
    /// [`ConservationError::Negative`]: more was attributed than tracked.
    pub fn evicted(&self, attributed: u64) -> Result<u64, ConservationError> {
        let accounted = attributed.saturating_add(self.missed()).saturating_add(self.insert_failed);
        self.tracked
            .checked_sub(accounted)
            .ok_or(ConservationError::Negative { tracked: self.tracked, accounted })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals {
            received: 21,
            passed: 21,
            non_ip: 1,
            malformed: 2,
            fragments: 3,
            other_l4: 4,
            other_port: 5,
            tracked: 6,
            insert_failed: 1,
            unattributed: 3,
            resumed: 2,
            ..Totals::default()
        }
    }

    #[test]
    fn the_law_holds_on_totals_that_add_up() {
        assert_eq!(totals().check_classes(0), Ok(()));
        assert_eq!(totals().evicted(3), Ok(1));
    }

    /// Each class must be part of the sum: raising any one alone breaks the law.
    #[test]
    fn every_class_is_in_the_sum() {
        let raise: [fn(&mut Totals); 7] = [
            |t| t.non_ip += 1,
            |t| t.malformed += 1,
            |t| t.fragments += 1,
            |t| t.other_l4 += 1,
            |t| t.other_port += 1,
            |t| t.tracked += 1,
            |t| t.passed += 1,
        ];
        for raise in raise {
            let mut broken = totals();
            raise(&mut broken);
            assert!(broken.check_classes(0).is_err());
            assert!(broken.check_classes(1).is_ok());
        }
    }

    #[test]
    fn more_attributed_than_tracked_is_a_bug_not_a_zero() {
        assert_eq!(
            totals().evicted(5),
            Err(ConservationError::Negative { tracked: 6, accounted: 7 })
        );
    }

    #[test]
    fn totals_are_the_sum_over_cpus() {
        let cpu = CpuTotals { received: 2, tracked_bytes: 100, ..CpuTotals::default() };
        let sum = Totals::from_cpus(&[cpu, cpu, CpuTotals::default()]);
        assert_eq!((sum.received, sum.tracked_bytes), (4, 200));
    }
}
