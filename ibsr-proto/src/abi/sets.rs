// SPDX-License-Identifier: MIT OR Apache-2.0
//! The set-associative table in the terms of the others: sources and their counters.

use super::{SET_WAYS, Set, SourceCounts, SourceKey, WAYS_PER_SOURCE, Way, WayRare};

/// Sets of a table for `max_sources` sources.
#[must_use]
pub const fn set_count(max_sources: u32) -> u32 {
    let ways = max_sources as u64 * WAYS_PER_SOURCE as u64;
    // At most 2^32 * 2 / 8.
    ways.div_ceil(SET_WAYS as u64) as u32
}

impl Way {
    /// Whether a source has it.
    #[must_use]
    pub const fn is_taken(&self) -> bool {
        self.generation != 0
    }

    /// Whose it is.
    #[must_use]
    pub const fn key(&self) -> SourceKey {
        SourceKey { addr: self.addr, dst_port: self.dst_port, pad: 0 }
    }

    /// Its counters, with the rest of them.
    #[must_use]
    pub const fn counts(&self, rare: &WayRare) -> SourceCounts {
        SourceCounts {
            syn: rare.syn,
            ack: self.ack,
            handshakes: rare.handshakes,
            fin: rare.fin,
            rst: rare.rst,
            // Each packet is in one of the two, so the sum never falls from one read to the next.
            packets: self.ack.wrapping_add(self.without_ack),
            bytes: self.bytes,
            born_boot_ns: rare.born_boot_ns,
            last_boot_ns: self.last_boot_ns,
            awaited: self.awaited as u64,
        }
    }
}

impl Set {
    /// Every source of a set that nobody writes to, with whether it is proven.
    pub fn sources(&self) -> impl Iterator<Item = (SourceKey, SourceCounts, bool)> + '_ {
        let ways = self.way.iter().zip(&self.rare);
        let taken = ways.filter(|(way, _)| way.is_taken());
        taken.map(|(way, rare)| (way.key(), way.counts(rare), way.is_proven != 0))
    }
}
