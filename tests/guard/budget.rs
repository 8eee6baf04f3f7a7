// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much an armed guard denies: to a canary only, and to peers at most its budget.

use std::collections::BTreeSet;

use ibsr_proto::guard_control::{Hook, MAX_LEASE_S};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{PEER_V4, Pair};
use test_tag::tag;

use crate::lab::Lab;
use crate::loaded::{Guard, boot_ns};

const EPERM: i32 = libc::EPERM;
const REFUSED: i32 = libc::ECONNREFUSED;
const POLICY: &str = "rules:\n  - {action: deny, ports: 1000}\n";

/// A connection from the actor to a server at the other end, which makes that one a peer.
fn meet(client: &mut Actor, server: &mut Actor) {
    server.socket("l", "tcp4");
    let at = server.address(&format!("bind l {PEER_V4}:0"));
    server.act("listen l");
    client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    server.act("accept l a");
    client.act("send c 10");
    server.act("receive a 10");
    ["a", "l"].iter().for_each(|name| drop(server.act(&format!("close {name}"))));
    client.act("close c");
}

/// What a connection to the denied port meets: the guard, or the other end's own refusal.
fn tried(client: &mut Actor, addr: &str) -> i32 {
    client.socket("c", "tcp4");
    let said = client.ask(&format!("connect c {addr}:1000")).expect_err("nobody listens there");
    client.act("close c");
    said
}

/// G4: after the last denial that the evidence allows, the program itself denies nothing more,
/// says so, and is not renewed; new evidence arms it again.
#[tag(root)]
#[test]
fn a_spent_budget_ends_enforcing_until_it_is_armed_again() {
    let lab = Lab::rehearsing(POLICY);
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &lab.pair.peer);
    let mut client = lab.actor();
    meet(&mut client, &mut server);
    let mut manifest = lab.manifest();
    manifest.limits.budget_denials = 3;
    lab.seal(&manifest);
    for round in 1..=2 {
        lab.arm(&[]).expect_code(0);
        let met: Vec<i32> = (0..8).map(|_| tried(&mut client, PEER_V4)).collect();
        assert_eq!(met[..3], [EPERM; 3], "round {round}: {met:?}");
        assert_eq!(met[3..], [REFUSED; 5], "round {round}: {met:?}");
        let status = lab.status();
        assert_eq!(status["mode"], "shadow");
        assert_eq!(status["arming"]["budget_used"], 3);
        let why = status["arming"]["why_shadow"].as_str().expect("a reason");
        assert!(why.contains("the budget of 3 denials to peers was spent"), "{why}");
        assert_eq!(status["hooks"]["connect"]["denied"], 3 * round);
        // One that is not carried out passes connect and is seen again as a packet.
        assert_eq!(status["hooks"]["connect"]["would_deny"], 5 * round);
        lab.guard("renew", &[]).expect_code(2).expect_stderr("by itself");
    }
}

/// A stranger, with whom no handshake was ever over, is denied without end.
#[tag(root)]
#[test]
fn denials_to_strangers_cost_no_budget() {
    let (pair, cgroup, outside) = (Pair::new(), Cgroup::new(), Cgroup::new());
    let guard = Guard::attach(&cgroup, true);
    guard.apply(POLICY);
    guard.enforce_until(boot_ns() + 50_000_000_000);
    guard.tell(|control| control.budget_until = 2);
    let mut client = Actor::start_in(&cgroup, &pair.host);
    let mut server = Actor::start_in(&outside, &pair.peer);
    for _ in 0..5 {
        assert_eq!(tried(&mut client, PEER_V4), EPERM);
    }
    assert_eq!(guard.spent().denials, 0);
    meet(&mut client, &mut server);
    let met: Vec<i32> = (0..4).map(|_| tried(&mut client, PEER_V4)).collect();
    assert_eq!(met, [EPERM, EPERM, REFUSED, REFUSED]);
    let spent = guard.spent();
    assert_eq!((spent.denials, spent.tripped_arming), (3, 1));
    assert!(spent.tripped_at_boot_ns > 0 && spent.tripped_at_boot_ns <= boot_ns());
    // Even a stranger passes now: the arming is over.
    assert_eq!(guard.counts(Hook::Connect).denied, 7);
}

