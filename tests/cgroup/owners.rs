// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose a socket is: as it was made, inherited, passed on, taken from a listener.

use std::fs;

use ibsr_proto::cgroup_abi::{Learned, Owner};
use ibsr_tests::actor::{Actor, described, start_ticks};
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::Namespace;
use test_tag::tag;

/// Nanoseconds in the unit of `/proc/PID/stat`.
const TICK_NS: u64 = 10_000_000;
const NOBODY: u32 = 65_534;

/// Checks everything that `/proc` knows too.
#[track_caller]
fn assert_owner(found: &Owner, pid: u32, cgroup: &Cgroup) {
    let expected = described(pid);
    assert_eq!(found.start_boot_ns / TICK_NS, start_ticks(pid), "start of the process");
    let parent = expected.parent_tgid;
    assert_eq!(found.parent_start_boot_ns / TICK_NS, start_ticks(parent), "start of the parent");
    assert!(found.met_boot_ns > found.start_boot_ns);
    assert_ne!(found.exec_id, 0);
    let known =
        Owner { start_boot_ns: 0, met_boot_ns: 0, exec_id: 0, parent_start_boot_ns: 0, ..*found };
    assert_eq!(known, Owner { cgroup_id: cgroup.id(), ..expected });
}

/// One UDP packet is enough to know everything about its sender.
#[tag(root)]
#[test]
fn an_owner_is_what_proc_says_of_the_process() {
    let cgroup = Cgroup::new();
    let (one, two) = (cgroup.child("one"), cgroup.child("two"));
    let sensor = CgroupSensor::attach(&cgroup);
    for (cgroup, uid) in [(&one, None), (&two, Some(NOBODY))] {
        let mut actor = Actor::start(cgroup);
        if let Some(uid) = uid {
            actor.act(&format!("uid {uid}"));
        }
        actor.act("comm named-for-test");
        let socket = actor.socket("c", "udp4");
        actor.act("connect c 127.0.0.1:9");
        actor.act("send c 1");
        let (_, flow) = sensor.flow_of(socket);
        let owner = sensor.owner(flow.owner);
        assert_owner(&owner, actor.pid(), cgroup);
        assert_eq!(owner.comm(), "named-for-test");
        assert_eq!(owner.parent_tgid, std::process::id());
        assert_eq!(owner.uid, uid.unwrap_or(0));
        assert_eq!(owner.capabilities == 0, uid.is_some(), "{:#x}", owner.capabilities);
        assert_eq!(flow.cgroup_id, cgroup.id());
        assert_eq!(flow.netns_cookie, actor.number("netns-cookie c"));
    }
}

/// A process in another network namespace, in the same cgroup.
#[tag(root)]
#[test]
fn another_network_namespace_has_another_cookie() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let namespace = Namespace::new("inside");
    let (mut inside, mut outside) = (Actor::start_in(&cgroup, &namespace), Actor::start(&cgroup));
    let cookies = [&mut inside, &mut outside].map(|actor| {
        let socket = actor.socket("c", "udp4");
        actor.act("sendto c 127.0.0.1:9 1");
        let (_, flow) = sensor.flow_of(socket);
        assert_eq!(flow.netns_cookie, actor.number("netns-cookie c"));
        assert_eq!(sensor.owner(flow.owner).tgid, actor.pid());
        flow.netns_cookie
    });
    assert_ne!(cookies[0], cookies[1]);
}

/// The child connects what its parent made: the child's connection.
#[tag(root)]
#[test]
fn an_inherited_socket_is_the_childs_when_the_child_uses_it() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let mut actor = Actor::start(&cgroup);
    let (tcp, udp) = (actor.socket("t", "tcp4"), actor.socket("u", "udp4"));
    actor.act("sendto u 127.0.0.1:9 1");
    let child = actor.number("fork") as u32;
    assert_ne!(child, actor.pid());
    assert_eq!(actor.ask("connect t 127.0.0.1:9"), Err(libc::ECONNREFUSED));
    actor.act("sendto u 127.0.0.1:9 10");
    let (_, flow) = sensor.flow_of(tcp);
    let owner = sensor.owner(flow.owner);
    assert_eq!((owner.tgid, owner.parent_tgid), (child, actor.pid()));
    assert_eq!(flow.learned, Learned::Connect as u8);
    assert_owner(&owner, child, &cgroup);
    // One remote end, two processes: two rows.
    let mut rows: Vec<(u32, u64)> = sensor
        .flows_of(udp)
        .iter()
        .map(|(_, flow)| (sensor.owner(flow.owner).tgid, flow.bytes_out))
        .collect();
    rows.sort_unstable();
    let mut expected = vec![(actor.pid(), 29), (child, 38)];
    expected.sort_unstable();
    assert_eq!(rows, expected);
    assert_eq!(sensor.totals().handovers, 2);
}

