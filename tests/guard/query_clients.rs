// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clients that others wrote take the answers: the C library, dnsmasq, systemd-resolved.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::netns::{PEER_V4, PEER_V6};
use ibsr_tests::process::{Running, program, say, wait_until};
use tempfile::TempDir;
use test_tag::tag;

use crate::resolver::{Dug, LOCAL_V4, REAL_V4, REAL_V6, World};

/// A resolver that does not answer costs the C library five seconds.
const AT_ONCE: Duration = Duration::from_millis(1_000);

/// An `/etc` whose resolver is `server`.
fn etc(server: &str) -> TempDir {
    let etc = TempDir::new().expect("a temporary directory");
    let text = format!("nameserver {server}\n");
    fs::write(etc.path().join("resolv.conf"), text).expect("writable");
    fs::write(etc.path().join("nsswitch.conf"), "hosts: dns\n").expect("writable");
    etc
}

/// getaddrinfo(3): both types from one socket, the second while the first is under way.
#[tag(root)]
#[test]
fn the_c_library_takes_the_answers_at_once() {
    let world = World::new(true);
    for server in [PEER_V4, PEER_V6, LOCAL_V4] {
        let etc = etc(server);
        let mut client = Actor::start_with_etc(&world.cgroup, &world.pair.host, etc.path());
        for (host, found) in [
            ("denied.test", &[][..]),
            ("www.Four.test", &["192.0.2.66"]),
            ("six.test", &["2001:db8::66"]),
            ("good.denied.test", &[REAL_V4, REAL_V6]),
        ] {
            let begun = Instant::now();
            let said = client.ask(&format!("resolve {host}"));
            assert!(begun.elapsed() < AT_ONCE, "{server} {host} took {:?}", begun.elapsed());
            let mut addresses: Vec<&str> = said.iter().flat_map(|text| text.split(',')).collect();
            addresses.sort_unstable();
            addresses.dedup();
            assert_eq!(addresses, found, "{server} {host}: {said:?}");
        }
    }
    assert_eq!(world.reached(), ["good.denied.test"; 6]);
    assert_eq!(world.guard.counts(Hook::Query).denied, 3 * 6);
}

/// Asks a resolver of this machine, from outside the guard.
#[track_caller]
fn asked_at(world: &World, server: &str, what: &str) -> Dug {
    let mut dig = world.pair.host.command("dig");
    let said = say(dig.args(["+tries=1", "+time=3"]).args(server.split(' ')).args(what.split(' ')));
    Dug::read(&said.stdout)
}

/// What a resolver in the cgroup says, whose own resolver is behind the guard.
#[track_caller]
fn passes_answers_on(world: &World, server: &str) {
    wait_until("the resolver answers", Duration::from_secs(20), || {
        asked_at(world, server, "first.test").answers.len() == 1
    });
    for _ in 0..2 {
        assert_eq!(asked_at(world, server, "WwW.denied.test A").status, "NXDOMAIN");
        assert_eq!(asked_at(world, server, "denied.test AAAA").status, "NXDOMAIN");
        let dug = asked_at(world, server, "www.four.test A");
        assert!(dug.answers[0].ends_with("IN A 192.0.2.66"), "{}", dug.text);
        let dug = asked_at(world, server, "six.test AAAA");
        assert!(dug.answers[0].ends_with("IN AAAA 2001:db8::66"), "{}", dug.text);
        let dug = asked_at(world, server, "six.test A");
        assert_eq!((dug.status.as_str(), dug.answers.len()), ("NOERROR", 0), "{}", dug.text);
        let dug = asked_at(world, server, "good.denied.test A");
        assert!(dug.answers[0].ends_with(&format!("IN A {REAL_V4}")), "{}", dug.text);
    }
    assert!(world.reached().iter().all(|name| {
        name == "first.test" || name == "good.denied.test" || name == "." || name.is_empty()
    }));
    assert!(world.guard.counts(Hook::Query).denied >= 4);
}

fn start(command: &mut Command) -> Running {
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

#[tag(root)]
#[test]
fn dnsmasq_takes_the_answers() {
    for server in [PEER_V4, PEER_V6] {
        let world = World::new(true);
        let upstream = format!("--server={server}");
        let words = [
            "dnsmasq",
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            "--user=root",
            "--pid-file=",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--port=5353",
            &upstream,
        ];
        let _dnsmasq = start(&mut world.command(&words));
        passes_answers_on(&world, "@127.0.0.1 -p 5353");
    }
}

/// The one of this machine, or the one that `make deps-test` unpacks.
fn resolved() -> PathBuf {
    let own = program("ibsr-actor").with_file_name("../tools/systemd-resolved");
    let mut places = [Path::new("/lib/systemd/systemd-resolved").to_owned(), own].into_iter();
    places.find(|path| path.is_file()).expect("`make deps-test` unpacks systemd-resolved")
}

/// Its usual stub is at 127.0.0.53, where the world has a resolver: here it is elsewhere.
#[tag(root)]
#[test]
fn systemd_resolved_takes_the_answers() {
    let resolved = resolved();
    for server in [PEER_V4, PEER_V6] {
        let world = World::new(true);
        let dir = TempDir::new().expect("a temporary directory");
        let conf = format!(
            "[Resolve]\nDNS={server}\nFallbackDNS=\nDNSSEC=no\nLLMNR=no\nMulticastDNS=no\nCache=no\nDNSStubListener=no\nDNSStubListenerExtra=127.0.0.9:5300\n"
        );
        fs::write(dir.path().join("resolved.conf"), conf).expect("writable");
        // Folders of its own, as systemd would make them, and the user that it wants to be.
        let script = r#"mount -t tmpfs -o mode=755 none /run && cd /run &&
            mkdir -p systemd/resolve && chown 61999:61999 systemd/resolve && chmod 755 "$0" &&
            echo systemd-resolve:x:61999:61999::/:/bin/false > passwd &&
            mount --bind passwd /etc/passwd && mount --bind "$0" /etc/systemd && exec "$@""#;
        let path = dir.path().to_str().expect("text");
        let words = ["unshare", "--mount", "sh", "-c", script, path];
        let resolved = resolved.to_str().expect("text");
        let _resolved = start(&mut world.command(&[&words[..], &[resolved]].concat()));
        passes_answers_on(&world, "@127.0.0.9 -p 5300");
    }
}
