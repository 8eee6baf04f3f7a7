// SPDX-License-Identifier: MIT OR Apache-2.0
//! Since when nothing is attached, from one observation a sweep. Pure.

use ibsr_proto::snapshot::{Gap, GapReason};

/// What a new observation of the attachment changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Nothing.
    None,
    /// It is gone.
    Lost,
    /// It is back; the gap ends here.
    Back(Gap),
}

/// Remembers since when nothing is attached.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attachment {
    last_attached_boot_ns: Option<u64>,
    detached_since_boot_ns: Option<u64>,
}

impl Attachment {
    /// Takes the observation of one sweep.
    pub fn observe(&mut self, attached: bool, at_boot_ns: u64) -> Change {
        let change = match (attached, self.detached_since_boot_ns) {
            (true, Some(_)) => self.gap_until(at_boot_ns).map_or(Change::None, Change::Back),
            (false, None) => {
                self.detached_since_boot_ns =
                    Some(self.last_attached_boot_ns.unwrap_or(at_boot_ns));
                Change::Lost
            }
            _ => Change::None,
        };
        if attached {
            *self = Self { last_attached_boot_ns: Some(at_boot_ns), detached_since_boot_ns: None };
        }
        change
    }

    /// The gap that is open now, if there is one, as if it ended at `until_boot_ns`.
    #[must_use]
    pub fn gap_until(&self, until_boot_ns: u64) -> Option<Gap> {
        let from_boot_ns = self.detached_since_boot_ns?;
        (until_boot_ns > from_boot_ns).then_some(Gap {
            from_boot_ns,
            to_boot_ns: until_boot_ns,
            reason: GapReason::Detached,
            segment: None,
        })
    }

    /// Whether nothing was attached when last looked.
    #[must_use]
    pub const fn is_detached(&self) -> bool {
        self.detached_since_boot_ns.is_some()
    }

    /// The last moment at which the program was seen attached.
    #[must_use]
    pub const fn last_attached_boot_ns(&self) -> Option<u64> {
        self.last_attached_boot_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(from_boot_ns: u64, to_boot_ns: u64) -> Gap {
        Gap { from_boot_ns, to_boot_ns, reason: GapReason::Detached, segment: None }
    }

    /// L5: the gap starts at the last sweep that was sure, not at the first that was not.
    #[test]
    fn a_gap_runs_from_the_last_attached_sweep_to_the_first_one_back() {
        let mut attachment = Attachment::default();
        assert_eq!(attachment.observe(true, 10), Change::None);
        assert_eq!(attachment.observe(false, 20), Change::Lost);
        assert_eq!(attachment.observe(false, 30), Change::None);
        assert_eq!(attachment.gap_until(35), Some(gap(10, 35)));
        assert_eq!(attachment.observe(true, 40), Change::Back(gap(10, 40)));
        assert_eq!(attachment.gap_until(45), None);
    }

    #[test]
    fn a_start_without_attachment_is_a_gap_from_the_start() {
        let mut attachment = Attachment::default();
        assert_eq!(attachment.observe(false, 20), Change::Lost);
        assert_eq!(attachment.gap_until(20), None);
        assert_eq!(attachment.observe(true, 30), Change::Back(gap(20, 30)));
    }
}