/// Passed over a Unix socket: whoever sends with an address has it.
#[tag(root)]
#[test]
fn a_passed_socket_is_the_receivers_when_the_receiver_uses_it() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let (mut giver, mut taker) = (Actor::start(&cgroup), Actor::start(&cgroup));
    let place = tempfile::TempDir::new().expect("a directory");
    let path = place.path().join("socket");
    let (udp, tcp) = (giver.socket("u", "udp4"), giver.socket("t", "tcp4"));
    giver.act("sendto u 127.0.0.1:9 1");
    taker.act(&format!("wait-at {}", path.display()));
    for name in ["u", "t"] {
        taker.tell(&format!("take {name} {}", path.display()));
        giver.act(&format!("give {name} {}", path.display()));
        taker.answer().expect("a socket comes");
    }
    taker.act("sendto u 127.0.0.1:9 2");
    assert_eq!(taker.ask("connect t 127.0.0.1:9"), Err(libc::ECONNREFUSED));
    giver.act("sendto u 127.0.0.1:9 3");
    let bytes_of = |pid| {
        let rows = sensor.flows_of(udp);
        let mut rows = rows.iter().filter(|(_, flow)| sensor.owner(flow.owner).tgid == pid);
        let (_, row) = rows.next().expect("a row of this process");
        assert!(rows.next().is_none(), "one row of this process");
        (row.packets_out, row.bytes_out)
    };
    assert_eq!(bytes_of(giver.pid()), (2, 1 + 3 + 2 * 28));
    assert_eq!(bytes_of(taker.pid()), (1, 2 + 28));
    let (_, flow) = sensor.flow_of(tcp);
    assert_eq!(sensor.owner(flow.owner).tgid, taker.pid());
}

/// A worker that inherited the listener takes the connection.
#[tag(root)]
#[test]
fn a_taken_connection_is_the_workers() {
    let cgroup = Cgroup::new();
    let sensor = CgroupSensor::attach(&cgroup);
    let (mut client, mut server) = (Actor::start(&cgroup), Actor::start(&cgroup));
    let listener = server.socket("l", "tcp4");
    let at = server.address("bind l 127.0.0.1:0");
    server.act("listen l");
    client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    let worker = server.number("fork") as u32;
    let accepted = server.number("accept l a");
    client.act("send c 100");
    server.act("receive a 100");
    let (_, flow) = sensor.flow_of(accepted);
    assert_eq!(flow.learned, Learned::Accept as u8);
    assert_owner(&sensor.owner(flow.owner), worker, &cgroup);
    assert_eq!(sensor.owner(sensor.own_row(listener).owner).tgid, server.pid());
    assert_eq!(flow.packets_in, 1, "the row of the connection is one from its begin");
    // Whoever asks for the peer's address later takes nothing.
    let helper = server.number("fork") as u32;
    assert_ne!(helper, worker);
    server.act("peername a");
    let (_, flow) = sensor.flow_of(accepted);
    assert_eq!(sensor.owner(flow.owner).tgid, worker);
    assert_eq!(sensor.totals().taken, 1);
}

/// The same process with fewer rights, or in another cgroup, is another owner; a socket stays in
/// the cgroup that it was made in.
#[tag(root)]
#[test]
fn a_process_that_changes_is_another_owner() {
    let cgroup = Cgroup::new();
    let (one, two) = (cgroup.child("one"), cgroup.child("two"));
    let sensor = CgroupSensor::attach(&cgroup);
    let mut actor = Actor::start(&one);
    let owner_of = |actor: &mut Actor, name: &str| {
        let socket = actor.socket(name, "udp4");
        actor.act(&format!("sendto {name} 127.0.0.1:9 1"));
        let (_, flow) = sensor.flow_of(socket);
        (sensor.owner(flow.owner), flow.cgroup_id)
    };
    let (first, _) = owner_of(&mut actor, "a");
    assert_owner(&first, actor.pid(), &one);
    actor.act("drop-capabilities");
    let (second, made_in) = owner_of(&mut actor, "b");
    assert_ne!(first.capabilities, 0);
    assert_eq!((second.capabilities, made_in), (0, one.id()));
    assert_owner(&second, actor.pid(), &one);
    fs::write(two.path().join("cgroup.procs"), actor.pid().to_string()).expect("root may");
    let (third, made_in) = owner_of(&mut actor, "c");
    assert_owner(&third, actor.pid(), &two);
    assert_eq!(made_in, two.id());
    let old = actor.number("rename b d");
    actor.act("sendto d 127.0.0.1:10 1");
    let rows = sensor.flows_of(old);
    let (_, row) = rows.iter().find(|(key, _)| key.remote_port == 10).expect("a new row");
    assert_eq!(row.cgroup_id, one.id());
    assert_eq!(sensor.owner(row.owner).cgroup_id, two.id());
}
