// SPDX-License-Identifier: MIT OR Apache-2.0
//! Flows of a real load through a reader without rights: every row says who, as whom, from
//! where and how much, as the processes themselves and `/proc` do.

use std::collections::BTreeMap;
use std::time::Duration;

use ibsr_proto::snapshot::cgroup::Flow;
use ibsr_tests::actor::{Actor, described};
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::process::{Running, say, wait_until};
use rustix::process::Signal;
use test_tag::tag;

use crate::cgroup_stage::{House, Sealed, assert_is, attached, key_of_entry, newest, path_of};
use crate::sealed::sweeps_written;

const SOON: Duration = Duration::from_secs(30);
const PROCESSES: usize = 6;
/// Of each process, over each of TCP and UDP.
const CONNECTIONS: u64 = 40;
const ANSWER_BYTES: u64 = 9;
const UDP_HEADERS: u64 = 28;
/// IPv4 and TCP with timestamps; what the options of a SYN add.
const TCP_HEADERS: u64 = 52;
const SYN_EXTRA: u64 = 8;
const USERS: [u32; 3] = [0, 65_534, 4_711];

/// What one process did over one protocol.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deeds {
    connections: u64,
    payload_out: u64,
    payload_in: u64,
}

fn payload(row: &Flow<'_>, bytes: u64, packets: u64) -> u64 {
    match row.protocol.to_string().as_str() {
        "tcp" => bytes - packets * TCP_HEADERS - SYN_EXTRA,
        _ => bytes - packets * UDP_HEADERS,
    }
}

/// Clients and servers in turns over the cgroups; the bytes that each client sent over each
/// protocol. `meanwhile` runs once they all are on their way.
fn load(cgroups: &[Cgroup; 3], meanwhile: impl FnOnce()) -> (Vec<(Actor, Actor)>, u64) {
    let mut pairs = Vec::new();
    for number in 0..PROCESSES {
        let (mut client, mut server) =
            (Actor::start(&cgroups[number % 3]), Actor::start(&cgroups[(number + 1) % 3]));
        client.act(&format!("uid {}", USERS[number / 2]));
        server.socket("t", "tcp4");
        server.socket("u", "udp4");
        let tcp = server.address("bind t 127.0.0.1:0");
        let udp = server.address("bind u 127.0.0.1:0");
        server.act("listen t");
        server.tell(&format!("serve t u {CONNECTIONS}"));
        client.tell(&format!("load {tcp} {udp} {CONNECTIONS}"));
        pairs.push((client, server));
    }
    meanwhile();
    let mut sent = 0;
    for (client, server) in &mut pairs {
        sent = client.answer().expect("the load ends well").parse().expect("a number");
        server.answer().expect("all is served");
    }
    (pairs, sent)
}

#[track_caller]
fn assert_client(row: &Flow<'_>, client: &Actor, uid: u32, cgroup: &Cgroup) {
    let owner = row.owner.as_ref().expect("an owner");
    let expected = described(client.pid());
    assert_eq!((owner.tgid, owner.uid, owner.euid), (client.pid(), uid, expected.euid));
    assert_eq!((&*owner.comm, &*owner.parent_comm), (&*expected.comm(), &*expected.parent_comm()));
    assert_eq!(owner.parent_tgid, std::process::id());
    assert_eq!(owner.capabilities.0, expected.capabilities);
    assert_eq!((owner.exe_inode, owner.exe_device.0), (expected.exe_inode, expected.exe_device));
    assert_eq!((row.cgroup_id, owner.cgroup_id), (cgroup.id(), cgroup.id()));
    assert_eq!(row.cgroup_path.as_deref(), Some(&*path_of(cgroup)));
    assert_eq!((owner.cgroup_path.as_deref(), &row.container), (None, &None));
    assert_eq!(row.local_addr.expect("known").to_string(), "127.0.0.1");
    assert_eq!(row.remote_addr.expect("a peer").to_string(), "127.0.0.1");
    assert_eq!(
        (row.learned.to_string(), row.family.to_string()),
        ("connect".into(), "inet".into())
    );
}

