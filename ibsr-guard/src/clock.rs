// SPDX-License-Identifier: MIT OR Apache-2.0
//! The two clocks: leases end on the one that nobody can set, evidence on the other.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

const NS_PER_S: u64 = 1_000_000_000;

/// Now, since boot, sleep included: what the program in the kernel compares with.
pub fn boot_ns() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let whole = u64::try_from(now.tv_sec).expect("the machine has booted");
    whole * NS_PER_S + u64::try_from(now.tv_nsec).expect("the rest of a second")
}

/// Now, on the wall clock.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Seconds of nanoseconds, rounded down.
pub const fn seconds(ns: u64) -> u64 {
    ns / NS_PER_S
}

/// The boot time at which the wall clock will have come from `now` to `to`, if nobody sets it.
pub fn boot_ns_at(to: Timestamp, now: Timestamp, now_boot_ns: u64) -> u64 {
    // What is over has nothing left; 500 years fit.
    let left_ns = u64::try_from(to.duration_since(now).as_nanos().max(0)).unwrap_or(u64::MAX);
    now_boot_ns.saturating_add(left_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_on_the_wall_clock_is_over_on_the_boot_clock() {
        let now: Timestamp = "2026-11-22T14:00:00Z".parse().expect("a time");
        let later: Timestamp = "2026-11-22T14:00:05.25Z".parse().expect("a time");
        assert_eq!(boot_ns_at(later, now, 7), 5_250_000_007);
        assert_eq!(boot_ns_at(now, later, 7), 7);
        assert_eq!(seconds(5_999_999_999), 5);
    }
}
