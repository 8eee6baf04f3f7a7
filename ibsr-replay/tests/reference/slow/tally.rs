// SPDX-License-Identifier: MIT OR Apache-2.0
//! Counters wide enough that nothing in here can overflow.

use ibsr_proto::snapshot::Source;

/// Counters, or a difference of two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// SYN without ACK.
    pub syn: u128,
    /// With ACK.
    pub ack: u128,
    /// Completed handshakes.
    pub handshakes: u128,
    /// With FIN.
    pub fin: u128,
    /// With RST.
    pub rst: u128,
    /// Frames.
    pub packets: u128,
    /// Frame bytes.
    pub bytes: u128,
}

impl Tally {
    /// A row's counters.
    pub fn of(row: &Source) -> Self {
        Self {
            syn: row.syn.into(),
            ack: row.ack.into(),
            handshakes: row.handshakes.into(),
            fin: row.fin.into(),
            rst: row.rst.into(),
            packets: row.packets.into(),
            bytes: row.bytes.into(),
        }
    }

    /// Adds another one.
    pub fn add(&mut self, other: &Self) {
        *self = self.each(other, |mine, others| mine + others);
    }

    /// What came on top of `before`; `None` when any counter fell.
    pub fn since(&self, before: &Self) -> Option<Self> {
        let Self { syn, ack, handshakes, fin, rst, packets, bytes } = *self;
        let fell = syn < before.syn
            || ack < before.ack
            || handshakes < before.handshakes
            || fin < before.fin
            || rst < before.rst
            || packets < before.packets
            || bytes < before.bytes;
        if fell { None } else { Some(self.each(before, |now, before| now - before)) }
    }

    /// Every counter, with its namesake, through `f`.
    pub fn each(&self, other: &Self, f: impl Fn(u128, u128) -> u128) -> Self {
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

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }
}