/// The reader sweeps all the while, and is ended in the midst of nothing.
#[tag(root)]
#[test]
fn every_connection_of_a_load_is_a_row_with_all_of_its_truth() {
    let house = House::new();
    let scope = "cg-load";
    let (top, sensor) = attached(&house, scope, 16_384);
    let cgroups = [top.child("a"), top.child("b"), top.child("c")];
    let mut running = Running::start(house.reader("run", scope).args(["--period", "20ms"]));
    wait_until("it sweeps", SOON, || sweeps_written(house.spool.path(), scope) > 0);
    let (pairs, sent) = load(&cgroups, || ());
    running.signal(Signal::TERM);
    assert!(running.wait(SOON).success());

    let (rows, sweeps) = newest(house.spool.path(), scope);
    let entries = sensor.flows();
    assert_eq!(rows.len(), entries.len());
    for (key, entry) in &entries {
        assert_is(&rows[&key_of_entry(key)], entry);
    }
    let last = sweeps.last().expect("a sweep");
    assert_eq!(
        (last.evicted, last.evicted_bytes, last.owners_missing, last.paths_missing),
        (0, 0, 0, 0)
    );
    assert!(last.attached && sweeps.len() > 1, "{} sweeps", sweeps.len());

    let numbers: BTreeMap<u32, usize> =
        pairs.iter().enumerate().map(|(number, (client, _))| (client.pid(), number)).collect();
    let mut deeds: BTreeMap<(usize, String), Deeds> = BTreeMap::new();
    for row in rows.values().filter(|row| row.direction.to_string() == "outgoing") {
        let number = numbers[&row.owner.as_ref().expect("an owner").tgid];
        assert_client(row, &pairs[number].0, USERS[number / 2], &cgroups[number % 3]);
        let deed = deeds.entry((number, row.protocol.to_string())).or_default();
        deed.connections += 1;
        deed.payload_out += payload(row, row.bytes_out, row.packets_out);
        deed.payload_in += payload(row, row.bytes_in, row.packets_in);
    }
    assert_eq!(deeds.len(), 2 * PROCESSES);
    let payload_in = CONNECTIONS * ANSWER_BYTES;
    let expected = Deeds { connections: CONNECTIONS, payload_out: sent, payload_in };
    for (who, deed) in &deeds {
        assert_eq!(*deed, expected, "{who:?}");
    }
}

/// R1: killed in the midst of a load, and started again: nothing that the map holds is missing.
#[tag(root)]
#[test]
fn a_reader_that_is_killed_under_load_loses_no_flow() {
    let house = House::new();
    let scope = "cg-killed";
    let (top, sensor) = attached(&house, scope, 16_384);
    let cgroups = [top.child("a"), top.child("b"), top.child("c")];
    let start = || Running::start(house.reader("run", scope).args(["--period", "10ms"]));
    let written = || sweeps_written(house.spool.path(), scope);
    let first = start();
    wait_until("it sweeps", SOON, || written() > 0);
    let mut second = None;
    let _pairs = load(&cgroups, || {
        first.signal(Signal::KILL);
        drop(first);
        second = Some(start());
    });
    let mut second = second.expect("it was started");
    let before = written();
    wait_until("it sweeps again", SOON, || written() > before);
    second.signal(Signal::TERM);
    assert!(second.wait(SOON).success());
    let (rows, _) = newest(house.spool.path(), scope);
    let entries = sensor.flows();
    assert!(entries.len() > 2 * PROCESSES * CONNECTIONS as usize);
    assert_eq!(rows.len(), entries.len());
    for (key, entry) in &entries {
        assert_is(&rows[&key_of_entry(key)], entry);
    }
}

