// SPDX-License-Identifier: MIT OR Apache-2.0
//! A load of short connections from many processes: every one is reported, with everything.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ibsr_proto::cgroup_abi::{Direction, Flow, FlowKey, Learned, step};
use ibsr_tests::actor::{Actor, described};
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{
    A, ASKED, Responder, address, asked, attach, hex, question, reply, server, text, wire,
};
use test_tag::tag;

const PROCESSES: u64 = 20;
/// Of each process, over each of TCP and UDP: 50,000 in all.
const CONNECTIONS: u64 = 1_250;
const ANSWER_BYTES: u64 = 9;
const UDP_HEADERS: u64 = 28;
/// IPv4 and TCP with timestamps; what the options of a SYN add.
const TCP_HEADERS: u64 = 52;
const SYN_EXTRA: u64 = 8;
const USERS: [u32; 3] = [0, 65_534, 4_711];
const TCP: u16 = 6;

/// Longer than the load.
const TTL_S: u32 = 300;

/// Where the server of a client is, and its name.
fn server_ip(number: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 1, 0, 1 + number as u8)
}

fn server_name(number: usize) -> String {
    format!("s{number}.load.test")
}

/// Knows the addresses of all servers.
fn answer(question: &[u8]) -> Vec<u8> {
    let name = asked(question).0;
    let number = (0..PROCESSES as usize).find(|number| server_name(*number) == name);
    let ip = server_ip(number.expect("the name of a server"));
    reply(question, 0, &[address(&ASKED, TTL_S, IpAddr::V4(ip))])
}

/// What one process did over one protocol, without what differs from run to run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Deeds {
    connections: u64,
    payload_out: u64,
    payload_in: u64,
    uid: u32,
    cgroup: usize,
}

fn payload(bytes: u64, packets: u64, key: &FlowKey) -> u64 {
    match key.protocol {
        TCP => bytes - packets * TCP_HEADERS - SYN_EXTRA,
        _ => bytes - packets * UDP_HEADERS,
    }
}

#[track_caller]
fn assert_whole((key, flow): &(FlowKey, Flow)) {
    let used = step::CREATED | step::CONNECTED | step::RELEASED;
    let wanted = match key.protocol {
        TCP => used | step::SYN_SENT | step::ESTABLISHED | step::CLOSED,
        _ => used,
    };
    assert_eq!(flow.steps, wanted, "{key:?}");
    assert_eq!((flow.learned, flow.error), (Learned::Connect as u8, 0));
    assert_ne!(flow.local_port, 0);
}

/// Runs the load once; what each client did, by its number and protocol.
fn run() -> BTreeMap<(usize, u16), Deeds> {
    let top = Cgroup::new();
    let cgroups = [top.child("a"), top.child("b"), top.child("c")];
    let (socket, resolver) = server("127.0.0.84");
    let sensor = attach(&top, &[resolver.port()], &[resolver.ip()], 262_144);
    let _responder = Responder::start(socket, answer);
    let mut pairs: Vec<(Actor, Actor)> = Vec::new();
    for number in 0..PROCESSES as usize {
        let (mut client, mut server) =
            (Actor::start(&cgroups[number % 3]), Actor::start(&cgroups[(number + 1) % 3]));
        client.act(&format!("uid {}", USERS[number / 7]));
        client.socket("q", "udp4");
        client.act(&format!("connect q {resolver}"));
        client.act(&format!("say q {}", hex(&question(1, &wire(&server_name(number)), A))));
        client.act("hear q");
        server.socket("t", "tcp4");
        server.socket("u", "udp4");
        let ip = server_ip(number);
        let tcp = server.address(&format!("bind t {ip}:0"));
        let udp = server.address(&format!("bind u {ip}:0"));
        server.act("listen t");
        server.tell(&format!("serve t u {CONNECTIONS}"));
        client.tell(&format!("load {tcp} {udp} {CONNECTIONS}"));
        pairs.push((client, server));
    }
    let mut numbers = BTreeMap::new();
    let mut sent = 0;
    for (number, (client, server)) in pairs.iter_mut().enumerate() {
        sent = client.answer().expect("the load ends well").parse().expect("a number");
        server.answer().expect("all is served");
        numbers.insert(client.pid(), number);
    }
    let mut deeds: BTreeMap<(usize, u16), Deeds> = BTreeMap::new();
    let (mut accepted, mut asked) = (0, 0);
    for row in sensor.flows() {
        let (key, flow) = &row;
        if flow.direction == Direction::Incoming as u8 {
            // A later client may have the port of an earlier one, and then has its row too.
            match key.protocol {
                TCP => accepted += 1,
                _ => asked += flow.packets_in,
            }
            continue;
        }
        if flow.direction == Direction::Own as u8 || key.remote_port == resolver.port() {
            continue;
        }
        assert_whole(&row);
        let owner = sensor.owner(flow.owner);
        let number = numbers[&owner.tgid];
        let expected = described(owner.tgid);
        assert_eq!((owner.uid, owner.comm), (expected.uid, expected.comm));
        assert_eq!(owner.parent_tgid, std::process::id());
        assert_eq!(owner.cgroup_id, flow.cgroup_id);
        let cgroup = cgroups.iter().position(|cgroup| cgroup.id() == flow.cgroup_id);
        let name = text(&sensor, flow.name).expect("it was resolved").text();
        assert_eq!(name, server_name(number));
        let deed = deeds.entry((number, key.protocol)).or_default();
        deed.connections += 1;
        deed.payload_out += payload(flow.bytes_out, flow.packets_out, key);
        deed.payload_in += payload(flow.bytes_in, flow.packets_in, key);
        deed.uid = owner.uid;
        deed.cgroup = cgroup.expect("one of the three");
    }
    assert_eq!((accepted, asked), (PROCESSES * CONNECTIONS, PROCESSES * CONNECTIONS));
    let expected = |number: usize| Deeds {
        connections: CONNECTIONS,
        payload_out: sent,
        payload_in: CONNECTIONS * ANSWER_BYTES,
        uid: USERS[number / 7],
        cgroup: number % 3,
    };
    for (&(number, protocol), deed) in &deeds {
        assert_eq!(*deed, expected(number), "client {number}, protocol {protocol}");
    }
    assert_eq!(sensor.evicted(), 0);
    assert_eq!(sensor.totals().insert_failed, 0);
    deeds
}

/// All 50,000 with the right process, user, parent, cgroup, bytes and name, twice the same.
#[tag(root)]
#[test]
fn every_one_of_fifty_thousand_connections_is_reported() {
    let deeds = run();
    assert_eq!(deeds.len(), 2 * PROCESSES as usize);
    assert_eq!(deeds, run());
}
