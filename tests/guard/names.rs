// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules about names where a connection has only an address: what is learned from whom, what it
//! opens and denies, and for how long.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};

use ibsr_proto::guard_abi::Learned;
use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::dns::{
    A, AAAA, ASKED, CNAME, Responder, address, asked, hex, mapped, question, record, reply, wire,
};
use ibsr_tests::netns::{PEER_IF, PEER_V4, PEER_V6};
use libbpf_rs::{MapCore as _, MapFlags};
use tempfile::TempDir;
use test_tag::tag;
use zerocopy::IntoBytes as _;

use crate::scene::{CLOSED, PATIENCE, Scene, ip};

const EPERM: i32 = libc::EPERM;
/// Longer than any test.
const TTL_S: u32 = 300;
const NS_PER_S: u64 = 1_000_000_000;
/// `N.race.test` is the Nth address of the farm.
fn farm(question: &[u8]) -> Vec<u8> {
    let (name, kind, _) = asked(question);
    let number = name.split('.').next().and_then(|text| text.parse::<u16>().ok());
    match (kind, number.map(u16::to_be_bytes)) {
        (A, Some([high, low])) => {
            reply(question, 0, &[address(&ASKED, 0, Ipv4Addr::new(10, 99, high, low).into())])
        }
        _ => reply(question, 0, &[]),
    }
}

/// The C library's own resolver, and a connection at once, with a time to live of nothing: each
/// address has its name before the process knows the address.
#[tag(root)]
#[test]
fn of_five_thousand_names_none_is_denied_when_its_address_is_connected_to() {
    const COUNT: usize = 5_000;
    const WEB: u16 = 8_080;
    let etc = TempDir::new().expect("a temporary directory");
    let conf = format!("nameserver {PEER_V4}\noptions timeout:2 attempts:2\n");
    fs::write(etc.path().join("resolv.conf"), conf).expect("writable");
    fs::write(etc.path().join("nsswitch.conf"), "hosts: dns\n").expect("writable");
    let mut scene = Scene::with_client(
        &format!("{CLOSED}  - {{action: allow, domain: race.test}}\n"),
        |cgroup, namespace| Actor::start_with_etc(cgroup, namespace, etc.path()),
    );
    let _responder = Responder::start(scene.resolver(PEER_V4), farm);
    let listener = scene
        .pair
        .peer
        .inside(|| TcpListener::bind((Ipv4Addr::UNSPECIFIED, WEB)).expect("it is free"));
    let web = std::thread::spawn(move || {
        listener.incoming().take(COUNT).for_each(drop);
    });
    let cookies = scene.client.act(&format!("race race.test {WEB} {COUNT}"));
    web.join().expect("all were taken");
    assert_eq!(cookies.split(',').count(), COUNT);
    assert_eq!(scene.guard.counts(Hook::Connect).denied, 0);
    assert_eq!(scene.silent_denials(), 0);
    let totals = scene.totals();
    assert_eq!((totals.learned, totals.names_inserted), (COUNT as u64, COUNT as u64));
    assert_eq!((totals.unasked, totals.unlisted, totals.answer_malformed), (0, 0, 0));
    // The farm itself is closed, and so is what lies beside it.
    assert_eq!(scene.tried(ip("10.99.255.1")), Err(EPERM));
}

/// Over both versions of IP, in any case, and for names below the one of the rule.
#[tag(root)]
#[test]
fn a_name_opens_its_address_and_no_other() {
    let mut scene = Scene::closed("  - {action: allow, domain: [example.test, 'self.test']}\n");
    for (server, name, to) in [
        (PEER_V4, "example.test", ip("10.99.0.1")),
        (PEER_V6, "wWw.Example.TEST", ip("10.99.0.2")),
        (PEER_V4, "self.test", ip("fd77::2")),
    ] {
        let resolver = scene.resolver(server);
        assert_eq!(scene.tried(to), Err(EPERM), "{name} was not asked for yet");
        scene.connect(&resolver);
        scene.find(&resolver, name, TTL_S, to);
        assert_eq!(scene.tried(to), Ok(()), "{name}");
    }
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    for (name, to) in [("notexample.test", "10.99.0.4"), ("test", "10.99.0.5")] {
        scene.find(&resolver, name, TTL_S, ip(to));
        assert_eq!(scene.tried(ip(to)), Err(EPERM), "{name}");
    }
    // A dot inside a label makes no suffix.
    let asked = question(9, b"\x09x.example\x04test\x00", A);
    let from = scene.ask(&resolver, &asked);
    scene.say(&resolver, &reply(&asked, 0, &[address(&ASKED, TTL_S, ip("10.99.0.6"))]), from);
    assert_eq!(scene.totals().learned, 6);
    assert_eq!(scene.tried(ip("10.99.0.6")), Err(EPERM));
}

