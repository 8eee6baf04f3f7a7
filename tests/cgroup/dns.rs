// SPDX-License-Identifier: MIT OR Apache-2.0
//! DNS on real sockets: what is learned, from whom, for how long, and which rows have names.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use ibsr_proto::cgroup_dns_abi::DnsTotals;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::dns::{
    A, AAAA, ASKED, CNAME, address, attach, hex, map, mapped, names, question, record, reply,
    server, text, totals, wire,
};
use ibsr_tests::process::wait_until;
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;

/// Longer than any test.
const TTL_S: u32 = 300;

/// A client and the server that it is connected to.
struct Scene {
    client: Actor,
    socket: UdpSocket,
    sensor: CgroupSensor,
    _cgroup: Cgroup,
}

impl Scene {
    /// `ip` is the server's; an empty list believes everybody.
    fn new(ip: &str, listed: &[IpAddr]) -> Self {
        let cgroup = Cgroup::new();
        let (socket, at) = server(ip);
        let sensor = attach(&cgroup, &[at.port()], listed, 4_096);
        let mut client = Actor::start(&cgroup);
        client.socket("c", if at.is_ipv4() { "udp4" } else { "udp6" });
        client.act(&format!("connect c {at}"));
        Self { client, socket, sensor, _cgroup: cgroup }
    }

    /// The client asks; who it was.
    fn ask(&mut self, question: &[u8]) -> SocketAddr {
        self.client.act(&format!("say c {}", hex(question)));
        self.socket.recv_from(&mut [0; 1_024]).expect("it was sent").1
    }

    /// The server says something, and the client has heard it.
    fn say(&mut self, message: &[u8], to: SocketAddr) {
        self.socket.send_to(message, to).expect("it listens");
        self.client.act("hear c");
    }

    /// The name of a connection to `ip` from now on; nothing where it has none.
    fn name_of_connection(&mut self, ip: IpAddr) -> Option<String> {
        let kind = if ip.is_ipv4() { "udp4" } else { "udp6" };
        let socket = self.client.socket("x", kind);
        self.client.act(&format!("connect x {}", SocketAddr::new(ip, 9)));
        name_of(&self.sensor, socket)
    }
}

