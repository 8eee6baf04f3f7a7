// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is kept while one set of maps is read, and what its end leaves open: whether the
//! next set took over without a packet between them.

use std::path::Path;

use ibsr_proto::abi::Meta;
use ibsr_proto::snapshot::{Gap, GapReason, Sweep};
use tracing::info;

use crate::clock::Moment;
use crate::interface::{Attachment, Change, Place, is_attached, is_link_pinned};
use crate::pinned::Pinned;
use crate::sweep::{Reading, Surroundings};

/// A driver adds to the interface's counter once a poll, which takes at most this many
/// frames of one queue (NAPI_POLL_WEIGHT).
const POLL_FRAMES: u64 = 64;

/// Open maps and the little that is remembered about them.
#[derive(Debug)]
pub struct Epoch {
    /// The maps.
    pub pinned: Pinned,
    /// Since when nothing is attached.
    pub attachment: Attachment,
    place: Place,
    /// Start of the last sweep that reached the spool.
    swept_boot_ns: Option<u64>,
    /// The same of the last full one.
    full_boot_ns: u64,
    /// `received` of the last sweep.
    received: u64,
    /// The last pair of the interface's own counter and `received`.
    wire: Option<Wire>,
    /// Name of the interface when it was last in sight.
    ifname: String,
    was_seen: bool,
    /// Its pins are gone: what is swept now is the end of it.
    is_over: bool,
}

impl Epoch {
    /// Nothing swept yet.
    #[must_use]
    pub fn new(pinned: Pinned, net_dir: Option<&Path>) -> Self {
        let meta = &pinned.meta;
        Self {
            attachment: Attachment::default(),
            place: Place::new(meta, net_dir),
            swept_boot_ns: None,
            full_boot_ns: 0,
            received: 0,
            wire: None,
            ifname: meta.ifname(),
            was_seen: false,
            is_over: false,
            pinned,
        }
    }

    /// Start of the interval that a sweep at `at` must list; `None` for a full one.
    #[must_use]
    pub fn since(&self, at: Moment, full_every_ns: u64) -> Option<u64> {
        let is_full_due =
            self.is_over || at.boot_ns.saturating_sub(self.full_boot_ns) >= full_every_ns;
        self.swept_boot_ns.filter(|_| !is_full_due)
    }

    /// What there is to see beside the maps. When its pins are gone the interface belongs to
    /// others, and its counter says nothing about this program.
    pub fn look_around(&mut self, pins: &Path, reading: &Reading) -> Surroundings {
        if self.is_over {
            return Surroundings { attached: false, rx_packets: None };
        }
        let seen = self.place.look();
        if let Some(seen) = &seen
            && seen.name != self.ifname
        {
            info!(from = self.ifname, to = seen.name, "interface renamed: still counting");
            self.ifname.clone_from(&seen.name);
        }
        // The first sweep has nothing to compare with.
        let has_advanced = self.swept_boot_ns.is_some() && reading.after.received > self.received;
        self.was_seen |= seen.is_some();
        let is_missing = seen.is_none() && self.place.is_telling(self.was_seen);
        let attached = is_attached(is_link_pinned(pins), is_missing, has_advanced);
        Surroundings { attached, rx_packets: seen.and_then(|seen| seen.rx_packets) }
    }

    /// Takes note of a sweep that reached the spool.
    pub fn note(&mut self, sweep: &Sweep) -> Change {
        self.swept_boot_ns = Some(sweep.at_boot_ns);
        if sweep.since_boot_ns == 0 {
            self.full_boot_ns = sweep.at_boot_ns;
        }
        self.received = sweep.totals.received;
        if self.is_over {
            return Change::None;
        }
        self.wire = Wire::of(sweep).or(self.wire);
        self.attachment.observe(sweep.attached, sweep.at_boot_ns)
    }

    /// From here on only the last sweep is left, which must list everything. Returns what to
    /// remember of the state before; `is_gone`: nothing has taken its place.
    pub fn end(&mut self, is_gone: bool) -> Ended {
        self.is_over = true;
        let is_detached = is_gone || self.attachment.is_detached();
        Ended {
            last_attached_boot_ns: self.attachment.last_attached_boot_ns(),
            reason: if is_detached { GapReason::Detached } else { GapReason::Epoch },
            wire: self.wire,
        }
    }
}

/// What had arrived at one moment, by the interface's count and by the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wire {
    rx_packets: u64,
    received: u64,
}

impl Wire {
    fn of(sweep: &Sweep) -> Option<Self> {
        let rx_packets = sweep.rx_packets?;
        Some(Self { rx_packets, received: sweep.totals.received })
    }
}

/// What an epoch that ended leaves for the next one to compare with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    last_attached_boot_ns: Option<u64>,
    reason: GapReason,
    /// `received` is what the program counted after the interface's counter was read.
    wire: Option<Wire>,
}