/// However long it is: the reversed name is checked byte by byte.
#[tag(root)]
#[test]
fn a_name_is_kept_as_policies_have_it() {
    let mut scene = Scene::closed("");
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    let longest = [["a"; 63].concat(), ["b"; 63].concat(), ["c"; 63].concat(), ["d"; 61].concat()];
    let most_labels = ["e"; 127].join(".");
    let names = ["x", "ab", "seven77", "eight888", "nine.nine9", &longest.join("."), &most_labels];
    for (number, name) in (0_u8..).zip(names) {
        let to = IpAddr::from([10, 99, 1, number]);
        scene.find(&resolver, name, TTL_S, to);
        let known = scene.known(to).expect("it was learned").name;
        assert_eq!(known, ibsr_proto::guard_abi::NameKey::new(name).expect("a name"), "{name}");
    }
}

/// By its time to live, which has a floor and a ceiling; the later end counts.
#[tag(root)]
#[test]
fn an_expired_name_opens_nothing() {
    let mut scene = Scene::closed("  - {action: allow, domain: example.test}\n");
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    let to = ip("10.99.0.1");
    for (ttl_s, lives_s) in [(0, 30), (3_600, 3_600), (60, 3_600), (1_000_000, 86_400)] {
        let before = crate::loaded::boot_ns();
        scene.find(&resolver, "example.test", ttl_s, to);
        let lives_ns = scene.known(to).expect("it was learned").expiry_boot_ns - before;
        assert!(lives_ns.abs_diff(lives_s * NS_PER_S) < 20 * NS_PER_S, "{ttl_s} s: {lives_ns} ns");
    }
    assert_eq!(scene.tried(to), Ok(()));
    scene.expire(to);
    assert_eq!(scene.tried(to), Err(EPERM));
    scene.find(&resolver, "example.test", TTL_S, to);
    assert_eq!(scene.tried(to), Ok(()));
}

/// Neither the end of the time nor a new policy takes the name away, nor a second name of the
/// address: only the next connection is judged by what is known then.
#[tag(root)]
#[test]
fn a_connection_keeps_the_name_that_it_was_made_under() {
    let rule = "  - {action: allow, domain: example.test}\n";
    let mut scene = Scene::closed(rule);
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    let to = ip("10.99.0.1");
    scene.find(&resolver, "example.test", TTL_S, to);
    let sink = scene.pair.peer.inside(|| UdpSocket::bind("0.0.0.0:9").expect("it is free"));
    scene.client.socket("u", "udp4");
    scene.client.act(&format!("connect u {to}:9"));
    scene.find(&resolver, "other.test", TTL_S, to);
    scene.client.act("send u 10");
    scene.expire(to);
    scene.client.act("send u 10");
    scene.guard.apply(&format!("{CLOSED}{rule}"));
    scene.client.act("send u 10");
    for _ in 0..3 {
        assert_eq!(sink.recv(&mut [0; 64]).expect("it was sent"), 10);
    }
    assert_eq!(scene.tried(to), Err(EPERM), "the next one has no name");
    // The policy itself can take it back.
    scene.guard.apply(CLOSED);
    assert_eq!(scene.client.ask("send u 10"), Err(EPERM));
    // Whoever asks again for the peer is judged again.
    scene.guard.apply(&format!("{CLOSED}{rule}"));
    assert_eq!(scene.client.ask(&format!("connect u {to}:9")), Err(EPERM));
}

/// A socket whose process asked for another peer in vain still has the one before, and its name,
/// whether it was the guard that refused or the kernel.
#[tag(root)]
#[test]
fn a_peer_that_was_refused_leaves_the_one_before_as_it_was() {
    let mut scene = Scene::closed("  - {action: allow, domain: example.test}\n");
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    let (to, unreachable) = (ip("10.99.0.1"), ip("240.0.0.1"));
    scene.find(&resolver, "example.test", TTL_S, to);
    let sink = scene.pair.peer.inside(|| UdpSocket::bind("0.0.0.0:9").expect("it is free"));
    sink.set_read_timeout(Some(PATIENCE)).expect("it is not zero");
    let arrives = |scene: &mut Scene| {
        scene.client.act("send u 10");
        assert_eq!(sink.recv(&mut [0; 64]).expect("it was sent"), 10);
    };
    let other = "connect u 10.99.0.2:9";
    scene.client.socket("u", "udp4");
    scene.client.act(&format!("connect u {to}:9"));
    scene.find(&resolver, "example.test", TTL_S, unreachable);
    let in_vain = |scene: &mut Scene| {
        let refused = scene.client.ask(&format!("connect u {unreachable}:9"));
        assert!(matches!(refused, Err(libc::ENETUNREACH | libc::EINVAL)), "{refused:?}");
    };
    in_vain(&mut scene);
    // Once: a second datagram would go where the kernel could not connect to (Linux 6.18 leaves
    // that address in the socket's flow, and uses it as soon as a route is cached).
    arrives(&mut scene);
    scene.client.act(&format!("connect u {to}:9"));
    assert_eq!(scene.client.ask(other), Err(EPERM));
    arrives(&mut scene);
    scene.expire(to);
    assert_eq!(scene.client.ask(other), Err(EPERM));
    arrives(&mut scene);
    // What it asked for last in vain is not its peer, so that name opens nothing.
    in_vain(&mut scene);
    assert_eq!(scene.client.ask("send u 10"), Err(EPERM));
}

