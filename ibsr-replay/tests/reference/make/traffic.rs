// SPDX-License-Identifier: MIT OR Apache-2.0
//! What sources do.

use std::net::{Ipv4Addr, Ipv6Addr};

use ibsr_proto::addr::SourceAddr;

use super::Rng;

/// Ports that a host listens on.
const PORTS: [u16; 4] = [22, 80, 443, 8545];

/// A source and its habits. Shares are in percent.
#[derive(Debug, Clone)]
pub struct Habit {
    /// Who.
    pub src: SourceAddr,
    /// Where to.
    pub ports: Vec<u16>,
    packets_ps: u64,
    syn_share: u64,
    handshake_share: u64,
    ack_share: u64,
    rst_share: u64,
    active: u64,
}

/// What one source sent to one port in an interval.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sent {
    /// SYN without ACK.
    pub syn: u64,
    /// With ACK.
    pub ack: u64,
    /// Completed handshakes.
    pub handshakes: u64,
    /// With FIN.
    pub fin: u64,
    /// With RST.
    pub rst: u64,
    /// Frames.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// 3 to 20 sources.
pub fn sources(rng: &mut Rng) -> Vec<Habit> {
    (0..rng.between(3, 20)).map(|number| habit(rng, number)).collect()
}

fn habit(rng: &mut Rng, number: u64) -> Habit {
    let low = u8::try_from(number).expect("few sources");
    let src = if rng.chance(60) {
        let third = rng.pick(&[0, 113]);
        SourceAddr::from(std::net::IpAddr::from(Ipv4Addr::new(203, 0, third, low)))
    } else {
        let subnet = rng.pick(&[0, 0x100]);
        let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, subnet, 0, 0, 0, low.into());
        SourceAddr::from(std::net::IpAddr::from(v6))
    };
    let first = rng.between(0, 3);
    let ports = (first..first + rng.between(1, 4))
        .map(|at| PORTS[usize::try_from(at % 4).expect("small")])
        .collect();
    Habit {
        src,
        ports,
        packets_ps: rng.pick(&[1, 3, 10, 40]),
        syn_share: rng.pick(&[0, 10, 50, 90, 100]),
        handshake_share: rng.pick(&[0, 0, 0, 1, 20, 50, 100]),
        ack_share: rng.pick(&[0, 5, 50, 100]),
        rst_share: rng.pick(&[0, 0, 10, 90]),
        active: rng.pick(&[20, 60, 90, 100]),
    }
}

impl Habit {
    /// What it sends to a port in `len_ns`; `None` when it is silent.
    pub fn send(&self, rng: &mut Rng, len_ns: u64) -> Option<Sent> {
        const NS_PER_S: u64 = 1_000_000_000;
        if !rng.chance(self.active) {
            return None;
        }
        let most = (2 * self.packets_ps * (len_ns / 1000) / (NS_PER_S / 1000)).max(1);
        let packets = rng.between(1, most);
        let part = |rng: &mut Rng, share: u64, of: u64| {
            if share == 100 { of } else { rng.between(0, 2 * of * share / 100).min(of) }
        };
        let syn = part(rng, self.syn_share, packets);
        let handshakes = part(rng, self.handshake_share, syn);
        Some(Sent {
            syn,
            handshakes,
            ack: part(rng, self.ack_share, packets - syn).max(handshakes.min(packets - syn)),
            fin: part(rng, 5, packets),
            rst: part(rng, self.rst_share, packets),
            packets,
            bytes: packets * rng.between(54, 1514),
        })
    }
}
