// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers to addresses. Nobody owns them: IPv4 is 240.0.0.0/4, which no router forwards,
//! IPv6 is 2001:db8::/32, which is for documentation. So no synthetic recording can name
//! somebody, or be taken for an observation.

use std::net::{Ipv4Addr, Ipv6Addr};

use ibsr_proto::addr::SourceAddr;

/// Legitimate /24 networks: 240.0.0.0/5.
pub const LEGITIMATE_NETWORKS: u64 = 1 << 19;
/// Networks of attackers: 248.0.0.0/6.
pub const ATTACK_NETWORKS: u64 = 1 << 18;
/// Addresses that floods borrow: 252.0.0.0/7.
pub const SPOOFED_ADDRESSES: u64 = 1 << 25;
/// Hosts that one network holds beside a neighbour.
pub const HOSTS: u64 = 253;

const LEGITIMATE: u32 = 0xf000_0000;
const ATTACK: u32 = 0xf800_0000;
const SPOOFED: u32 = 0xfc00_0000;
/// The host of a network that none of its clients has.
const NEIGHBOUR: u64 = HOSTS + 1;

/// Spreads numbers over a power of two: odd, so every number has its own place.
const SPREAD: u64 = 0x9e37_79b1;

const fn spread(number: u64, size: u64) -> u32 {
    (number.wrapping_mul(SPREAD) & (size - 1)) as u32
}

fn v4(base: u32, below: u32) -> SourceAddr {
    SourceAddr::from(std::net::IpAddr::V4(Ipv4Addr::from(base | below)))
}

/// Host `host` (below [`HOSTS`]) of legitimate network `network`
/// (below [`LEGITIMATE_NETWORKS`]).
#[must_use]
pub fn client_v4(network: u64, host: u64) -> SourceAddr {
    v4(LEGITIMATE, spread(network, LEGITIMATE_NETWORKS) << 8 | (1 + host % HOSTS) as u32)
}

/// The same network as a /56; `host` is any interface identifier in its first /64.
#[must_use]
pub fn client_v6(network: u64, host: u64) -> SourceAddr {
    let prefix = 0x2001_0db8_u128 << 96;
    let network = u128::from(spread(network, LEGITIMATE_NETWORKS)) << 72;
    SourceAddr::from(std::net::IpAddr::V6(Ipv6Addr::from(prefix | network | u128::from(host))))
}

/// An attacker who lives in the IPv4 network of legitimate clients.
#[must_use]
pub fn neighbour(network: u64) -> SourceAddr {
    v4(LEGITIMATE, spread(network, LEGITIMATE_NETWORKS) << 8 | NEIGHBOUR as u32)
}

/// Attacker `number`, each in a network of its own.
#[must_use]
pub fn attacker(number: u64) -> SourceAddr {
    v4(ATTACK, spread(number, ATTACK_NETWORKS) << 8 | 77)
}

/// Borrowed address `number`.
#[must_use]
pub fn spoofed(number: u64) -> SourceAddr {
    v4(SPOOFED, spread(number, SPOOFED_ADDRESSES))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Two clients with one address would be one source with two truths.
    #[test]
    fn no_two_numbers_share_an_address() {
        let mut seen = BTreeSet::new();
        // Numbers half of a range apart are those that an even multiplier would bring together.
        let half = LEGITIMATE_NETWORKS / 2;
        let quarter = ATTACK_NETWORKS / 2;
        for number in (0..9_000).chain(quarter..quarter + 9_000) {
            assert!(seen.insert(client_v4(number + half, 3)), "{number}");
            assert!(seen.insert(spoofed(number + SPOOFED_ADDRESSES / 2)), "{number}");
            for addr in [
                client_v4(number, 0),
                client_v4(number, HOSTS - 1),
                client_v6(number, 1),
                neighbour(number),
                attacker(number),
                spoofed(number),
            ] {
                assert!(seen.insert(addr), "{addr}");
            }
        }
    }

    #[test]
    fn hosts_of_a_network_share_their_prefix_and_networks_do_not() {
        let prefix = |addr: SourceAddr, bytes| addr.to_bytes()[..bytes].to_vec();
        assert_eq!(prefix(client_v4(5, 0), 15), prefix(client_v4(5, 9), 15));
        assert_ne!(prefix(client_v4(5, 0), 15), prefix(client_v4(6, 0), 15));
        assert_eq!(prefix(client_v6(5, 0), 8), prefix(client_v6(5, u64::MAX), 8));
        assert_ne!(prefix(client_v6(5, 0), 7), prefix(client_v6(6, 0), 7));
        assert!(client_v6(5, 1).to_string().starts_with("2001:db8:"));
    }
}
