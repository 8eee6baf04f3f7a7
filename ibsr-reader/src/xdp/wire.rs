// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether one program took over from another without a packet between them: the interface
//! counts too, and its count is compared with both of theirs. Pure.

use ibsr_proto::snapshot::Sweep;

/// A driver adds to the interface's counter once a poll, which takes at most this many
/// frames of one queue (NAPI_POLL_WEIGHT).
const POLL_FRAMES: u64 = 64;

/// What had arrived at one moment, by the interface's count and by the program's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wire {
    rx_packets: u64,
    received: u64,
}

impl Wire {
    /// At a sweep; `None` where the interface's counter could not be read.
    #[must_use]
    pub fn of(sweep: &Sweep) -> Option<Self> {
        let rx_packets = sweep.rx_packets?;
        Some(Self { rx_packets, received: sweep.totals.received })
    }

    /// The interface's count of then, and what the program counted from then to its `last`
    /// sweep.
    #[must_use]
    pub const fn until(self, last: &Sweep) -> Self {
        let received = last.totals.received.saturating_sub(self.received);
        Self { rx_packets: self.rx_packets, received }
    }

    /// Whether every packet of the interface is in the count of the program before or in the
    /// `first` sweep of the next one, on `ncpu` CPUs. `self` is from [`Self::until`].
    #[must_use]
    pub fn is_seamless(self, first: &Sweep, ncpu: u32) -> bool {
        let arrived = first.rx_packets.and_then(|now| now.checked_sub(self.rx_packets));
        let counted = self.received.saturating_add(first.totals.received);
        arrived.is_some_and(|arrived| {
            arrived.saturating_sub(counted) <= POLL_FRAMES.saturating_mul(ncpu.into())
        })
    }
}

#[cfg(test)]
mod tests {
    use ibsr_proto::conservation::Totals;

    use super::*;

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

    fn wire() -> Wire {
        let wire = Wire::of(&sweep(3_000, Some(5_000))).expect("a counter");
        wire.until(&sweep(3_400, None))
    }

    /// L14: 400 packets by the old program, 600 by the new one, 1,000 on the interface.
    #[test]
    fn a_program_that_took_over_between_two_packets_is_seamless() {
        assert!(wire().is_seamless(&sweep(600, Some(6_000)), 2));
        assert!(wire().is_seamless(&sweep(600, Some(6_128)), 2));
    }

    #[test]
    fn packets_that_nobody_counted_are_a_seam() {
        assert!(!wire().is_seamless(&sweep(600, Some(6_129)), 2));
    }

    /// What cannot be known is a seam: no counter, a counter that started over.
    #[test]
    fn without_proof_there_is_a_seam() {
        assert!(!wire().is_seamless(&sweep(600, None), 2));
        assert!(!wire().is_seamless(&sweep(600, Some(7)), 2));
        assert_eq!(Wire::of(&sweep(600, None)), None);
    }
}
