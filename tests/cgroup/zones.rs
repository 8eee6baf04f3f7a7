// SPDX-License-Identifier: MIT OR Apache-2.0
//! The analysis of DNS zones: the shape of the names that an application asks for, and what it
//! exchanges with addresses that were found by them.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use ibsr_proto::cgroup_behaviour_abi::{AppWindow, flag};
use ibsr_proto::cgroup_zone_abi::Zone;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::dns::{A, ASKED, address, attach_with, hex, question, reply, totals, wire};
use ibsr_tests::netns::Namespace;
use test_tag::tag;

/// NXDOMAIN.
const MISSING: u16 = 3;
/// What the sketch may be wrong by: three standard errors of 5 %.
const SKETCH_ERROR: f64 = 0.15;
const SERVER: &str = "127.0.0.83";

/// A client that asks a resolver of the test's own.
struct Scene {
    client: Actor,
    resolver: UdpSocket,
    sensor: CgroupSensor,
    _cgroup: Cgroup,
    namespace: Namespace,
}

impl Scene {
    fn new(rows: u32, knobs: &[(&str, &[u8])]) -> Self {
        let (namespace, cgroup) = (Namespace::new("zones"), Cgroup::new());
        namespace.ip("address add 198.51.100.1/24 dev lo");
        let resolver = namespace.inside(|| UdpSocket::bind((SERVER, 53)).expect("it is free"));
        let listed: IpAddr = SERVER.parse().expect("an address");
        let sensor = attach_with(&cgroup, &[53], &[listed], rows, knobs);
        let mut client = Actor::start_in(&cgroup, &namespace);
        client.socket("q", "udp4");
        client.act(&format!("connect q {SERVER}:53"));
        Self { client, resolver, sensor, _cgroup: cgroup, namespace }
    }

    /// Asks for a name on the wire and is answered.
    fn resolve(&mut self, name: &[u8], rcode: u16, records: &[Vec<u8>]) {
        let asked = question(7, name, A);
        self.client.act(&format!("say q {}", hex(&asked)));
        let from = self.resolver.recv_from(&mut [0; 1_024]).expect("it was sent").1;
        self.resolver.send_to(&reply(&asked, rcode, records), from).expect("it listens");
        self.client.act("hear q");
    }

    /// The row of a zone.
    #[track_caller]
    fn zone(&self, name: &str) -> Zone {
        let text = |key| self.sensor.zone_text(key).expect("a zone has a text").text();
        let mut rows = self.sensor.zones().into_iter();
        let found = rows.find(|(key, _)| text(key.zone) == name);
        found.unwrap_or_else(|| panic!("there is a row of `{name}`")).1
    }

    /// The one application.
    #[track_caller]
    fn app(&self) -> AppWindow {
        let apps = self.sensor.apps();
        let [(_, app)] = apps[..] else { panic!("one application: {apps:#?}") };
        app
    }
}

fn flags(bits: u32) -> Vec<&'static str> {
    flag::ALL.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}

