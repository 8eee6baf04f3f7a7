// SPDX-License-Identifier: MIT OR Apache-2.0
//! What every sweep has in common: its plan, what it lists, and how it can fail.

use ibsr_proto::abi::TICK_BOUND_NS;

use crate::batch::WalkError;
use crate::clock::Moment;
use crate::pin::PinError;

/// Why a sweep could not be finished. Nothing is lost: the next one lists what this one
/// would have.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// Totals.
    #[error(transparent)]
    Totals(#[from] PinError),
    /// Entries.
    #[error("failed to read the entries: {0}")]
    Entries(#[from] WalkError),
}

/// What a sweep is to list.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Its number.
    pub seq: u64,
    /// Only what was used since this moment on the boot clock; all when `None`.
    pub since_boot_ns: Option<u64>,
    /// When it began.
    pub at: Moment,
    /// Whether the pins are gone: these maps are read for the last time.
    pub is_over: bool,
}

impl Plan {
    /// Whether it lists an entry. The time of its last use may be one tick older than the use,
    /// so that much is added: an entry may be listed twice, which is harmless, but never not
    /// at all.
    #[must_use]
    pub fn lists(&self, last_boot_ns: u64) -> bool {
        let newest = last_boot_ns.saturating_add(TICK_BOUND_NS);
        self.since_boot_ns.is_none_or(|since| newest >= since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The time of a use is stamped up to a tick too early: one right after the last sweep may
    /// carry a time before it.
    #[test]
    fn an_entry_is_listed_when_it_may_have_been_used_since() {
        let at = Moment { boot_ns: 5_000_000_000, unix_ms: 0 };
        let since = 1_000_000_000;
        let plan = Plan { seq: 3, since_boot_ns: Some(since), at, is_over: false };
        assert!(plan.lists(since));
        assert!(plan.lists(since - TICK_BOUND_NS));
        assert!(!plan.lists(since - TICK_BOUND_NS - 1));
        assert!(plan.lists(u64::MAX));
        assert!(Plan { since_boot_ns: None, ..plan }.lists(0));
    }
}
