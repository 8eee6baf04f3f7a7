// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queries that are judged where they leave: what is answered in the kernel, how, and what is
//! left alone.

use std::process::{Command, Stdio};
use std::time::Duration;

use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::dns::{A, question, wire};
use ibsr_tests::netns::{HOST_IF, Namespace, PEER_V4, PEER_V6, run};
use ibsr_tests::process::{Running, say};
use test_tag::tag;

use crate::resolver::{LOCAL_V4, POLICY, REAL_V4, REAL_V6, World};

/// The three ways to a resolver.
const SERVERS: [&str; 3] = [PEER_V4, PEER_V6, LOCAL_V4];

/// Over IPv4, IPv6 and loopback, with EDNS and without, in any case of letters.
#[tag(root)]
#[test]
fn a_denied_name_does_not_exist_and_its_query_goes_nowhere() {
    let world = World::new(true);
    let mut denied = 0;
    for server in SERVERS {
        for edns in ["+edns", "+noedns", "+dnssec", "+cd"] {
            for name in ["denied.test", "a.b.WwW.dEnIeD.TeSt", "plain.test"] {
                let dug = world.dig(&format!("@{server} {edns} {name} AAAA"));
                denied += 1;
                assert_eq!(dug.status, "NXDOMAIN", "{server} {edns} {name}: {}", dug.text);
                assert_eq!(dug.flags, if edns == "+cd" { "qr rd ra cd" } else { "qr rd ra" });
                assert_eq!(dug.question, format!("{name}. IN AAAA"), "in the case it was asked");
                assert_eq!(dug.answers, [""; 0]);
                assert_eq!(dug.text.contains("EDNS: version: 0"), edns != "+noedns");
                assert_eq!(dug.text.contains("flags: do;"), edns == "+dnssec", "{}", dug.text);
            }
        }
    }
    assert_eq!(world.reached(), [""; 0]);
    let counts = world.guard.counts(Hook::Query);
    assert_eq!((counts.judged(), counts.denied, counts.recorded), (denied, denied, denied));
}

/// What the policy allows is neither answered nor changed, and neither is an allow inside a
/// denied zone. What looks like a denied name is another one.
#[tag(root)]
#[test]
fn other_names_pass_as_they_are() {
    let world = World::new(true);
    let names = ["good.denied.test", "x.good.denied.test", "notdenied.test", "denied.test.other"];
    for server in SERVERS {
        for name in names {
            let dug = world.dig(&format!("@{server} {name} A"));
            assert_eq!(dug.answers, [format!("{name}. 60 IN A {REAL_V4}")], "{server}");
        }
    }
    // A dot inside a label is not one between labels.
    let dug = world.dig(&format!("@{PEER_V4} x\\.denied.test A"));
    assert_eq!(dug.status, "NOERROR", "{}", dug.text);
    assert_eq!(world.reached().len(), 3 * names.len() + 1);
    let counts = world.guard.counts(Hook::Query);
    assert_eq!((counts.judged(), counts.allowed), (13, 13));
}

/// The address for the type that fits, with the rule's TTL; nothing for every other type.
#[tag(root)]
#[test]
fn a_sinkhole_is_the_answer_of_its_own_family() {
    let world = World::new(true);
    for server in SERVERS {
        for edns in ["+edns", "+noedns"] {
            let dig = |what: &str| world.dig(&format!("@{server} {edns} {what}"));
            let dug = dig("www.four.test A");
            assert_eq!((dug.status.as_str(), dug.flags.as_str()), ("NOERROR", "qr rd ra"));
            assert_eq!(dug.answers, ["www.four.test. 77 IN A 192.0.2.66"], "{}", dug.text);
            let dug = dig("www.six.test AAAA");
            assert_eq!(dug.answers.len(), 1, "{}", dug.text);
            assert!(dug.answers[0].ends_with(" IN AAAA 2001:db8::66"), "{}", dug.text);
            for what in ["four.test AAAA", "four.test TXT", "six.test A", "four.test CH A"] {
                let dug = dig(what);
                assert_eq!(dug.status, "NOERROR", "{what}: {}", dug.text);
                assert_eq!(dug.answers, [""; 0], "{what}");
            }
        }
    }
    assert_eq!(world.reached(), [""; 0]);
}

/// A rehearsal counts the same and changes nothing.
#[tag(root)]
#[test]
fn a_rehearsal_passes_every_query_and_counts_the_denials() {
    let world = World::new(false);
    for server in SERVERS {
        for (name, kind, real) in [
            ("denied.test", "A", REAL_V4),
            ("four.test", "A", REAL_V4),
            ("six.test", "AAAA", REAL_V6),
        ] {
            let dug = world.dig(&format!("@{server} {name} {kind}"));
            assert_eq!(dug.answers, [format!("{name}. 60 IN {kind} {real}")], "{server}");
        }
        assert_eq!(world.dig(&format!("@{server} good.denied.test A")).answers.len(), 1);
    }
    let counts = world.guard.counts(Hook::Query);
    assert_eq!((counts.judged(), counts.would_deny, counts.allowed), (12, 9, 3));
    assert_eq!((counts.denied, counts.recorded), (0, 9));
}

