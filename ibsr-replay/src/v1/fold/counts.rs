// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters of a source, as a value that can be added and differenced.

use ibsr_proto::snapshot::Source;
use serde::Serialize;

/// The counters of a source row, or a difference of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// SYN without ACK.
    pub syn: u64,
    /// Any segment with ACK.
    pub ack: u64,
    /// Completed handshakes as seen from ingress.
    pub handshakes: u64,
    /// Any segment with FIN.
    pub fin: u64,
    /// Any segment with RST.
    pub rst: u64,
    /// Frames.
    pub packets: u64,
    /// Frame bytes without FCS.
    pub bytes: u64,
}

impl Counts {
    /// Each counter through `f`.
    #[must_use]
    pub fn map(self, f: impl Fn(u64) -> u64) -> Self {
        self.zip(Self::default(), |value, _| f(value))
    }

    /// Each pair of counters through `f`.
    #[must_use]
    pub fn zip(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            syn: f(self.syn, other.syn),
            ack: f(self.ack, other.ack),
            handshakes: f(self.handshakes, other.handshakes),
            fin: f(self.fin, other.fin),
            rst: f(self.rst, other.rst),
            packets: f(self.packets, other.packets),
            bytes: f(self.bytes, other.bytes),
        }
    }

    /// Sum. Saturates, so that a hostile file cannot stop a run; real counters take
    /// centuries to get there.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What was added since `before`; `None` when a counter went backwards.
    #[must_use]
    pub fn since(self, before: Self) -> Option<Self> {
        let is_forward = self.syn >= before.syn
            && self.ack >= before.ack
            && self.handshakes >= before.handshakes
            && self.fin >= before.fin
            && self.rst >= before.rst
            && self.packets >= before.packets
            && self.bytes >= before.bytes;
        is_forward.then(|| self.zip(before, |now, before| now - before))
    }

    /// Whether nothing was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}

impl From<&Source> for Counts {
    fn from(row: &Source) -> Self {
        Self {
            syn: row.syn,
            ack: row.ack,
            handshakes: row.handshakes,
            fin: row.fin,
            rst: row.rst,
            packets: row.packets,
            bytes: row.bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A counter that is left out of the comparison would hide corrupt rows for ever.
    #[test]
    fn any_single_counter_that_goes_backwards_is_seen() {
        let before = Counts { syn: 1, ack: 1, handshakes: 1, fin: 1, rst: 1, packets: 1, bytes: 1 };
        assert_eq!(before.since(before), Some(Counts::default()));
        let lower: [fn(&mut Counts); 7] = [
            |c| c.syn = 0,
            |c| c.ack = 0,
            |c| c.handshakes = 0,
            |c| c.fin = 0,
            |c| c.rst = 0,
            |c| c.packets = 0,
            |c| c.bytes = 0,
        ];
        for lower in lower {
            let mut now = before;
            lower(&mut now);
            assert_eq!(now.since(before), None, "{now:?}");
        }
    }

    #[test]
    fn huge_counters_saturate() {
        let huge = Counts { bytes: u64::MAX, ..Counts::default() };
        assert_eq!(huge.plus(huge).bytes, u64::MAX);
    }
}
