// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose counters they are.

use ibsr_proto::snapshot::Header;
use serde::{Deserialize, Serialize};

/// A set of maps: rows of two streams are never differenced against each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
}

impl StreamId {
    /// One of 64 bits for the host. Two hosts may share one, so a set of bits may only be used
    /// where another host in it makes an answer more careful.
    #[must_use]
    pub fn host_bit(&self) -> u64 {
        const PRIME: u64 = 0x0000_0100_0000_01b3;
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let hash = self
            .host
            .bytes()
            .fold(0, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
        // Names of hosts differ in their last byte, which FNV leaves in the lower half.
        1 << (hash.wrapping_mul(GOLDEN) >> 58)
    }
}

impl From<&Header> for StreamId {
    fn from(header: &Header) -> Self {
        Self {
            host: header.host.clone(),
            scope: header.scope.clone(),
            boot_id: header.boot_id.clone(),
            epoch: header.epoch.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More would make a fleet look as if each host had seen every source.
    #[test]
    fn hosts_of_a_fleet_spread_over_the_bits() {
        let bit = |number: u32| {
            let host = format!("web-{number}");
            let text = String::new;
            StreamId { host, scope: text(), boot_id: text(), epoch: text() }.host_bit()
        };
        let few: u64 = (1..=8).map(bit).fold(0, |all, bit| all | bit);
        assert!(few.count_ones() >= 7, "{few:#b}");
        let many: u64 = (0..1_000).map(bit).fold(0, |all, bit| all | bit);
        assert_eq!(many, u64::MAX);
        assert!((0..1_000).all(|number| bit(number).count_ones() == 1));
    }
}