/// A client in one scope, its server in the other: each says its end, to the byte.
#[tag(root)]
#[test]
fn two_scopes_at_once_tell_both_ends_of_one_connection() {
    let house = House::new();
    let (left, _sensor_left) = attached(&house, "cg-left", 4_096);
    let (right, _sensor_right) = attached(&house, "cg-right.service", 4_096);
    let mut readers: Vec<Running> = ["cg-left", "cg-right.service"]
        .iter()
        .map(|scope| Running::start(house.reader("run", scope).args(["--period", "20ms"])))
        .collect();
    for scope in ["cg-left", "cg-right.service"] {
        wait_until("it sweeps", SOON, || sweeps_written(house.spool.path(), scope) > 0);
    }
    let (mut client, mut server) = (Actor::start(&left), Actor::start(&right));
    server.socket("s", "tcp4");
    let to = server.address("bind s 127.0.0.1:0");
    server.act("listen s");
    client.socket("c", "tcp4");
    let from = client.address(&format!("connect c {to}"));
    server.act("accept s a");
    client.act("send c 5000");
    server.act("receive a 5000");
    for reader in &mut readers {
        reader.signal(Signal::TERM);
        assert!(reader.wait(SOON).success());
    }
    let (near, _) = newest(house.spool.path(), "cg-left");
    let (far, _) = newest(house.spool.path(), "cg-right.service");
    let near = near.values().find(|row| row.local_port == from.port()).expect("the client's");
    let far = far.values().find(|row| row.remote_port == Some(from.port())).expect("the server's");
    assert_eq!((near.local_port, near.remote_port), (from.port(), Some(to.port())));
    // The SYN and the ACK that completes the handshake are counted in the listener's row.
    assert_eq!(near.packets_out, far.packets_in + 2, "{near:?} {far:?}");
    assert_eq!(
        (near.direction.to_string(), far.direction.to_string()),
        ("outgoing".into(), "incoming".into())
    );
    assert_eq!(near.owner.as_ref().expect("an owner").tgid, client.pid());
    assert_eq!(far.owner.as_ref().expect("an owner").tgid, server.pid());
    assert_eq!(near.cgroup_path.as_deref(), Some(&*path_of(&left)));
    assert_eq!(far.cgroup_path.as_deref(), Some(&*path_of(&right)));
}

/// One full sweep is the map, and its header says what was observed.
#[tag(root)]
#[test]
fn a_single_sweep_lists_the_whole_map() {
    let house = House::new();
    let (top, mut sensor) = attached(&house, "cg-once", 4_096);
    let docker = top.child(&format!("docker-{}.scope", "4b".repeat(32)));
    let mut actor = Actor::start(&docker);
    actor.socket("u", "udp4");
    actor.act("bind u 127.0.0.1:0");
    actor.socket("t", "tcp4");
    assert_eq!(actor.ask("connect t 127.0.0.1:1"), Err(libc::ECONNREFUSED));
    sensor.detach();
    let said = say(&mut house.reader("once", "cg-once"))
        .expect_code(0)
        .expect_stderr("reading without capabilities");
    let segment = Sealed::read(std::path::Path::new(said.stdout.trim()));
    let header = &segment.header;
    assert_eq!((header.scope.as_str(), header.cgroup_id), ("cg-once", top.id()));
    assert_eq!((&header.cgroup_path, header.max_flows), (&path_of(&top), 4_096));
    assert_eq!((&*header.evidence, &header.missing), ("plain", &Vec::<String>::new()));
    let (rows, _) = newest(house.spool.path(), "cg-once");
    let entries = sensor.flows();
    assert_eq!((rows.len(), segment.sweeps[0].1.len()), (entries.len(), entries.len()));
    for (key, entry) in &entries {
        let row = &rows[&key_of_entry(key)];
        assert_is(row, entry);
        let container = row.container.as_ref().expect("the path names one");
        assert_eq!((&*container.runtime, &*container.id), ("docker", &*"4b".repeat(32)));
    }
    let refused = rows.values().find(|row| row.remote_port == Some(1)).expect("the attempt");
    assert_eq!(refused.error.to_string(), "ECONNREFUSED");
}
