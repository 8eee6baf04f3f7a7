// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a row of a flow counts. Cumulative: nothing of it falls while a life lasts.

use ibsr_proto::snapshot::cgroup::Flow;

use super::connections::Passed;

/// Counters of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) packets_in: u64,
    pub(crate) bytes_in: u64,
    pub(crate) packets_out: u64,
    pub(crate) bytes_out: u64,
    pub(crate) retransmits: u64,
    pub(crate) steps: u32,
}

impl Counters {
    pub(crate) const fn of(flow: &Flow<'_>) -> Self {
        Self {
            packets_in: flow.packets_in,
            bytes_in: flow.bytes_in,
            packets_out: flow.packets_out,
            bytes_out: flow.bytes_out,
            retransmits: flow.retransmits,
            steps: flow.steps.0,
        }
    }

    /// Whether it may be a later row of the same life.
    pub(crate) const fn is_from(&self, before: &Self) -> bool {
        self.packets_in >= before.packets_in
            && self.bytes_in >= before.bytes_in
            && self.packets_out >= before.packets_out
            && self.bytes_out >= before.bytes_out
            && self.retransmits >= before.retransmits
            && self.steps & before.steps == before.steps
    }

    /// In and out.
    pub(crate) const fn passed(&self) -> [Passed; 2] {
        [
            Passed { packets: self.packets_in, bytes: self.bytes_in },
            Passed { packets: self.packets_out, bytes: self.bytes_out },
        ]
    }
}
