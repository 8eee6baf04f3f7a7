// SPDX-License-Identifier: MIT OR Apache-2.0
//! UDP: to the byte, in both directions, connected or not, over both versions of IP.

use std::net::SocketAddr;

use ibsr_proto::cgroup_abi::{Direction, Learned};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use test_tag::tag;

use crate::{IPV4_BYTES, IPV6_BYTES, UDP_BYTES, assert_ends, steps};

/// Each version: its loopback, its kind of socket, its header.
const VERSIONS: [(&str, &str, u64); 2] =
    [("127.0.0.1:0", "udp4", IPV4_BYTES), ("[::1]:0", "udp6", IPV6_BYTES)];

/// Three questions, two answers.
#[tag(root)]
#[test]
fn a_connected_exchange_is_counted_to_the_byte_at_both_ends() {
    for (loopback, kind, header) in VERSIONS {
        let cgroup = Cgroup::new();
        let sensor = CgroupSensor::attach(&cgroup);
        let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
        let service = server.socket("s", kind);
        let at = server.address(&format!("bind s {loopback}"));
        let socket = client.socket("c", kind);
        let from = client.address(&format!("connect c {at}"));
        for bytes in [10, 200, 1_000] {
            client.act(&format!("send c {bytes}"));
            server.act("receive s 1");
        }
        for bytes in [30, 400] {
            server.act(&format!("sendto s {from} {bytes}"));
            client.act("receive c 1");
        }
        let asked = sensor.flow_of(socket);
        assert_ends(&asked, from, at);
        let headers = header + UDP_BYTES;
        let (_, flow) = asked;
        assert_eq!((flow.packets_out, flow.bytes_out), (3, 1_210 + 3 * headers));
        assert_eq!((flow.packets_in, flow.bytes_in), (2, 430 + 2 * headers));
        assert_eq!(flow.direction, Direction::Outgoing as u8);
        assert_eq!(flow.learned, Learned::Connect as u8);
        assert_eq!(steps(&flow), ["created", "connected"]);
        assert_ne!(flow.connect_boot_ns, 0);
        // The server answers with an address, so its owner was learned again after the row was
        // made; the same process, the same row.
        let answered = sensor.flow_of(service);
        assert_ends(&answered, at, from);
        let (_, flow) = answered;
        assert_eq!((flow.packets_in, flow.bytes_in), (3, 1_210 + 3 * headers));
        assert_eq!((flow.packets_out, flow.bytes_out), (2, 430 + 2 * headers));
        assert_eq!(flow.direction, Direction::Incoming as u8);
        let own = sensor.own_row(service);
        assert_eq!(steps(&own), ["created", "bound"]);
        assert_eq!(own.local_port, at.port());
        assert_eq!(own.packets_in + own.packets_out, 0);
        let totals = sensor.totals();
        assert_eq!((totals.created, totals.connects, totals.binds, totals.bound), (2, 1, 1, 1));
        assert_eq!((totals.tracked_in, totals.tracked_out), (5, 5));
        assert_eq!(sensor.evicted(), 0);
    }
}

/// A socket that was never connected has a row for each that it talked to.
#[tag(root)]
#[test]
fn one_socket_with_many_peers_has_a_row_for_each() {
    const PEERS: u64 = 20;
    for (loopback, kind, header) in VERSIONS {
        let cgroup = Cgroup::new();
        let sensor = CgroupSensor::attach(&cgroup);
        let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
        let socket = client.socket("c", kind);
        let mut peers: Vec<SocketAddr> = Vec::new();
        for peer in 0..PEERS {
            server.socket(&format!("s{peer}"), kind);
            peers.push(server.address(&format!("bind s{peer} {loopback}")));
        }
        for (peer, at) in peers.iter().enumerate() {
            for _ in 0..=peer {
                client.act(&format!("sendto c {at} {}", 100 + peer));
            }
        }
        let flows = sensor.flows_of(socket);
        assert_eq!(flows.len(), PEERS as usize);
        for (peer, at) in peers.iter().enumerate() {
            let (_, flow) =
                flows.iter().find(|(key, _)| key.remote_port == at.port()).expect("one");
            let (packets, peer) = (peer as u64 + 1, peer as u64);
            assert_eq!(flow.packets_out, packets);
            assert_eq!(flow.bytes_out, packets * (100 + peer + header + UDP_BYTES));
            assert_eq!(flow.direction, Direction::Outgoing as u8);
            assert_eq!(flow.learned, Learned::Send as u8);
        }
        assert_eq!(sensor.evicted(), 0);
    }
}

/// IPv6 sockets that talk IPv4 are listed with the IPv4 addresses, in mapped form.
#[tag(root)]
#[test]
fn an_ipv6_socket_that_talks_ipv4_is_listed_as_such() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    server.socket("s", "udp4");
    let at = server.address("bind s 127.0.0.1:0");
    let socket = client.socket("c", "udp6");
    let mapped = format!("[::ffff:127.0.0.1]:{}", at.port());
    let from = client.address(&format!("connect c {mapped}"));
    client.act("send c 10");
    let (key, flow) = sensor.flow_of(socket);
    let SocketAddr::V6(from) = from else { panic!("an IPv6 socket") };
    assert_eq!(key.remote_addr, crate::addr(at.ip()));
    assert_eq!(flow.local_addr, from.ip().octets());
    assert_eq!((flow.packets_out, flow.bytes_out), (1, 10 + IPV4_BYTES + UDP_BYTES));
    assert_eq!(flow.family, libc::AF_INET6 as u16);
}

/// What is neither TCP nor UDP is counted by class.
#[tag(root)]
#[test]
fn other_protocols_are_counted_by_class() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let mut actor = Actor::start(&cgroup);
    actor.socket("raw", "icmp4");
    // An echo reply that nobody asked for: the kernel answers nothing.
    actor.act("sendto raw 127.0.0.1:0 8");
    let totals = sensor.totals();
    assert_eq!((totals.created, totals.created_other), (0, 1));
    // It went out, and came in at the raw socket itself.
    assert_eq!(totals.icmp, 2);
    assert_eq!(totals.tracked(), 0);
    assert_eq!(sensor.flows().len(), 0);
}
