// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clusters: the unit of every bound. Addresses of one /24, or of one /56, are probably one
//! customer, one office, one attacker; counting them one by one would pretend to know more
//! than is known.

use std::net::IpAddr;

use ibsr_proto::addr::SourceAddr;
use ipnet::IpNet;

/// The /24 or /56 of an address. Sorted addresses have sorted clusters.
#[must_use]
pub fn cluster(addr: SourceAddr) -> IpNet {
    prefix(addr, 24, 56)
}

/// The /16 or /40 of an address: one network, probably.
#[must_use]
pub fn network(addr: SourceAddr) -> IpNet {
    prefix(addr, 16, 40)
}

fn prefix(addr: SourceAddr, v4: u8, v6: u8) -> IpNet {
    let ip = addr.to_ip();
    let len = if matches!(ip, IpAddr::V4(_)) { v4 } else { v6 };
    IpNet::new_assert(ip, len).trunc()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_share_a_cluster() {
        let of = |text: &str| cluster(text.parse().expect("an address")).to_string();
        assert_eq!(of("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(of("2001:db8:0:12ff::1"), "2001:db8:0:1200::/56");
        let wide = network("2001:db8:12:3400::1".parse().expect("an address"));
        assert_eq!(wide.to_string(), "2001:db8::/40");
    }

    #[test]
    fn sorted_addresses_have_their_clusters_side_by_side() {
        let texts = ["10.0.0.1", "10.0.1.0", "::1", "10.0.0.255", "2001:db8::9", "2001:db8:0:ff::"];
        let mut all: Vec<SourceAddr> =
            texts.iter().map(|t| t.parse().expect("an address")).collect();
        all.sort();
        let mut clusters: Vec<_> = all.into_iter().map(cluster).collect();
        clusters.dedup();
        let mut once = clusters.clone();
        once.sort();
        once.dedup();
        assert_eq!(clusters.len(), once.len());
    }
}
