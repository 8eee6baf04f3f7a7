// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C library's own resolver, with a resolver of the test's own at port 53.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};

use ibsr_proto::cgroup_abi::Flow;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::dns::{
    A, AAAA, ASKED, CNAME, Responder, address, asked, attach, record, reply, text, totals, wire,
};
use ibsr_tests::netns::Namespace;
use tempfile::TempDir;
use test_tag::tag;

const RESOLVER: &str = "127.0.0.53";
const WEB: u16 = 8_080;
const TTL_S: u32 = 60;

/// Each in a namespace of its own, where port 53 is free.
struct World {
    client: Actor,
    _etc: TempDir,
    _responder: Responder,
    sensor: CgroupSensor,
    _cgroup: Cgroup,
    namespace: Namespace,
}

impl World {
    fn new(answer: impl Fn(&[u8]) -> Vec<u8> + Send + 'static) -> Self {
        let (namespace, cgroup) = (Namespace::new("dns"), Cgroup::new());
        let etc = TempDir::new().expect("a temporary directory");
        let resolver = format!("nameserver {RESOLVER}\noptions timeout:2 attempts:2\n");
        fs::write(etc.path().join("resolv.conf"), resolver).expect("writable");
        fs::write(etc.path().join("nsswitch.conf"), "hosts: dns\n").expect("writable");
        let socket = namespace.inside(|| UdpSocket::bind((RESOLVER, 53)).expect("it is free"));
        let listed: IpAddr = RESOLVER.parse().expect("an address");
        let sensor = attach(&cgroup, &[53], &[listed], 65_536);
        let client = Actor::start_with_etc(&cgroup, &namespace, etc.path());
        let _responder = Responder::start(socket, answer);
        Self { client, _etc: etc, _responder, sensor, _cgroup: cgroup, namespace }
    }

    /// The name in the row of a socket.
    fn name_of(&self, socket: u64) -> String {
        let name = self.sensor.flow_of(socket).1.name;
        text(&self.sensor, name).unwrap_or_else(|| panic!("socket {socket} has no name")).text()
    }
}

/// As getaddrinfo(3) asks: both types at once, from one socket.
#[tag(root)]
#[test]
fn what_the_c_library_resolves_names_the_connections() {
    let mut world = World::new(|question| {
        let (name, kind, _) = asked(question);
        let records = match (name.as_str(), kind) {
            ("web.example.test", A) => {
                vec![address(&ASKED, TTL_S, Ipv4Addr::new(127, 3, 0, 1).into())]
            }
            ("web.example.test", AAAA) => vec![address(&ASKED, TTL_S, IpAddr::V6(1_u128.into()))],
            ("alias.example.test", A) => vec![
                record(&ASKED, CNAME, TTL_S, &wire("edge.cdn.test")),
                address(&wire("edge.cdn.test"), TTL_S, Ipv4Addr::new(127, 3, 0, 2).into()),
            ],
            ("alias.example.test", AAAA) => {
                vec![record(&ASKED, CNAME, TTL_S, &wire("edge.cdn.test"))]
            }
            _ => return reply(question, 3, &[]),
        };
        reply(question, 0, &records)
    });
    for (host, found) in
        [("web.example.test", &["127.3.0.1", "::1"][..]), ("alias.example.test", &["127.3.0.2"])]
    {
        let mut addresses: Vec<String> =
            world.client.act(&format!("resolve {host}")).split(',').map(str::to_owned).collect();
        addresses.sort();
        addresses.dedup();
        assert_eq!(addresses, found);
        for ip in addresses {
            let kind = if ip.contains(':') { "udp6" } else { "udp4" };
            let socket = world.client.socket("x", kind);
            let at = std::net::SocketAddr::new(ip.parse().expect("an address"), 9);
            world.client.act(&format!("connect x {at}"));
            assert_eq!(world.name_of(socket), host);
        }
    }
    world.client.ask("resolve nowhere.example.test").expect_err("it does not exist");
    let totals = totals(&world.sensor);
    assert_eq!((totals.questions, totals.asked, totals.answers), (6, 6, 6));
    assert_eq!((totals.answered, totals.nxdomain), (4, 2));
    assert_eq!((totals.learned, totals.cnames), (3, 2));
    // Two more: to sort two addresses the C library connects a socket to each.
    assert_eq!(totals.flows_named, 5);
}

/// The sensor has learned an answer before the process has it.
#[tag(root)]
#[test]
fn each_of_five_thousand_names_is_known_when_its_address_is_connected_to() {
    const COUNT: usize = 5_000;
    let mut world = World::new(|question| {
        let (name, kind, _) = asked(question);
        let number = name.split('.').next().and_then(|text| text.parse::<u16>().ok());
        match (kind, number.map(u16::to_be_bytes)) {
            (A, Some([high, low])) => reply(
                question,
                0,
                &[address(&ASKED, TTL_S, Ipv4Addr::new(127, 4, high, low).into())],
            ),
            _ => reply(question, 0, &[]),
        }
    });
    let listener = world
        .namespace
        .inside(|| std::net::TcpListener::bind((Ipv4Addr::UNSPECIFIED, WEB)).expect("it is free"));
    let web = std::thread::spawn(move || {
        for connection in listener.incoming().take(COUNT) {
            drop(connection);
        }
    });
    let cookies = world.client.act(&format!("race race.test {WEB} {COUNT}"));
    web.join().expect("all were taken");
    let rows = world.sensor.flows().into_iter().filter(|(key, _)| key.remote_port == WEB);
    let rows: BTreeMap<u64, Flow> = rows.map(|(key, flow)| (key.socket, flow)).collect();
    let cookies: Vec<u64> =
        cookies.split(',').map(|cookie| cookie.parse().expect("a number")).collect();
    assert_eq!(cookies.len(), COUNT);
    for (number, cookie) in cookies.into_iter().enumerate() {
        let name = text(&world.sensor, rows[&cookie].name).expect("it was resolved").text();
        assert_eq!(name, format!("{number}.race.test"));
    }
    let totals = totals(&world.sensor);
    assert_eq!((totals.learned, totals.flows_named), (COUNT as u64, COUNT as u64));
    assert_eq!((totals.unasked, totals.answer_malformed, totals.flows_expired), (0, 0, 0));
}
