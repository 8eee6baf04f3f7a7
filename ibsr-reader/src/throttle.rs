// SPDX-License-Identifier: MIT OR Apache-2.0
//! A repeated complaint is said once a minute, with how often it was not said.

/// Time between two lines about the same thing.
const QUIET_NS: u64 = 60_000_000_000;

/// State of one complaint.
#[derive(Debug, Default)]
pub struct Throttle {
    last_boot_ns: Option<u64>,
    unsaid: u64,
}

impl Throttle {
    /// `Some` when it may be said now, with how many times it was not since the last line.
    pub fn say(&mut self, now_boot_ns: u64) -> Option<u64> {
        let is_due = self.last_boot_ns.is_none_or(|last| now_boot_ns >= last + QUIET_NS);
        if !is_due {
            self.unsaid += 1;
            return None;
        }
        self.last_boot_ns = Some(now_boot_ns);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// The trouble is over: the next one is said at once.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_said_then_one_a_minute_with_the_count() {
        let mut throttle = Throttle::default();
        assert_eq!(throttle.say(1), Some(0));
        assert_eq!(throttle.say(2), None);
        assert_eq!(throttle.say(3), None);
        assert_eq!(throttle.say(1 + QUIET_NS), Some(2));
        throttle.reset();
        assert_eq!(throttle.say(2 + QUIET_NS), Some(0));
    }
}
