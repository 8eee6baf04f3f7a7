// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fold looks at: which time, and whose rows.

use ibsr_proto::snapshot::Source;

/// Length of a day.
pub const DAY_MS: u64 = 86_400_000;

/// A day with the time before it in which its automata begin, on the wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    warm_ms: u64,
    start_ms: u64,
    end_ms: u64,
}

impl Horizon {
    /// Of day `day` since 1970, and `warm_ms` before it.
    #[must_use]
    pub fn of(day: u32, warm_ms: u64) -> Self {
        let start_ms = u64::from(day).saturating_mul(DAY_MS);
        let (warm_ms, end_ms) = (start_ms.saturating_sub(warm_ms), start_ms.saturating_add(DAY_MS));
        Self { warm_ms, start_ms, end_ms }
    }

    /// Where the day begins.
    #[must_use]
    pub const fn start_ms(&self) -> u64 {
        self.start_ms
    }

    /// Where its fold begins.
    #[must_use]
    pub const fn warm_ms(&self) -> u64 {
        self.warm_ms
    }

    /// Whether a sweep at this time is read.
    #[must_use]
    pub const fn holds(&self, at_unix_ms: u64) -> bool {
        self.warm_ms <= at_unix_ms && at_unix_ms < self.end_ms
    }
}

/// The share of the addresses that a fold is about: all, or those of one partition, where
/// all at once would need too much memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// Which, from 0.
    pub index: u32,
    /// Of so many, at least 1.
    pub of: u32,
}

impl Partition {
    /// Everything.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Whether a row is of this share.
    #[must_use]
    pub fn holds(self, row: &Source) -> bool {
        if self.of <= 1 {
            return true;
        }
        // Fibonacci hashing of both halves: any attacker's addresses fill one partition at
        // worst, which costs memory and never a wrong number.
        let bytes = row.src.to_bytes();
        let half = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes of sixteen"))
        };
        let mixed = (half(0) ^ half(8).rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) % u64::from(self.of) == u64::from(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_read_from_before_its_start_to_its_end() {
        let horizon = Horizon::of(2, 1_000);
        let at = |offset: i64| (2 * DAY_MS).saturating_add_signed(offset);
        assert!(!horizon.holds(at(-1_001)) && horizon.holds(at(-1_000)));
        assert!(horizon.holds(at(86_399_999)) && !horizon.holds(at(86_400_000)));
        assert!(Horizon::of(0, 1_000).holds(0));
        assert!(!Horizon::of(u32::MAX, 0).holds(0));
    }

    /// Every row is in one share, and the shares are of like size.
    #[test]
    fn shares_split_any_addresses_evenly() {
        let mut counts = [0_u32; 7];
        for number in 0..7_000_u32 {
            let address = std::net::Ipv4Addr::from(0x0a00_0000 + number);
            let row = Source { src: std::net::IpAddr::from(address).into(), ..row() };
            let of: Vec<u32> =
                (0..7).filter(|index| Partition { index: *index, of: 7 }.holds(&row)).collect();
            assert_eq!(of.len(), 1);
            assert!(Partition::WHOLE.holds(&row));
            counts[of[0] as usize] += 1;
        }
        assert!(counts.iter().all(|count| (800..1_200).contains(count)), "{counts:?}");
    }

    fn row() -> Source {
        Source {
            seq: 0,
            src: "::".parse().expect("an address"),
            dst_port: 0,
            syn: 0,
            ack: 0,
            handshakes: 0,
            fin: 0,
            rst: 0,
            packets: 0,
            bytes: 0,
            proven: None,
            born_boot_ns: 0,
            last_boot_ns: 0,
        }
    }
}
