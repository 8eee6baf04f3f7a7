// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sockets that are older than the sensor.

use ibsr_proto::cgroup_abi::{Direction, Learned};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use test_tag::tag;

use crate::{assert_ends, steps};

const ESTABLISHED: u8 = 1;
const LISTEN: u8 = 10;

/// A listener, both ends of a connection and a bound UDP socket, all from before.
#[tag(root)]
#[test]
fn sockets_from_before_are_listed_with_whoever_holds_them() {
    let (cgroup, elsewhere) = (Cgroup::new(), Cgroup::new());
    let below = cgroup.child("below");
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&below));
    let mut stranger = Actor::start(&elsewhere);
    for (loopback, version) in [("127.0.0.1:0", '4'), ("[::1]:0", '6')] {
        let (tcp, udp) = (format!("tcp{version}"), format!("udp{version}"));
        let listener = server.socket("l", &tcp);
        let at = server.address(&format!("bind l {loopback}"));
        server.act("listen l");
        let socket = client.socket("c", &tcp);
        let from = client.address(&format!("connect c {at}"));
        let accepted = server.number("accept l a");
        let bound = server.socket("u", &udp);
        let datagrams = server.address(&format!("bind u {loopback}"));
        let foreign = stranger.socket("x", &udp);
        stranger.act(&format!("bind x {loopback}"));
        client.socket("unused", &udp);

        let sensor = CgroupSensor::attach_and_seed(&cgroup);
        let (out, back) = (sensor.flow_of(socket), sensor.flow_of(accepted));
        assert_ends(&out, from, at);
        assert_ends(&back, at, from);
        for ((_, flow), pid, cgroup) in [(out, client.pid(), &cgroup), (back, server.pid(), &below)]
        {
            assert_eq!(sensor.owner(flow.owner).tgid, pid);
            assert_eq!(flow.learned, Learned::Seeded as u8);
            assert_eq!(flow.direction, Direction::Unknown as u8);
            assert_eq!((flow.tcp_state, flow.steps), (ESTABLISHED, 0));
            assert_eq!(flow.cgroup_id, cgroup.id());
            assert_eq!(flow.netns_cookie, client.number("netns-cookie c"));
        }
        let (own, bound) = (sensor.own_row(listener), sensor.own_row(bound));
        assert_eq!((own.tcp_state, own.local_port), (LISTEN, at.port()));
        assert_eq!(bound.local_port, datagrams.port());
        assert_eq!(sensor.owner(bound.owner).tgid, server.pid());
        assert!(sensor.flows_of(foreign).is_empty(), "it is in another cgroup");
        assert_eq!(sensor.flows().len(), 4, "an unused socket leaves no row");

        // What comes now is counted there, and a new connection has its listener's owner.
        client.act("send c 100");
        server.act("receive a 100");
        let ((_, out), (_, back)) = (sensor.flow_of(socket), sensor.flow_of(accepted));
        assert_eq!((out.packets_out, back.packets_in), (1, 1));
        client.act("close c");
        server.act("receive a 1");
        assert_eq!(steps(&sensor.flow_of(socket).1), ["released"]);
        client.socket("d", &tcp);
        client.act(&format!("connect d {at}"));
        let next = server.number("accept-blind l b");
        let (_, next) = sensor.flow_of(next);
        assert_eq!(sensor.owner(next.owner).tgid, server.pid());
        assert_eq!(next.learned, Learned::Listener as u8);
        client.act("close d");
        server.act("close b");
    }
}

/// Without the walk a socket from before is counted, without an owner.
#[tag(root)]
#[test]
fn a_socket_from_before_is_adopted_by_its_first_packet() {
    let cgroup = Cgroup::new();
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    server.socket("l", "tcp4");
    let at = server.address("bind l 127.0.0.1:0");
    server.act("listen l");
    let socket = client.socket("c", "tcp4");
    let from = client.address(&format!("connect c {at}"));
    server.act("accept l a");
    let sensor = CgroupSensor::attach(&cgroup);
    client.act("send c 10");
    server.act("receive a 10");
    let flow = sensor.flow_of(socket);
    assert_eq!((flow.0.remote_addr, flow.0.remote_port), (crate::addr(at.ip()), at.port()));
    assert_eq!((flow.1.packets_out, flow.1.bytes_out), (1, 62));
    assert_eq!((flow.1.owner, flow.1.learned), (0, Learned::Nowhere as u8));
    assert_eq!(flow.1.cgroup_id, cgroup.id());
    assert_ne!(from.port(), 0);
    assert_eq!(sensor.totals().adopted, 2);
}
