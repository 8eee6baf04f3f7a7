// SPDX-License-Identifier: MIT OR Apache-2.0
//! TCP: the life of a connection at both ends, and every way in which it fails.

use ibsr_proto::cgroup_abi::{Direction, Flow, Learned};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::kernel::Release;
use test_tag::tag;

use crate::{IPV4_BYTES, IPV6_BYTES, assert_ends, steps};

/// TCP header with timestamps; with the options of a SYN.
const TCP_BYTES: u64 = 32;
const SYN_BYTES: u64 = 40;
const STATE_CLOSE: u8 = 7;
/// The oldest kernel that was tried and shows the SYN-ACKs of an IPv6 listener; 6.1 shows those
/// of IPv4 only.
const SHOWS_IPV6_SYN_ACKS: Release = Release { major: 6, minor: 12 };

const VERSIONS: [(&str, &str, u64); 2] =
    [("127.0.0.1:0", "tcp4", IPV4_BYTES), ("[::1]:0", "tcp6", IPV6_BYTES)];

/// Times must be in the order of the life.
#[track_caller]
fn assert_order(flow: &Flow) {
    assert!(flow.born_boot_ns <= flow.established_boot_ns, "born before established");
    assert!(flow.established_boot_ns <= flow.closed_boot_ns, "established before closed");
}

/// Both ends closed, and every segment at the client came from or went to the server's
/// connection or its listener.
#[tag(root)]
#[test]
fn a_connection_is_counted_to_the_byte_at_both_ends() {
    for (loopback, kind, header) in VERSIONS {
        let cgroup = Cgroup::new();
        let sensor = CgroupSensor::attach(&cgroup);
        let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
        let listener = server.socket("l", kind);
        let at = server.address(&format!("bind l {loopback}"));
        server.act("listen l");
        let socket = client.socket("c", kind);
        let from = client.address(&format!("connect c {at}"));
        let accepted = server.number("accept l a");
        client.act("send c 700");
        server.act("receive a 700");
        server.act("send a 1300");
        client.act("receive c 1300");
        client.act("close c");
        assert_eq!(server.act("receive a 1"), "0", "the end of the stream");
        server.act("close a");

        let (out, back) = (sensor.flow_of(socket), sensor.flow_of(accepted));
        assert_ends(&out, from, at);
        assert_ends(&back, at, from);
        let ((_, out), (_, back), own) = (out, back, sensor.own_row(listener));
        assert_eq!(out.direction, Direction::Outgoing as u8);
        assert_eq!(back.direction, Direction::Incoming as u8);
        assert_eq!(own.direction, Direction::Own as u8);
        let all = ["created", "connected", "syn_sent", "established", "released", "closed"];
        assert_eq!(steps(&out), all);
        assert_eq!(steps(&back), ["established", "taken", "released", "closed"]);
        assert_eq!(steps(&own), ["created", "bound", "listened"]);
        assert_eq!((out.tcp_state, back.tcp_state), (STATE_CLOSE, STATE_CLOSE));
        assert_eq!((out.error, back.error), (0, 0));
        assert_order(&out);
        assert_order(&back);

        // The listener has seen the SYN, its answer, and the ACK that completed the handshake.
        let shown = u64::from(kind == "tcp4" || Release::running() >= SHOWS_IPV6_SYN_ACKS);
        assert_eq!((own.packets_in, own.packets_out), (2, shown));
        assert_eq!(own.bytes_in, 2 * header + SYN_BYTES + TCP_BYTES);
        assert_eq!(own.bytes_out, shown * (header + SYN_BYTES));
        assert_eq!(out.packets_out, own.packets_in + back.packets_in);
        assert_eq!(out.bytes_out, own.bytes_in + back.bytes_in);
        assert_eq!(back.packets_out + 1, out.packets_in);
        assert_eq!(back.bytes_out + header + SYN_BYTES, out.bytes_in);
        let payload = |bytes, packets| bytes - packets * (header + TCP_BYTES);
        assert_eq!(payload(out.bytes_out, out.packets_out), 700 + SYN_BYTES - TCP_BYTES);
        assert_eq!(payload(back.bytes_out, back.packets_out), 1_300);
        let totals = sensor.totals();
        assert_eq!((totals.connects, totals.syn_sent, totals.established), (1, 1, 1));
        assert_eq!((totals.listens, totals.accepted, totals.taken), (1, 1, 1));
        assert_eq!((totals.created, totals.released, totals.retransmits), (2, 2, 0));
        assert_eq!(sensor.evicted(), 0);
    }
}

