// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wall clock: read once, and not at all where `--now` fixes it; and times as text, in
//! UTC whatever the machine's zone.

use jiff::{Timestamp, TimestampRound, Unit};

/// This second.
#[must_use]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    now.round(TimestampRound::new().smallest(Unit::Second)).unwrap_or(now)
}

/// A wall clock in milliseconds as RFC 3339 to the second; a number that is no time of this
/// era is shown as it is.
#[must_use]
pub fn text(unix_ms: u64) -> String {
    let second = i64::try_from(unix_ms / 1000).ok();
    let time = second.and_then(|second| Timestamp::from_second(second).ok());
    time.map_or_else(|| format!("{unix_ms} ms"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_has_a_text() {
        assert_eq!(text(1_795_356_000_999), "2026-11-22T14:00:00Z");
        assert_eq!(text(0), "1970-01-01T00:00:00Z");
        assert_eq!(text(u64::MAX), "18446744073709551615 ms");
    }
}
