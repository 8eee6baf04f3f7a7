// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sums and remainders of the totals.

use super::CgroupTotals;
use crate::abi::sum_words;

impl CgroupTotals {
    /// Sum over CPUs. What is private to the program stays 0.
    #[must_use]
    pub fn sum(cpus: &[Self]) -> Self {
        const WORDS: usize = size_of::<CgroupTotals>() / size_of::<u64>();
        let words = cpus.iter().map(|cpu| -> [u64; WORDS] { zerocopy::transmute!(*cpu) });
        let sum: Self = zerocopy::transmute!(sum_words(words));
        Self { clock_tick: 0, clock_boot_ns: 0, ..sum }
    }

    /// Tracked packets, both ways.
    #[must_use]
    pub const fn tracked(&self) -> u64 {
        self.tracked_in + self.tracked_out
    }

    /// Bytes of tracked packets, both ways.
    #[must_use]
    pub const fn tracked_bytes(&self) -> u64 {
        self.tracked_bytes_in + self.tracked_bytes_out
    }

    /// All packets that the sensor saw.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.tracked()
            + self.no_socket
            + self.no_storage
            + self.unreadable
            + self.icmp
            + self.other_l4
    }

    /// Tracked packets of flows that the kernel evicted, when `in_flows` are in the table:
    /// the remainder. `None` when the table holds more than was tracked.
    #[must_use]
    pub const fn evicted(&self, in_flows: u64) -> Option<u64> {
        match self.tracked().checked_sub(in_flows) {
            Some(rest) => rest.checked_sub(self.insert_failed),
            None => None,
        }
    }
}