/// Also where the answer itself says that there is no such name for this guard: it came by
/// another way.
#[tag(root)]
#[test]
fn a_denied_name_denies_its_address() {
    let mut scene = Scene::new(
        "resolvers: [10.77.0.2]
rules:
  - {action: deny, domain: deny.test}
  - {action: nxdomain, domain: no.test}
  - {action: {sinkhole: 192.0.2.1}, domain: sink.test}
  - {action: {reject: ECONNREFUSED}, domain: reject.test}
  - {action: allow, domain: but.deny.test}
",
    );
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    for (number, (name, expected)) in (1_u8..).zip([
        ("www.deny.test", Err(EPERM)),
        ("no.test", Err(EPERM)),
        ("a.sink.test", Err(EPERM)),
        ("reject.test", Err(libc::ECONNREFUSED)),
        ("but.deny.test", Ok(())),
        ("other.test", Ok(())),
    ]) {
        let to = IpAddr::from([10, 99, 0, number]);
        assert_eq!(scene.tried(to), Ok(()), "{name} was not asked for yet");
        learn_directly(&mut scene, &resolver, name, to);
        assert_eq!(scene.tried(to), expected, "{name}");
    }
}

/// Asks for another name, and has the guard remember it as this one: what a query for a denied
/// name meets is not what this is about.
fn learn_directly(scene: &mut Scene, resolver: &UdpSocket, name: &str, to: IpAddr) {
    scene.find(resolver, "stands.for.it.example", TTL_S, to);
    let known = scene.known(to).expect("it was learned");
    let name = ibsr_proto::guard_abi::NameKey::new(name).expect("a name");
    let named = Learned { name, ..known };
    scene.learned().update(&mapped(to), named.as_bytes(), MapFlags::ANY).expect("root may");
}

/// The name is the one that was asked for, and lives as long as the shortest record on the way.
#[tag(root)]
#[test]
fn an_alias_gives_its_own_name_to_the_address_behind_it() {
    let mut scene = Scene::closed("  - {action: allow, domain: alias.test}\n");
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    let asked = question(2, &wire("alias.test"), A);
    let before = crate::loaded::boot_ns();
    let from = scene.ask(&resolver, &asked);
    let records = [
        record(&ASKED, CNAME, 500, &wire("one.cdn.test")),
        record(&wire("stray.test"), A, 1, &[10, 99, 0, 9]),
        record(&wire("ONE.cdn.test"), CNAME, 400, &wire("two.cdn.test")),
        address(&wire("two.cdn.test"), 1_000, ip("10.99.0.3")),
        address(&wire("one.cdn.test"), 1_000, ip("10.99.0.4")),
    ];
    scene.say(&resolver, &reply(&asked, 0, &records), from);
    assert_eq!(scene.tried(ip("10.99.0.3")), Ok(()));
    assert_eq!(scene.tried(ip("10.99.0.4")), Err(EPERM), "not what the alias leads to");
    assert_eq!(scene.tried(ip("10.99.0.9")), Err(EPERM), "not what was asked for");
    let lives_ns = scene.known(ip("10.99.0.3")).expect("learned").expiry_boot_ns - before;
    assert!(lives_ns.abs_diff(400 * NS_PER_S) < 20 * NS_PER_S, "{lives_ns}");
    // Asked for by its own name, the same address has no rule any more.
    scene.find(&resolver, "two.cdn.test", TTL_S, ip("10.99.0.3"));
    assert_eq!(scene.tried(ip("10.99.0.3")), Err(EPERM));
    assert_eq!(scene.totals().renamed, 1);
}

