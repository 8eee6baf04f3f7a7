// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept while one set of maps is read, and what its end leaves open: whether the
//! next set took over without a seam.

use ibsr_proto::snapshot::{Gap, GapReason};

use crate::attachment::{Attachment, Change};
use crate::clock::Moment;
use crate::sensor::Sensor;
use crate::spool::{Closing as _, SweepHead};

/// Open maps and the little that is remembered about them.
#[derive(Debug)]
pub struct Epoch<S> {
    /// The maps.
    pub sensor: S,
    /// Since when nothing is attached.
    pub attachment: Attachment,
    /// Start of the last sweep that reached the spool.
    swept_boot_ns: Option<u64>,
    /// The same of the last full one.
    full_boot_ns: u64,
    /// Its pins are gone: what is swept now is the end of it.
    is_over: bool,
}

impl<S: Sensor> Epoch<S> {
    /// Nothing swept yet.
    #[must_use]
    pub fn new(sensor: S) -> Self {
        Self {
            sensor,
            attachment: Attachment::default(),
            swept_boot_ns: None,
            full_boot_ns: 0,
            is_over: false,
        }
    }

    /// Whether its pins are gone.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        self.is_over
    }

    /// Start of the interval that a sweep at `at` must list; `None` for a full one.
    #[must_use]
    pub fn since(&self, at: Moment, full_every_ns: u64) -> Option<u64> {
        let is_full_due =
            self.is_over || at.boot_ns.saturating_sub(self.full_boot_ns) >= full_every_ns;
        self.swept_boot_ns.filter(|_| !is_full_due)
    }

    /// Takes note of a sweep that reached the spool.
    pub fn note(&mut self, close: &S::Close) -> Change {
        let head: SweepHead = close.head();
        self.swept_boot_ns = Some(head.at_boot_ns);
        if head.since_boot_ns == 0 {
            self.full_boot_ns = head.at_boot_ns;
        }
        if self.is_over {
            return Change::None;
        }
        self.sensor.note(close);
        self.attachment.observe(head.attached, head.at_boot_ns)
    }

    /// From here on only the last sweep is left, which must list everything.
    pub fn end(&mut self) {
        self.is_over = true;
    }

    /// What to remember after the `last` sweep; `None` when that failed, and nobody knows what
    /// the programs counted in the end. `is_gone`: nothing has taken its place.
    #[must_use]
    pub fn ended(&self, is_gone: bool, last: Option<&S::Close>) -> Ended<S> {
        let is_detached = is_gone || self.attachment.is_detached();
        Ended {
            last_attached_boot_ns: self.attachment.last_attached_boot_ns(),
            reason: if is_detached { GapReason::Detached } else { GapReason::Epoch },
            left: self.sensor.leave(last),
        }
    }
}

/// What an epoch that ended leaves for the next one to compare with.
#[derive(Debug)]
pub struct Ended<S: Sensor> {
    last_attached_boot_ns: Option<u64>,
    reason: GapReason,
    left: S::Left,
}

impl<S: Sensor> Ended<S> {
    /// The time that neither epoch covers, given the first sweep of the next one. Programs
    /// that took over without a seam leave none.
    #[must_use]
    pub fn gap(&self, next: &S, first: &S::Close) -> Option<Gap> {
        let is_seamless = next.is_seamless(&self.left, first);
        gap(self.last_attached_boot_ns, next.attached_boot_ns(), self.reason, is_seamless)
    }
}

/// What had nothing attached in between is a gap in any case.
fn gap(from: Option<u64>, to_boot_ns: u64, reason: GapReason, is_seamless: bool) -> Option<Gap> {
    let from_boot_ns = from?;
    let is_covered = reason == GapReason::Epoch && is_seamless;
    (!is_covered && to_boot_ns > from_boot_ns).then_some(Gap {
        from_boot_ns,
        to_boot_ns,
        reason,
        segment: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seam_between_two_epochs_is_a_gap() {
        let reason = GapReason::Epoch;
        let expected = Gap { from_boot_ns: 10, to_boot_ns: 50, reason, segment: None };
        assert_eq!(gap(Some(10), 50, reason, false), Some(expected));
        assert_eq!(gap(Some(10), 50, reason, true), None);
    }

    /// L13: while nothing was pinned nothing counted, packets or not.
    #[test]
    fn pins_that_were_gone_are_a_gap_in_any_case() {
        let reason = GapReason::Detached;
        let expected = Gap { from_boot_ns: 10, to_boot_ns: 50, reason, segment: None };
        assert_eq!(gap(Some(10), 50, reason, true), Some(expected));
        assert_eq!(gap(None, 50, reason, false), None);
        assert_eq!(gap(Some(50), 50, reason, false), None);
    }
}
