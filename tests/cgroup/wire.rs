// SPDX-License-Identifier: MIT OR Apache-2.0
//! Between two network namespaces: two sensors on two cgroups, one at each end of the wire.

use std::time::Duration;

use ibsr_proto::cgroup_abi::step;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::{HOST_IF, PEER_MAC, PEER_V4, PEER_V6, Pair, mac_text};
use ibsr_tests::process::wait_until;
use test_tag::tag;

use crate::assert_ends;

/// Each end has its own namespace, cgroup and sensor, and both say the same of the wire.
#[tag(root)]
#[test]
fn both_ends_of_a_wire_say_the_same() {
    const BYTES: u64 = 1 << 20;
    let pair = Pair::new();
    let (here, there) = (Cgroup::new(), Cgroup::new());
    let sensors = [CgroupSensor::attach(&here), CgroupSensor::attach(&there)];
    let mut client = Actor::start_in(&here, &pair.host);
    let mut server = Actor::start_in(&there, &pair.peer);
    for (loopback, kind) in
        [(format!("{PEER_V4}:443"), "tcp4"), (format!("[{PEER_V6}]:443"), "tcp6")]
    {
        let listener = server.socket("l", kind);
        let at = server.address(&format!("bind l {loopback}"));
        server.act("listen l");
        let socket = client.socket("c", kind);
        let from = client.address(&format!("connect c {at}"));
        let accepted = server.number("accept l a");
        client.tell(&format!("send c {BYTES}"));
        server.act(&format!("receive a {BYTES}"));
        client.answer().expect("all is sent");
        client.act("close c");
        server.act("receive a 1");
        server.act("close a");
        let (out, back) = (sensors[0].flow_of(socket), sensors[1].flow_of(accepted));
        assert_ends(&out, from, at);
        assert_ends(&back, at, from);
        let ((_, out), (_, back), own) = (out, back, sensors[1].own_row(listener));
        assert_eq!(out.packets_out, back.packets_in + own.packets_in);
        assert_eq!(out.bytes_out, back.bytes_in + own.bytes_in);
        assert_ne!(out.netns_cookie, back.netns_cookie);
        assert_eq!((out.cgroup_id, back.cgroup_id), (here.id(), there.id()));
        assert_eq!(sensors[0].owner(out.owner).tgid, client.pid());
        assert_eq!(sensors[1].owner(back.owner).tgid, server.pid());
        // Segments of an Ethernet, however the kernel joined them on the way.
        assert!(out.packets_out > BYTES / 1_500, "{} segments", out.packets_out);
        assert_eq!(out.retransmits, sensors[0].totals().retransmits);
    }
}

/// Nobody answers: the first SYN is sent again after about a second.
#[tag(root)]
#[test]
fn a_syn_that_is_sent_again_is_a_retransmit() {
    let pair = Pair::new();
    let mac = mac_text(PEER_MAC);
    pair.host.ip(&format!("neigh replace 10.77.0.9 lladdr {mac} dev {HOST_IF} nud permanent"));
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let mut client = Actor::start_in(&cgroup, &pair.host);
    client.act("begin 3 10.77.0.9:443");
    wait_until("three SYNs are sent again", Duration::from_secs(10), || {
        sensor.totals().retransmits >= 3
    });
    let flows = sensor.flows();
    assert_eq!(flows.len(), 3);
    for (_, flow) in flows {
        assert_eq!(flow.packets_out, 1 + flow.retransmits);
        assert_eq!(flow.steps, step::CREATED | step::CONNECTED | step::SYN_SENT);
    }
}