/// Nobody listens.
#[tag(root)]
#[test]
fn a_refused_connection_says_so() {
    for (loopback, kind, _) in VERSIONS {
        let cgroup = Cgroup::new();
        let sensor = CgroupSensor::attach(&cgroup);
        let mut actor = Actor::start(&cgroup);
        // A port that is taken, but not listened at.
        actor.socket("taken", kind);
        let at = actor.address(&format!("bind taken {loopback}"));
        let socket = actor.socket("c", kind);
        assert_eq!(actor.ask(&format!("connect c {at}")), Err(libc::ECONNREFUSED));
        let (_, flow) = sensor.flow_of(socket);
        assert_eq!(steps(&flow), ["created", "connected", "syn_sent", "failed", "closed"]);
        assert_eq!(i32::from(flow.error), libc::ECONNREFUSED);
        assert_eq!((flow.packets_out, flow.packets_in), (1, 1), "a SYN and a reset");
        let totals = sensor.totals();
        assert_eq!((totals.connects, totals.connect_failed, totals.established), (1, 1, 0));
    }
}

/// An attempt that the kernel refuses before it sends anything.
#[tag(root)]
#[test]
fn an_attempt_without_a_route_is_listed_without_a_syn() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let namespace = ibsr_tests::netns::Namespace::new("lonely");
    let mut actor = Actor::start_in(&cgroup, &namespace);
    let socket = actor.socket("c", "tcp4");
    assert_eq!(actor.ask("connect c 192.0.2.1:443"), Err(libc::ENETUNREACH));
    let (key, flow) = sensor.flow_of(socket);
    assert_eq!(key.remote_port, 443);
    assert_eq!(steps(&flow), ["created", "connected"]);
    let totals = sensor.totals();
    assert_eq!((totals.connects, totals.syn_sent, totals.connect_failed), (1, 0, 0));
}

/// The peer gives up by a reset: the connection ends by an error at this end only.
#[tag(root)]
#[test]
fn a_reset_is_an_error_of_the_end_that_gets_it() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    server.socket("l", "tcp4");
    let at = server.address("bind l 127.0.0.1:0");
    server.act("listen l");
    let socket = client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    let accepted = server.number("accept l a");
    server.act("reset a");
    assert_eq!(client.ask("receive c 1"), Err(libc::ECONNRESET));
    let ((_, out), (_, back)) = (sensor.flow_of(socket), sensor.flow_of(accepted));
    assert_eq!(i32::from(out.error), libc::ECONNRESET);
    assert_eq!(
        steps(&out),
        ["created", "connected", "syn_sent", "established", "failed", "closed"]
    );
    assert_eq!(back.error, 0);
    assert_eq!(steps(&back), ["established", "taken", "released", "closed"]);
}

/// Without an address to fill in, accept(2) tells nobody: the listener's owner stays.
#[tag(root)]
#[test]
fn a_connection_that_is_taken_blindly_keeps_the_owner_of_its_listener() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    server.socket("l", "tcp4");
    let at = server.address("bind l 127.0.0.1:0");
    server.act("listen l");
    client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    let accepted = server.number("accept-blind l a");
    let (_, back) = sensor.flow_of(accepted);
    assert_eq!(steps(&back), ["established"]);
    assert_eq!(back.learned, Learned::Listener as u8);
    assert_eq!(sensor.owner(back.owner).tgid, server.pid());
    assert_eq!(sensor.totals().taken, 0);
}
