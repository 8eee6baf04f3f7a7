// SPDX-License-Identifier: MIT OR Apache-2.0
//! The second wire: the server's own way out, with a resolver, services, and a balancer that
//! checks the server at the other end. Nothing of it passes the interface that the XDP sensor
//! counts on.

use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;

use anyhow::Result;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{A, ASKED, Responder, address as record, asked, reply};
use ibsr_tests::netns::Pair;

use crate::acts::{BALANCER, Deed, RESOLVER, SERVER, TUNNEL_ZONE, address, deeds};
use crate::apps::ask;

/// The server's own way out.
pub const SERVER_IF: &str = "veth-up";
/// Its other end.
pub const OUTSIDE_IF: &str = "veth-out";
const TTL_S: u32 = 60;

/// Who answers.
pub struct Outside {
    _resolver: Responder,
    _services: Actor,
    balancer: Actor,
    _cgroup: Cgroup,
}

impl Outside {
    /// Lays the wire and starts everybody. None of them is below the cgroup that is observed.
    pub fn build(pair: &Pair, etc: &Path) -> Result<Self> {
        lay_wire(pair);
        let cgroup = Cgroup::new();
        let socket = pair.peer.inside(|| UdpSocket::bind((RESOLVER, 53)))?;
        let mut services = Actor::start_with_etc(&cgroup, &pair.peer, etc);
        for (protocol, ip, port) in listened() {
            serve(&mut services, protocol, ip, port)?;
        }
        let balancer = Actor::start_with_etc(&cgroup, &pair.peer, etc);
        let resolver = Responder::start(socket, resolve);
        Ok(Self { _resolver: resolver, _services: services, balancer, _cgroup: cgroup })
    }

    /// Checks the server's health to the end; how often it was healthy.
    pub fn check(&mut self, port: u16, gaps_ms: &[u64]) -> Result<u64> {
        let gaps: String = gaps_ms.iter().map(|gap_ms| format!(" {gap_ms}")).collect();
        Ok(ask(&mut self.balancer, &format!("errand tcp {SERVER}:{port} 80 20{gaps}"))?.parse()?)
    }
}

/// Has an actor answer at an address.
pub fn serve(actor: &mut Actor, protocol: &str, ip: Ipv4Addr, port: u16) -> Result<()> {
    let name = format!("{protocol}-{ip}-{port}");
    ask(actor, &format!("socket {name} {protocol}4"))?;
    ask(actor, &format!("bind {name} {ip}:{port}"))?;
    if protocol == "tcp" {
        ask(actor, &format!("listen {name}"))?;
    }
    ask(actor, &format!("answer-{protocol} {name}")).map(drop)
}

/// Where the errands of all applications go, each once.
fn listened() -> Vec<(&'static str, Ipv4Addr, u16)> {
    let errands = deeds().filter_map(|(_, deed)| match deed {
        Deed::Errand { protocol, host, port, .. } => Some((*protocol, address(host)?, *port)),
        _ => None,
    });
    let mut all: Vec<_> = errands.collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn lay_wire(pair: &Pair) {
    let Pair { host, peer } = pair;
    host.ip(&format!(
        "link add {SERVER_IF} type veth peer name {OUTSIDE_IF} netns {}",
        peer.name()
    ));
    // A prefix on the loopback makes each of its addresses this namespace's own.
    peer.ip_batch(&format!(
        "addr add {BALANCER}/16 dev {OUTSIDE_IF}\n\
         addr add {RESOLVER}/16 dev {OUTSIDE_IF}\n\
         link set {OUTSIDE_IF} up\n\
         addr add 10.79.0.1/16 dev lo\n\
         addr add 198.51.100.1/24 dev lo\n\
         addr add 203.0.113.1/24 dev lo\n"
    ));
    host.ip_batch(&format!(
        "addr add {SERVER}/16 dev {SERVER_IF}\n\
         link set {SERVER_IF} up\n\
         route add default via {BALANCER}\n"
    ));
}

/// What the resolver says: the address of a name that there is; for a message of the tunnel an
/// address that is an answer.
fn resolve(question: &[u8]) -> Vec<u8> {
    let (name, kind, _) = asked(question);
    let known = match name.strip_suffix(TUNNEL_ZONE) {
        Some(message) => tunnelled(message),
        None => address(&name),
    };
    match known {
        Some(ip) if kind == A => reply(question, 0, &[record(&ASKED, TTL_S, ip.into())]),
        Some(_) => reply(question, 0, &[]),
        None => reply(question, 3, &[]),
    }
}

/// The number of a message, in 198.18.0.0/15.
fn tunnelled(message: &str) -> Option<Ipv4Addr> {
    let [high, low] = u16::from_str_radix(message.get(..4)?, 16).ok()?.to_be_bytes();
    Some(Ipv4Addr::new(198, 18, high, low))
}