/// Of any number of labels, in any case; a label may be as long as a label can be.
#[tag(root)]
#[test]
fn a_zone_is_the_last_two_labels_and_counts_what_is_asked_in_it() {
    let long = "l".repeat(63);
    let mut scene = Scene::new(4_096, &[]);
    let asked = [
        ("www.example.test".to_owned(), 0),
        ("a.b.c.d.EXAMPLE.Test".to_owned(), 0),
        ("example.test".to_owned(), MISSING),
        ("test".to_owned(), MISSING),
        ("example.testing".to_owned(), 2),
        (format!("a.{long}.{}", "m".repeat(63)), 0),
    ];
    for (name, rcode) in &asked {
        scene.resolve(&wire(name), *rcode, &[]);
    }
    scene.resolve(&[0], 0, &[]);
    let example = scene.zone("example.test");
    assert_eq!((example.questions, example.answers, example.nxdomain), (3, 2, 1));
    assert_eq!((example.labels, example.name_bytes), (3 + 6 + 2, 18 + 22 + 14));
    assert_eq!(example.window_name_bytes, 4 + 8, "what stands in front of it");
    assert_eq!((example.window_name_bits, flags(example.flags)), (3, vec![]));
    assert!(example.born_boot_ns < example.last_boot_ns && example.flagged_boot_ns == 0);
    assert_eq!((scene.zone("test").questions, scene.zone("test").labels), (1, 1));
    let failed = scene.zone("example.testing");
    assert_eq!((failed.questions, failed.answers, failed.nxdomain), (1, 0, 0), "SERVFAIL");
    assert_eq!((scene.zone(".").questions, scene.zone(".").labels), (1, 0));
    let (rows, totals) = (scene.sensor.zones(), scene.sensor.behaviour_totals());
    let longest = rows.iter().find(|(_, row)| row.name_bytes == 3 + 64 + 64);
    let text = scene.sensor.zone_text(longest.expect("of two long labels").0.zone);
    let text = text.expect("it has a text");
    assert_eq!((text.wire_bytes, text.is_cut()), (129, true), "the root's zero is cut off");
    assert_eq!((totals.zone_questions, totals.zone_lost, totals.zone_no_owner), (7, 0, 0));
    assert_eq!((totals.zones_inserted, rows.len()), (5, 5));
    assert_eq!(scene.app().nxdomain, 2);
}

/// Names as of a service with a host name for each customer, of a client that asks for the same
/// again and again, and of one that says something by asking.
#[tag(root)]
#[test]
fn many_names_and_long_names_of_a_zone_are_flagged_and_repeated_ones_are_not() {
    let mut scene = Scene::new(4_096, &[]);
    for number in 0..300 {
        scene.resolve(&wire(&format!("c{number}.many.test")), 0, &[]);
        scene.resolve(&wire("www.one.test"), 0, &[]);
        if number < 60 {
            scene.resolve(&wire(&format!("cdn-{number}.some.test")), 0, &[]);
            let said = format!("{number:0>63}.{number:0>63}.{number:0>63}");
            scene.resolve(&wire(&format!("{said}.said.test")), 0, &[]);
        }
    }
    for (zone, count, expected) in [
        ("many.test", 300, vec!["many_names"]),
        ("one.test", 1, vec![]),
        ("some.test", 60, vec![]),
        ("said.test", 60, vec!["name_volume"]),
    ] {
        let row = scene.zone(zone);
        assert_eq!(flags(row.flags), expected, "{zone}: {row:#?}");
        assert_eq!(row.flagged_boot_ns > 0, !expected.is_empty(), "{zone}");
        let wrong = row.names() / f64::from(count) - 1.0;
        assert!(wrong.abs() <= SKETCH_ERROR, "{zone}: {wrong:+.3}");
        let set: u32 = row.name_bitmap.iter().map(|word| word.count_ones()).sum();
        assert_eq!(row.window_name_bits, set, "{zone}");
    }
    assert_eq!(scene.zone("said.test").window_name_bytes, 192 * u64::from(set_of(&scene)));
    assert_eq!(scene.zone("one.test").questions, 300);
    assert_eq!(flags(scene.app().flags), [""; 0], "all of them exist");
}

fn set_of(scene: &Scene) -> u32 {
    scene.zone("said.test").window_name_bits
}

