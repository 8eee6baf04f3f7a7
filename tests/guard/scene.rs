// SPDX-License-Identifier: MIT OR Apache-2.0
//! A client under a guard, and the resolvers that it asks at the other end of a wire.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use ibsr_guard::install::Maps as _;
use ibsr_proto::cgroup_dns_abi::DnsTotals;
use ibsr_proto::guard_abi::Learned;
use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{A, AAAA, ASKED, address, hex, mapped, question, reply, wire};
use ibsr_tests::netns::{HOST_IF, Namespace, PEER_V4, Pair};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::loaded::Guard;

const NEVER: u64 = u64::MAX;
/// What has not come by then does not come.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// Every address of it is one of the peer.
pub const FARM: &str = "10.99.0.0/16";
/// What the resolver is, and nothing else, is open to whoever knows no name.
pub const CLOSED: &str = "default: {out: deny}
resolvers: [10.77.0.2, 'fd77::2']
rules:
  - {action: allow, cidr: [10.77.0.2, 'fd77::2'], ports: 53, protocol: udp}
";

/// A client, the resolver that it asks, and a guard around the client.
#[derive(Debug)]
pub struct Scene {
    /// Under the guard.
    pub client: Actor,
    /// It denies for as long as it is there.
    pub guard: Guard,
    /// The wire; the resolver is the peer.
    pub pair: Pair,
    _cgroup: Cgroup,
}

impl Scene {
    /// `more` rules on top of [`CLOSED`].
    pub fn closed(more: &str) -> Self {
        Self::new(&format!("{CLOSED}{more}"))
    }

    /// With this policy, enforced.
    pub fn new(policy: &str) -> Self {
        Self::with_client(policy, Actor::start_in)
    }

    /// The same with a client of another kind.
    pub fn with_client(policy: &str, start: impl FnOnce(&Cgroup, &Namespace) -> Actor) -> Self {
        let (pair, cgroup) = (Pair::new(), Cgroup::new());
        pair.host.ip(&format!("route add {FARM} via {PEER_V4} dev {HOST_IF}"));
        pair.peer.ip(&format!("route add local {FARM} dev lo"));
        let client = start(&cgroup, &pair.host);
        let mut guard = Guard::attach(&cgroup, true);
        guard.judge_queries(&pair.host, HOST_IF);
        guard.apply(policy);
        guard.enforce_until(NEVER);
        Self { client, guard, pair, _cgroup: cgroup }
    }

    /// Where the resolver listens.
    pub fn resolver(&self, ip: &str) -> UdpSocket {
        let at = SocketAddr::new(ip.parse().expect("an address"), 53);
        let socket = self.pair.peer.inside(|| UdpSocket::bind(at).expect("it is free"));
        socket.set_read_timeout(Some(PATIENCE)).expect("it can wait");
        socket
    }

    /// Connects the client's socket `c` to a resolver.
    pub fn connect(&mut self, resolver: &UdpSocket) {
        let at = resolver.local_addr().expect("it is bound");
        self.client.socket("c", if at.is_ipv4() { "udp4" } else { "udp6" });
        self.client.act(&format!("connect c {at}"));
    }

    /// The client asks on `c`; who it was.
    pub fn ask(&mut self, resolver: &UdpSocket, question: &[u8]) -> SocketAddr {
        self.client.act(&format!("say c {}", hex(question)));
        resolver.recv_from(&mut [0; 1_024]).expect("it was sent").1
    }

    /// The resolver says something, and the client has heard it.
    pub fn say(&mut self, resolver: &UdpSocket, message: &[u8], to: SocketAddr) {
        resolver.send_to(message, to).expect("it listens");
        self.client.act("hear c");
    }

    /// The client finds `ip` by `name`.
    pub fn find(&mut self, resolver: &UdpSocket, name: &str, ttl_s: u32, ip: IpAddr) {
        let kind = if ip.is_ipv4() { A } else { AAAA };
        let asked = question(7, &wire(name), kind);
        let from = self.ask(resolver, &asked);
        self.say(resolver, &reply(&asked, 0, &[address(&ASKED, ttl_s, ip)]), from);
    }

    /// What connect(2) and sendto(2) to an address say; they agree.
    #[track_caller]
    pub fn tried(&mut self, ip: IpAddr) -> Result<(), i32> {
        let to = SocketAddr::new(ip, 9);
        self.client.socket("x", if to.is_ipv4() { "udp4" } else { "udp6" });
        let sent = self.client.ask(&format!("sendto x {to} 10")).map(|_| ());
        let connected = self.client.ask(&format!("connect x {to}")).map(|_| ());
        self.client.act("close x");
        assert_eq!(sent, connected);
        connected
    }

    /// What was asked and learned, after a check that each datagram has one outcome.
    #[track_caller]
    pub fn totals(&self) -> DnsTotals {
        let map = self.guard.maps().map("ibsr_g_dns").expect("it exists");
        let cpus = map.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY).expect("readable");
        let cpus: Vec<DnsTotals> = cpus
            .expect("the one entry exists")
            .iter()
            .map(|bytes| DnsTotals::read_from_bytes(bytes).expect("the ABI"))
            .collect();
        let sum = DnsTotals::sum(&cpus);
        assert!(sum.adds_up(), "{sum:#?}");
        sum
    }

    /// The table of names.
    pub fn learned(&self) -> MapHandle {
        self.guard.maps().map("ibsr_g_learned").expect("it exists")
    }

    /// What is known of an address.
    pub fn known(&self, ip: IpAddr) -> Option<Learned> {
        let value = self.learned().lookup(&mapped(ip), MapFlags::ANY).expect("readable")?;
        Some(Learned::read_from_bytes(&value).expect("the ABI"))
    }

    /// Ends the time of a name now. The clock is the kernel's.
    pub fn expire(&self, ip: IpAddr) {
        let known = self.known(ip).expect("it has a name");
        let ended = Learned { expiry_boot_ns: 1, ..known };
        self.learned().update(&mapped(ip), ended.as_bytes(), MapFlags::ANY).expect("root may");
    }

    /// Denials at hooks where a packet is lost and nobody is told why.
    pub fn silent_denials(&self) -> u64 {
        self.guard.counts(Hook::Egress).denied + self.guard.counts(Hook::Ingress).denied
    }
}

/// An address.
#[track_caller]
pub fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