/// Each forgery is wrong in one thing only; then comes the true answer, and nothing after it.
#[tag(root)]
#[test]
fn a_forged_answer_is_not_learned() {
    let mut scene = Scene::closed("  - {action: allow, domain: bank.test}\n");
    scene.pair.peer.ip(&format!("addr add 10.77.0.3/24 dev {PEER_IF}"));
    let (resolver, other) = (scene.resolver(PEER_V4), scene.resolver("10.77.0.3"));
    let (evil, good) = (ip("10.99.6.6"), ip("10.99.0.7"));
    let asked = question(0x1234, &wire("bank.test"), A);
    let forged = reply(&asked, 0, &[address(&ASKED, TTL_S, evil)]);
    // Nobody asked; then somebody, but not this.
    scene.connect(&resolver);
    let from = scene.client.address("local c");
    scene.say(&resolver, &forged, from);
    assert_eq!(scene.ask(&resolver, &asked), from);
    for wrong in [
        question(0x1235, &wire("bank.test"), A),
        question(0x1234, &wire("sub.bank.test"), A),
        question(0x1234, &wire("bank.test"), AAAA),
    ] {
        scene.say(&resolver, &reply(&wrong, 0, &[address(&ASKED, TTL_S, evil)]), from);
    }
    assert_eq!(scene.totals().unasked, 4);
    // Another socket, which did not ask.
    scene.client.act("rename c asks");
    scene.connect(&resolver);
    let elsewhere = scene.client.address("local c");
    scene.say(&resolver, &forged, elsewhere);
    assert_eq!(scene.totals().unasked, 5);
    // A question, cut off, and with an error: none of them an answer with an address.
    scene.client.act("rename c idle");
    scene.client.act("rename asks c");
    scene.say(&resolver, &asked, from);
    scene.say(&resolver, &forged[..forged.len() - 1], from);
    let totals = scene.totals();
    assert_eq!((totals.answer_other, totals.answer_malformed, totals.learned), (1, 1, 0));
    scene.say(&resolver, &reply(&asked, 0, &[address(&ASKED, TTL_S, good)]), from);
    scene.say(&resolver, &forged, from);
    let totals = scene.totals();
    assert_eq!((totals.repeated, totals.learned), (1, 1));
    assert_eq!((scene.tried(evil), scene.tried(good)), (Err(EPERM), Ok(())));
    // Somebody else answers a socket that hears everybody. Default deny would not let it, and
    // the guard would answer itself.
    scene.guard.leave_interfaces(&scene.pair.host);
    scene.guard.apply("resolvers: [10.77.0.2]\nrules: [{action: deny, domain: bank.test}]\n");
    scene.client.socket("open", "udp4");
    scene.client.act(&format!("sayto open {PEER_V4}:53 {}", hex(&asked)));
    let open = resolver.recv_from(&mut [0; 1_024]).expect("it was sent").1;
    other.send_to(&forged, open).expect("it listens");
    scene.client.act("hear open");
    assert_eq!(scene.totals().unlisted, 1);
    assert_eq!(scene.tried(evil), Ok(()));
    resolver.send_to(&forged, open).expect("it listens");
    scene.client.act("hear open");
    assert_eq!(scene.tried(evil), Err(EPERM), "the listed one is believed");
}

/// Whoever is listed when the answer comes.
#[tag(root)]
#[test]
fn a_resolver_that_is_not_listed_teaches_nothing() {
    let listed = CLOSED.replace("[10.77.0.2, 'fd77::2']\nrules", "[192.0.2.53]\nrules");
    assert_ne!(listed, CLOSED);
    let mut scene = Scene::new(&format!("{listed}  - {{action: allow, domain: example.test}}\n"));
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    scene.find(&resolver, "example.test", TTL_S, ip("10.99.0.1"));
    let totals = scene.totals();
    assert_eq!((totals.learned, totals.unlisted, totals.asked), (0, 1, 0));
    assert_eq!(scene.tried(ip("10.99.0.1")), Err(EPERM));
}

/// Whoever connects to this machine was not found by a name, so that a name opens only the way
/// out.
#[tag(root)]
#[test]
fn what_comes_in_has_no_name() {
    let mut scene = Scene::new(
        "default: {in: deny}\nresolvers: [10.77.0.2]\nrules:\n  - {action: allow, domain: peer.test}\n  - {action: allow, cidr: 10.77.0.2, ports: 7}\n",
    );
    let resolver = scene.resolver(PEER_V4);
    scene.connect(&resolver);
    scene.find(&resolver, "peer.test", TTL_S, ip(PEER_V4));
    for port in [7, 8] {
        scene.client.socket("s", "udp4");
        let at = scene.client.address(&format!("bind s 10.77.0.1:{port}"));
        let sender = scene.pair.peer.inside(|| UdpSocket::bind((PEER_V4, 0)).expect("free"));
        sender.send_to(b"x", at).expect("sent");
        ibsr_tests::process::wait_until("it came", std::time::Duration::from_secs(5), || {
            let counts = scene.guard.counts(Hook::Ingress);
            // The answer to the question is the first that came.
            counts.judged() >= 2 + u64::from(port == 8)
        });
        assert_eq!(scene.guard.counts(Hook::Ingress).denied, u64::from(port == 8));
        scene.client.act("close s");
    }
}