/// Whoever is not under the guard asks what he likes.
#[tag(root)]
#[test]
fn queries_of_others_are_neither_answered_nor_counted() {
    let world = World::new(true);
    for server in SERVERS {
        let mut dig = world.pair.host.command("dig");
        let said = say(dig.args(["+short", "+tries=1", &format!("@{server}"), "denied.test"]));
        assert_eq!(said.stdout.trim(), REAL_V4);
    }
    assert_eq!(world.guard.counts(Hook::Query).judged(), 0);
}

/// G5: loopback and the protected list are denied nothing for where they are; loopback is for
/// the name that is asked.
#[tag(root)]
#[test]
fn a_resolver_on_loopback_or_the_protected_list_is_not_denied_itself() {
    let world = World::new(true);
    world.guard.apply(
        "default: {out: deny}\nprotected: [10.77.0.2]\nrules:\n  - {action: nxdomain, domain: denied.test}\n",
    );
    assert_eq!(world.dig(&format!("@{LOCAL_V4} other.test")).answers.len(), 1);
    assert_eq!(world.dig(&format!("@{LOCAL_V4} denied.test")).status, "NXDOMAIN");
    assert_eq!(world.dig(&format!("@{PEER_V4} denied.test")).answers.len(), 1);
    let counts = world.guard.counts(Hook::Query);
    assert_eq!((counts.exempt, counts.denied), (2, 1));
}

/// Doubt passes and is counted: what is sent to port 53 and is no query with one question.
#[tag(root)]
#[test]
fn what_cannot_be_read_passes_and_is_counted() {
    let world = World::new(true);
    // What is strict denies some of them before they get here.
    world.guard.apply(&format!("strict: false\n{POLICY}"));
    let mut actor = Actor::start_in(&world.cgroup, &world.pair.host);
    let name = wire("denied.test");
    let whole = question(7, &name, A);
    let mut answer = whole.clone();
    answer[2] |= 0x80;
    let mut update = whole.clone();
    update[2] |= 5 << 3;
    let mut two = whole.clone();
    two[5] = 2;
    let pointer = question(7, &[0xc0, 12], A);
    let cut = whole[..whole.len() - 3].to_vec();
    let odd = [answer, update, two, pointer, cut, whole[..11].to_vec()];
    // Nobody is there, so nothing comes back to the sends that follow.
    actor.socket("u", "udp4");
    actor.act("connect u 10.77.0.3:53");
    world.pair.host.ip(&format!("neigh replace 10.77.0.3 lladdr 02:00:00:00:77:02 dev {HOST_IF}"));
    for message in &odd {
        let hex = ibsr_tests::dns::hex(message);
        actor.act(&format!("say u {hex}"));
    }
    let counts = world.guard.counts(Hook::Query);
    assert_eq!((counts.judged(), counts.unjudged), (6, 6));
    actor.act(&format!("say u {}", ibsr_tests::dns::hex(&whole)));
    actor.act("hear u");
    assert_eq!(world.guard.counts(Hook::Query).denied, 1);
}

/// What a capture says of the checksums of the answers that arrive.
fn captured(space: &Namespace, interface: &str, ask: impl FnOnce()) -> String {
    let mut command: Command = space.command("tcpdump");
    let words = ["-i", interface, "-nn", "-vvv", "-U", "-l", "udp", "src", "port", "53"];
    let mut tcpdump =
        Running::start(command.args(words).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut talk = tcpdump.child().stderr.take().expect("it is a pipe");
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains("listening on") {
        let mut byte = [0];
        std::io::Read::read_exact(&mut talk, &mut byte).expect("it begins");
        heard.push(byte[0]);
    }
    ask();
    // It looks at packets a moment later than they come.
    std::thread::sleep(Duration::from_millis(300));
    tcpdump.signal(rustix::process::Signal::INT);
    let mut said = String::new();
    let mut out = tcpdump.child().stdout.take().expect("it is a pipe");
    std::io::Read::read_to_string(&mut out, &mut said).expect("text");
    said
}

/// Also the one that the device was asked to fill in on the way out.
#[tag(root)]
#[test]
fn checksums_are_right_whether_or_not_the_device_computes_them() {
    let world = World::new(true);
    for offload in ["on", "off"] {
        for (interface, servers) in [(HOST_IF, &[PEER_V4, PEER_V6][..]), ("lo", &[LOCAL_V4])] {
            run(world.pair.host.command("ethtool").args(["-K", interface, "tx", offload]));
            let said = captured(&world.pair.host, interface, || {
                for server in servers {
                    for what in ["denied.test", "a.four.test", "ab.four.test", "+noedns six.test"] {
                        let dug = world.dig(&format!("@{server} {what}"));
                        assert!(!dug.status.is_empty(), "{offload} {server} {what}");
                    }
                }
            });
            assert!(!said.contains("bad"), "{offload}: {said}");
            let right = said.matches("udp sum ok").count();
            assert_eq!(right, servers.len() * 4, "{offload} {interface}: {said}");
        }
    }
    assert_eq!(world.reached(), [""; 0]);
}