/// What a search list of suffixes does is ordinary: many names, few zones.
#[tag(root)]
#[test]
fn names_missing_in_many_zones_are_flagged_and_in_one_zone_not() {
    let mut searching = Scene::new(4_096, &[]);
    for number in 0..100 {
        searching.resolve(&wire(&format!("svc{number}.cluster.local")), MISSING, &[]);
        searching.resolve(&wire(&format!("svc{number}.office.test")), MISSING, &[]);
    }
    let app = searching.app();
    assert_eq!((app.nxdomain, app.window_nxdomain_bits, flags(app.flags)), (200, 2, vec![]));
    assert_eq!(searching.zone("cluster.local").nxdomain, 100);
    let mut guessing = Scene::new(4_096, &[]);
    for number in 0..80 {
        guessing.resolve(&wire(&format!("guess{number}.test")), MISSING, &[]);
    }
    let app = guessing.app();
    assert_eq!(flags(app.flags), ["many_nxdomain_zones"]);
    assert!((app.nxdomain_zones() / 80.0 - 1.0).abs() <= 0.25, "{}", app.nxdomain_zones());
    assert!(app.flagged_boot_ns > 0);
}

/// Both connections go to the same address: what was sent before it had a name is of no zone.
#[tag(root)]
#[test]
fn bytes_to_an_address_that_was_resolved_belong_to_the_zone_of_its_name() {
    const TO: &str = "198.51.100.1:443";
    const BYTES: u64 = 2 << 20;
    const LIMIT: u64 = 1 << 20;
    let mut scene = Scene::new(4_096, &[("ibsr_volume_out_bytes", &LIMIT.to_ne_bytes())]);
    let to: SocketAddr = TO.parse().expect("an address");
    let listener = scene.namespace.inside(|| std::net::TcpListener::bind(to).expect("free"));
    let server = std::thread::spawn(move || {
        for connection in listener.incoming().take(2) {
            let mut connection = connection.expect("a connection");
            std::io::copy(&mut connection, &mut std::io::sink()).expect("it ends");
        }
    });
    scene.client.socket("a", "tcp4");
    scene.client.act(&format!("connect a {TO}"));
    scene.client.act("send a 1000");
    scene.client.act("close a");
    scene.resolve(&wire("up.store.test"), 0, &[address(&ASKED, 300, to.ip())]);
    let socket = scene.client.socket("b", "tcp4");
    scene.client.act(&format!("connect b {TO}"));
    scene.client.act(&format!("send b {BYTES}"));
    scene.client.act("close b");
    server.join().expect("both connections end");
    let ((_, flow), row) = (scene.sensor.flow_of(socket), scene.zone("store.test"));
    assert!(flow.bytes_out > BYTES);
    assert_eq!((row.bytes_out, row.bytes_in), (flow.bytes_out, flow.bytes_in));
    assert_eq!((row.window_bytes_out, flags(row.flags)), (row.bytes_out, vec!["volume_out"]));
    assert_eq!(scene.sensor.behaviour_totals().zone_bytes_lost, 0);
    assert_eq!(totals(&scene.sensor).flows_named, 1);
}

/// Two thousand zones in a table for five hundred: none of it costs an address its name.
#[tag(root)]
#[test]
fn what_a_small_table_of_zones_evicts_can_be_counted() {
    const COUNT: u64 = 2_000;
    let mut scene = Scene::new(512, &[]);
    for number in 0..COUNT {
        scene.resolve(&wire(&format!("www.z{number}.test")), 0, &[]);
    }
    let (rows, totals) = (scene.sensor.zones(), scene.sensor.behaviour_totals());
    let kept: u64 = rows.iter().map(|(_, row)| row.questions).sum();
    assert!(rows.len() <= 512 && kept == rows.len() as u64, "{kept}");
    assert_eq!((totals.zone_questions, totals.zone_no_owner), (COUNT, 0));
    assert_eq!(totals.zone_lost + totals.zones_inserted, COUNT);
}

#[tag(root)]
#[test]
fn nothing_is_kept_of_zones_when_the_analysis_is_off() {
    let mut scene = Scene::new(512, &[("ibsr_behaviour_on", &0_u32.to_ne_bytes())]);
    scene.resolve(&wire("www.example.test"), MISSING, &[]);
    assert!(scene.sensor.zones().is_empty() && scene.sensor.apps().is_empty());
    assert_eq!((totals(&scene.sensor).asked, totals(&scene.sensor).nxdomain), (1, 1));
}