impl Ended {
    /// After the last sweep of the maps; `None` when it failed, and nobody knows what the
    /// program counted in the end.
    #[must_use]
    pub fn after(self, last: Option<&Sweep>) -> Self {
        let wire = self.wire.zip(last).map(|(wire, last)| Wire {
            received: last.totals.received.saturating_sub(wire.received),
            ..wire
        });
        Self { wire, ..self }
    }

    /// The time that neither epoch covers, given the first sweep of the next one. A program
    /// that took over between two packets leaves none: then every packet of the interface is
    /// in one of the two counts.
    #[must_use]
    pub fn gap(&self, next: &Meta, first: &Sweep) -> Option<Gap> {
        let (from_boot_ns, to_boot_ns) = (self.last_attached_boot_ns?, next.attached_boot_ns);
        let is_seamless = self.reason == GapReason::Epoch
            && self
                .missing(first)
                .is_some_and(|missing| missing <= POLL_FRAMES.saturating_mul(u64::from(next.ncpu)));
        let reason = self.reason;
        (!is_seamless && to_boot_ns > from_boot_ns).then_some(Gap {
            from_boot_ns,
            to_boot_ns,
            reason,
            segment: None,
        })
    }

    /// Packets that the interface received and neither program did.
    fn missing(&self, first: &Sweep) -> Option<u64> {
        let Wire { rx_packets, received } = self.wire?;
        let arrived = first.rx_packets?.checked_sub(rx_packets)?;
        Some(arrived.saturating_sub(received.saturating_add(first.totals.received)))
    }
}

#[cfg(test)]
mod tests {
    use ibsr_proto::conservation::Totals;
    use zerocopy::FromBytes as _;

    use super::*;

    fn next(attached_boot_ns: u64) -> Meta {
        let zeroes = Meta::read_from_bytes(&[0; size_of::<Meta>()]).expect("zeroes");
        Meta { attached_boot_ns, ncpu: 2, ..zeroes }
    }

    fn sweep(received: u64, rx_packets: Option<u64>) -> Sweep {
        Sweep {
            seq: 1,
            merged_from_seq: None,
            since_boot_ns: 0,
            at_boot_ns: 100,
            at_unix_ms: 0,
            rows: 0,
            entries: 0,
            max_entries: 1,
            attributed: 0,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: Totals { received, ..Totals::default() },
            losses: Vec::new(),
            rx_packets,
            attached: true,
            read_us: 0,
        }
    }

    fn ended(reason: GapReason) -> Ended {
        let ended = Ended {
            last_attached_boot_ns: Some(10),
            reason,
            wire: Wire::of(&sweep(3_000, Some(5_000))),
        };
        ended.after(Some(&sweep(3_400, None)))
    }

    fn gap(reason: GapReason) -> Option<Gap> {
        Some(Gap { from_boot_ns: 10, to_boot_ns: 50, reason, segment: None })
    }

    /// L14: 400 packets by the old program, 600 by the new one, 1,000 on the interface.
    #[test]
    fn a_program_that_took_over_between_two_packets_leaves_no_gap() {
        assert_eq!(ended(GapReason::Epoch).gap(&next(50), &sweep(600, Some(6_000))), None);
        assert_eq!(ended(GapReason::Epoch).gap(&next(50), &sweep(600, Some(6_128))), None);
    }

    #[test]
    fn packets_that_nobody_counted_make_a_gap() {
        let found = ended(GapReason::Epoch).gap(&next(50), &sweep(600, Some(6_129)));
        assert_eq!(found, gap(GapReason::Epoch));
    }

    /// What cannot be known is a gap: no counter, a counter that started over, a last sweep
    /// that failed.
    #[test]
    fn without_proof_there_is_a_gap() {
        let ended = ended(GapReason::Epoch);
        assert_eq!(ended.gap(&next(50), &sweep(600, None)), gap(GapReason::Epoch));
        assert_eq!(ended.gap(&next(50), &sweep(600, Some(7))), gap(GapReason::Epoch));
        let failed = ended.after(None);
        assert_eq!(failed.gap(&next(50), &sweep(1_000, Some(6_000))), gap(GapReason::Epoch));
    }

    /// L13: while nothing was pinned nothing counted, packets or not.
    #[test]
    fn pins_that_were_gone_are_a_gap_in_any_case() {
        let found = ended(GapReason::Detached).gap(&next(50), &sweep(600, Some(6_000)));
        assert_eq!(found, gap(GapReason::Detached));
        let never = Ended { last_attached_boot_ns: None, ..self::ended(GapReason::Detached) };
        assert_eq!(never.gap(&next(50), &sweep(0, None)), None);
    }
}
