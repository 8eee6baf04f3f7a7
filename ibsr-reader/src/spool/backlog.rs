// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gap rows until they lie in a sealed file: those that wait to be written, and those in the
//! open file, which would be lost with it.

use std::io;

use ibsr_proto::snapshot::{Gap, GapReason, RowRef};

use super::part::Part;

/// Gap rows remembered at most; beyond it the oldest two become one.
pub(super) const MAX_GAPS: usize = 256;

/// The gap rows of this process that are not sealed yet. Bounded by [`MAX_GAPS`].
#[derive(Debug, Default)]
pub(super) struct Backlog {
    waiting: Vec<Gap>,
    written: Vec<Gap>,
}

impl Backlog {
    /// Remembers a gap. One that goes on where the last one of its kind ended extends it.
    pub(super) fn push(&mut self, gap: Gap) {
        match self.waiting.last_mut() {
            Some(last) if last.reason == GapReason::Disk && gap.reason == GapReason::Disk => {
                *last = joined(last, &gap);
            }
            _ => self.waiting.push(gap),
        }
        self.bound();
    }

    /// Writes what waits and makes the file whole up to there.
    pub(super) fn write(&mut self, part: &mut Part) -> io::Result<()> {
        self.waiting.iter().try_for_each(|gap| part.row(RowRef::Gap(gap)))?;
        part.commit()?;
        self.written.append(&mut self.waiting);
        self.bound();
        Ok(())
    }

    /// Lets a waiting disk gap reach up to the first sweep that was written again.
    pub(super) fn end_disk_gap(&mut self, at_boot_ns: u64) {
        let disk = self.waiting.iter_mut().filter(|gap| gap.reason == GapReason::Disk);
        for gap in disk {
            gap.to_boot_ns = gap.to_boot_ns.max(at_boot_ns);
        }
    }

    /// The open file is sealed.
    pub(super) fn sealed(&mut self) {
        self.written.clear();
    }

    /// The open file is lost: what was written in it waits again.
    pub(super) fn lost(&mut self) {
        self.written.append(&mut self.waiting);
        std::mem::swap(&mut self.written, &mut self.waiting);
    }

    fn bound(&mut self) {
        for gaps in [&mut self.waiting, &mut self.written] {
            while gaps.len() > MAX_GAPS {
                gaps[1] = joined(&gaps[0], &gaps[1]);
                gaps.remove(0);
            }
        }
    }
}

fn joined(a: &Gap, b: &Gap) -> Gap {
    let reason = if a.reason == b.reason { a.reason } else { GapReason::Unknown };
    Gap {
        from_boot_ns: a.from_boot_ns.min(b.from_boot_ns),
        to_boot_ns: a.to_boot_ns.max(b.to_boot_ns),
        reason,
        segment: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from_boot_ns: u64, reason: GapReason) -> Gap {
        Gap { from_boot_ns, to_boot_ns: from_boot_ns + 1, reason, segment: None }
    }

    fn waiting(backlog: &Backlog) -> Vec<(u64, u64)> {
        backlog.waiting.iter().map(|gap| (gap.from_boot_ns, gap.to_boot_ns)).collect()
    }

    /// A disk that is full for a day is one gap, and it ends where a sweep was written again.
    #[test]
    fn one_period_after_the_other_without_a_disk_is_one_gap() {
        let mut backlog = Backlog::default();
        (5..9).for_each(|from| backlog.push(gap(from, GapReason::Disk)));
        backlog.end_disk_gap(20);
        assert_eq!(waiting(&backlog), [(5, 20)]);
    }

    /// However long it lasts and whatever the reasons, memory does not grow, and no moment
    /// that was told is forgotten.
    #[test]
    fn many_gaps_become_fewer_and_wider() {
        let mut backlog = Backlog::default();
        let reasons = [GapReason::Detached, GapReason::Retention];
        for (from, reason) in (0..10_000).zip(reasons.into_iter().cycle()) {
            backlog.push(gap(from, reason));
        }
        let left = waiting(&backlog);
        assert_eq!(left.len(), MAX_GAPS);
        assert_eq!((left[0].0, left[MAX_GAPS - 1].1), (0, 10_000));
        assert_eq!(backlog.waiting[0].reason, GapReason::Unknown);
    }
}
