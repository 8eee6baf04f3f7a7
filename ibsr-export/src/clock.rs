// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wall clock, read here only. It stamps ledger entries and ages in `status`; neither
//! names of objects nor the order of work depend on it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; 0 on a clock before that.
#[expect(clippy::disallowed_methods, reason = "the one place of this program")]
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