/// The name in the row of a socket.
fn name_of(sensor: &CgroupSensor, socket: u64) -> Option<String> {
    match sensor.flow_of(socket).1.name {
        0 => None,
        name => Some(text(sensor, name).expect("a name has a text").text()),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Over both versions of IP, in any case; the option record at the end is not in the way.
#[tag(root)]
#[test]
fn a_connection_has_the_name_that_its_address_was_resolved_from() {
    for (server, to, kind) in
        [("127.0.0.82", ip("127.9.0.1"), A), ("::1", ip("::1"), AAAA), ("::1", ip("127.9.0.2"), A)]
    {
        let mut scene = Scene::new(server, &[ip("127.0.0.82"), ip("::1")]);
        assert_eq!(scene.name_of_connection(to), None, "not asked yet");
        let mut asked = question(7, &wire("wWw.Example.TEST"), kind);
        asked[11] = 1;
        asked.extend([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0]);
        let from = scene.ask(&asked);
        assert_eq!(scene.name_of_connection(to), None, "not answered yet");
        scene.say(&reply(&asked, 0, &[address(&ASKED, TTL_S, to)]), from);
        assert_eq!(scene.name_of_connection(to).as_deref(), Some("www.example.test"));
        let known = names(&scene.sensor)[&mapped(to)];
        assert_eq!((known.hits, known.chain, known.resolver), (1, 0, mapped(ip(server))));
        assert_eq!(known.expiry_boot_ns - known.learned_boot_ns, 300_000_000_000);
        let expected = DnsTotals {
            questions: 1,
            asked: 1,
            answers: 1,
            answered: 1,
            learned: 1,
            names_inserted: 1,
            flows_named: 1,
            ..DnsTotals::default()
        };
        assert_eq!(totals(&scene.sensor), expected);
    }
}

/// Whoever connects to us was not reached by a name, and a socket's own row has no remote.
#[tag(root)]
#[test]
fn a_connection_that_comes_in_has_no_name() {
    let mut scene = Scene::new("127.0.0.83", &[]);
    let asked = question(1, &wire("self.test"), A);
    let from = scene.ask(&asked);
    scene.say(&reply(&asked, 0, &[address(&ASKED, TTL_S, ip("127.0.0.1"))]), from);
    let listener = scene.client.socket("l", "tcp4");
    let at = scene.client.address("bind l 127.0.0.1:0");
    scene.client.act("listen l");
    let out = scene.client.socket("o", "tcp4");
    scene.client.act(&format!("connect o {at}"));
    let accepted = scene.client.number("accept l a");
    assert_eq!(name_of(&scene.sensor, out).as_deref(), Some("self.test"));
    assert_eq!(name_of(&scene.sensor, accepted), None);
    assert_eq!(scene.sensor.own_row(listener).name, 0);
}

/// The name is the one that was asked for, and lives as long as the shortest record on the way.
#[tag(root)]
#[test]
fn an_alias_is_followed_to_its_address() {
    let mut scene = Scene::new("127.0.0.84", &[]);
    let asked = question(2, &wire("alias.test"), A);
    let from = scene.ask(&asked);
    let records = [
        record(&ASKED, CNAME, 50, &wire("one.test")),
        record(&wire("stray.test"), A, 1, &[10, 0, 0, 1]),
        record(&wire("ONE.test"), CNAME, 40, &wire("two.test")),
        address(&wire("two.test"), TTL_S, ip("127.9.0.3")),
        address(&wire("one.test"), TTL_S, ip("127.9.0.4")),
    ];
    scene.say(&reply(&asked, 0, &records), from);
    assert_eq!(scene.name_of_connection(ip("127.9.0.3")).as_deref(), Some("alias.test"));
    assert_eq!(scene.name_of_connection(ip("127.9.0.4")), None);
    let known = names(&scene.sensor);
    let (addr, known) = known.first_key_value().expect("one");
    assert_eq!((*addr, known.chain), (mapped(ip("127.9.0.3")), 2));
    assert_eq!(known.expiry_boot_ns - known.learned_boot_ns, 40_000_000_000);
    let totals = totals(&scene.sensor);
    assert_eq!((totals.learned, totals.cnames, totals.records_foreign), (1, 2, 2));
}

/// By its time to live.
#[tag(root)]
#[test]
fn a_name_expires() {
    let mut scene = Scene::new("127.0.0.85", &[]);
    let asked = question(3, &wire("short.test"), A);
    let from = scene.ask(&asked);
    scene.say(&reply(&asked, 0, &[address(&ASKED, 1, ip("127.9.0.5"))]), from);
    assert_eq!(scene.name_of_connection(ip("127.9.0.5")).as_deref(), Some("short.test"));
    wait_until("the name has expired", Duration::from_secs(5), || {
        scene.name_of_connection(ip("127.9.0.5")).is_none()
    });
    assert!(totals(&scene.sensor).flows_expired > 0);
}

/// An address may get another name; rows that began before keep theirs, and both texts stay.
#[tag(root)]
#[test]
fn two_names_of_one_address_name_the_rows_that_begin_after_each() {
    let mut scene = Scene::new("127.0.0.86", &[]);
    let mut sockets = Vec::new();
    for name in ["first.test", "second.test"] {
        let asked = question(4, &wire(name), A);
        let from = scene.ask(&asked);
        scene.say(&reply(&asked, 0, &[address(&ASKED, TTL_S, ip("127.9.0.6"))]), from);
        sockets.push(scene.client.socket(name, "udp4"));
        scene.client.act(&format!("connect {name} 127.9.0.6:9"));
    }
    assert_eq!(name_of(&scene.sensor, sockets[0]).as_deref(), Some("first.test"));
    assert_eq!(name_of(&scene.sensor, sockets[1]).as_deref(), Some("second.test"));
    let totals = totals(&scene.sensor);
    assert_eq!((totals.learned, totals.renamed, totals.names_inserted), (2, 1, 2));
}

/// Each forgery is wrong in one thing only; then comes the true answer, and nothing after it.
#[tag(root)]
#[test]
fn what_was_not_asked_is_not_learned() {
    let mut scene = Scene::new("127.0.0.87", &[]);
    let asked = question(0x1234, &wire("bank.test"), A);
    let evil = [address(&ASKED, TTL_S, ip("127.6.6.6"))];
    let from = scene.ask(&asked);
    for forged in [
        question(0x1235, &wire("bank.test"), A),
        question(0x1234, &wire("bank2.test"), A),
        question(0x1234, &wire("bank.test"), AAAA),
    ] {
        scene.say(&reply(&forged, 0, &evil), from);
    }
    assert_eq!(totals(&scene.sensor).unasked, 3);
    // Of another socket, and to a socket that is not connected, from another server.
    scene.client.socket("d", "udp4");
    let at = scene.socket.local_addr().expect("it is bound");
    let elsewhere = scene.client.address(&format!("connect d {at}"));
    scene.socket.send_to(&reply(&asked, 0, &evil), elsewhere).expect("it listens");
    scene.client.act("hear d");
    assert_eq!(totals(&scene.sensor).unasked, 4);
    let other = UdpSocket::bind(("127.0.0.88", at.port())).expect("the port is free there");
    scene.client.socket("c", "udp4");
    let open = scene.client.address("bind c 127.0.0.1:0");
    scene.client.act("connect d 127.9.9.9:9");
    other.send_to(&reply(&asked, 0, &evil), open).expect("it listens");
    scene.client.act("hear c");
    assert_eq!(totals(&scene.sensor).unasked, 5);
    assert!(names(&scene.sensor).is_empty());
    // Not even where somebody asked, when what comes is no answer.
    scene.client.act(&format!("connect c {at}"));
    let from = scene.ask(&asked);
    let mut cut = reply(&asked, 0, &evil);
    cut.truncate(cut.len() - 1);
    scene.say(&cut, from);
    assert_eq!(totals(&scene.sensor).answer_malformed, 1);
    let good = [address(&ASKED, TTL_S, ip("127.9.0.7"))];
    scene.say(&reply(&asked, 0, &good), from);
    scene.say(&reply(&asked, 0, &evil), from);
    assert_eq!(totals(&scene.sensor).repeated, 1);
    assert_eq!(names(&scene.sensor).keys().collect::<Vec<_>>(), [&mapped(ip("127.9.0.7"))]);
}

/// With a list, only those in it are believed, whoever was asked.
#[tag(root)]
#[test]
fn only_a_listed_resolver_is_believed() {
    for (listed, is_learned) in [("127.0.0.89", true), ("127.0.0.90", false)] {
        let mut scene = Scene::new("127.0.0.89", &[ip("::1"), ip(listed)]);
        let asked = question(9, &wire("listed.test"), A);
        let from = scene.ask(&asked);
        scene.say(&reply(&asked, 0, &[address(&ASKED, TTL_S, ip("127.9.0.8"))]), from);
        let totals = totals(&scene.sensor);
        assert_eq!((totals.learned, totals.unlisted), (is_learned.into(), (!is_learned).into()));
        assert_eq!(names(&scene.sensor).len() as u64, totals.learned);
    }
}

/// Half a minute is too long. The sensor's clock is the kernel's, so the question is made older.
#[tag(root)]
#[test]
fn a_late_answer_is_not_believed_until_it_is_asked_for_again() {
    const NS_PER_S: u64 = 1_000_000_000;
    let mut scene = Scene::new("127.0.0.91", &[]);
    let asked = question(10, &wire("late.test"), A);
    let answer = reply(&asked, 0, &[address(&ASKED, TTL_S, ip("127.9.0.9"))]);
    let from = scene.ask(&asked);
    let open = map(&scene.sensor, "ibsr_dns_asked");
    let key = open.keys().next().expect("one question");
    let mut value = open.lookup(&key, MapFlags::ANY).expect("readable").expect("it is there");
    let asked_boot_ns = u64::from_ne_bytes(value[..8].try_into().expect("8 bytes"));
    value[..8].copy_from_slice(&(asked_boot_ns - 30 * NS_PER_S).to_ne_bytes());
    open.update(&key, &value, MapFlags::ANY).expect("root may");
    scene.say(&answer, from);
    assert_eq!((totals(&scene.sensor).late, names(&scene.sensor).len()), (1, 0));
    scene.ask(&asked);
    scene.say(&answer, from);
    assert_eq!((totals(&scene.sensor).answered, names(&scene.sensor).len()), (1, 1));
}

/// Two messages that the kernel carries as one are counted, not read.
#[tag(root)]
#[test]
fn joined_datagrams_are_counted_and_teach_nothing() {
    let mut scene = Scene::new("127.0.0.92", &[]);
    let asked = question(11, &wire("join.test"), A);
    let from = scene.ask(&asked);
    scene.client.act(&format!("split c {}", asked.len()));
    let twice = [asked.clone(), asked.clone()].concat();
    scene.client.act(&format!("say c {}", hex(&twice)));
    assert_eq!(totals(&scene.sensor).question_joined, 1);
    let answer = reply(&asked, 0, &[address(&ASKED, TTL_S, ip("127.9.0.10"))]);
    scene.client.act("join c");
    let segment = i32::try_from(answer.len()).expect("it is short");
    // SAFETY: the descriptor is open, and the value lives through the call and is as long as
    // stated.
    let code = unsafe {
        libc::setsockopt(
            scene.socket.as_raw_fd(),
            libc::SOL_UDP,
            libc::UDP_SEGMENT,
            (&raw const segment).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    assert_eq!(code, 0);
    scene.say(&[answer.clone(), answer].concat(), from);
    assert_eq!(totals(&scene.sensor).answer_joined, 1);
    assert!(names(&scene.sensor).is_empty());
}

/// A dot inside of a label is not the end of it.
#[tag(root)]
#[test]
fn a_dot_inside_of_a_label_stays_told_apart() {
    let mut scene = Scene::new("127.0.0.93", &[]);
    for (name, to) in
        [(&b"\x03a.b\x04test\x00"[..], "127.9.1.1"), (b"\x01a\x01b\x04test\x00", "127.9.1.2")]
    {
        let asked = question(12, name, A);
        let from = scene.ask(&asked);
        scene.say(&reply(&asked, 0, &[address(&ASKED, TTL_S, ip(to))]), from);
    }
    assert_eq!(scene.name_of_connection(ip("127.9.1.1")).as_deref(), Some(r"a\.b.test"));
    assert_eq!(scene.name_of_connection(ip("127.9.1.2")).as_deref(), Some("a.b.test"));
}