/// The addresses out of a thousand that are denied, at one of two hooks.
fn denied(client: &mut Actor, verb: &str) -> BTreeSet<u32> {
    let is_denied = |number: &u32| {
        client.socket("u", "udp6");
        let bytes = if verb == "sendto" { " 10" } else { "" };
        let said = client.ask(&format!("{verb} u [fd77::1:{number:x}]:1000{bytes}"));
        client.act("close u");
        said == Err(EPERM)
    };
    (0..1_000).filter(is_denied).collect()
}

/// The share is the one that was asked for, the same clients at every hook and every time,
/// others on another machine, and a larger share keeps those of the smaller one.
#[tag(root)]
#[test]
fn a_canary_denies_to_its_share_and_always_to_the_same() {
    let (pair, cgroup) = (Pair::new(), Cgroup::new());
    let guard = Guard::attach(&cgroup, true);
    guard.apply(POLICY);
    guard.enforce_until(u64::MAX);
    let mut client = Actor::start_in(&cgroup, &pair.host);
    let with = |percent, seed| {
        guard.tell(|control| (control.canary_percent, control.seed) = (percent, seed));
    };
    with(30, 7);
    let first = denied(&mut client, "sendto");
    // Three standard deviations of a thousand draws are 4.3 %.
    assert!((257..=343).contains(&first.len()), "{} of 1,000", first.len());
    assert_eq!(denied(&mut client, "connect"), first, "another hook");
    guard.apply(POLICY);
    assert_eq!(denied(&mut client, "sendto"), first, "another generation");
    with(60, 7);
    let more = denied(&mut client, "sendto");
    assert!((557..=643).contains(&more.len()), "{} of 1,000", more.len());
    assert!(more.is_superset(&first));
    with(30, 8);
    let elsewhere = denied(&mut client, "sendto");
    assert!(elsewhere.intersection(&first).count() < 150, "another machine, other clients");
    with(0, 7);
    assert_eq!(denied(&mut client, "sendto").len(), 0);
    with(100, 7);
    assert_eq!(denied(&mut client, "sendto").len(), 1_000);
}

/// What the program itself bounds, whatever user space writes: all zero, or a lease that is too
/// long, denies nothing.
#[tag(root)]
#[test]
fn the_program_takes_no_lease_that_is_too_long_and_no_empty_word() {
    let (pair, cgroup) = (Pair::new(), Cgroup::new());
    let guard = Guard::attach(&cgroup, true);
    guard.apply("default: {out: deny, in: deny}\n");
    let mut client = Actor::start_in(&cgroup, &pair.host);
    client.socket("u", "udp4");
    let send = format!("sendto u {PEER_V4}:9 10");
    let until = |seconds: u64| boot_ns() + seconds * 1_000_000_000;
    guard.tell(|control| {
        control.is_enforced = 1;
        control.canary_percent = 100;
        control.budget_until = 100;
        control.lease_until_boot_ns = until(30);
    });
    client.act(&send);
    guard.tell(|control| control.arming = 1);
    assert_eq!(client.ask(&send), Err(EPERM), "armed");
    guard.tell(|control| control.lease_until_boot_ns = until(u64::from(MAX_LEASE_S) + 30));
    client.act(&send);
    guard.tell(|control| control.lease_until_boot_ns = u64::MAX);
    client.act(&send);
    guard.tell(|control| control.lease_until_boot_ns = until(30));
    assert_eq!(client.ask(&send), Err(EPERM), "armed");
    guard.tell(|control| control.is_enforced = 0);
    client.act(&send);
}
