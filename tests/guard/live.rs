// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a process meets: denials at the hooks, rehearsals, leases, swaps.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{PEER_V4, PEER_V6, Pair};
use test_tag::tag;

use crate::loaded::{Guard, boot_ns};

const EPERM: i32 = libc::EPERM;
const REFUSED: i32 = libc::ECONNREFUSED;
const UNREACHABLE: i32 = libc::EHOSTUNREACH;
const NEVER: u64 = u64::MAX;
/// A denial that waits for a timer takes a second at least: the first retransmission of a SYN.
const AT_ONCE: Duration = Duration::from_millis(500);

/// The wire, a cgroup, and a process in both.
struct Scene {
    pair: Pair,
    cgroup: Cgroup,
}

impl Scene {
    fn new() -> Self {
        Self { pair: Pair::new(), cgroup: Cgroup::new() }
    }

    fn actor(&self) -> Actor {
        Actor::start_in(&self.cgroup, &self.pair.host)
    }
}

/// What both modes do in [`each_kind_of_denial`], with the errno that is documented.
const STEPS: [(&str, &str, i32); 8] = [
    ("tcp4", "connect x 10.77.0.2:1000", EPERM),
    ("tcp4", "connect x 10.77.0.2:1001", REFUSED),
    ("tcp6", "connect x [fd77::2]:1000", EPERM),
    ("udp4", "sendto x 10.77.0.2:1000 10", EPERM),
    ("udp4", "sendto x 10.77.0.2:1001 10", REFUSED),
    ("udp6", "sendto x [fd77::2]:1002 10", UNREACHABLE),
    ("udp4", "connect x 10.77.0.2:1000", EPERM),
    ("udp4", "bind x 0.0.0.0:4444", EPERM),
];

const POLICY: &str = "rules:
  - {action: deny, ports: 1000}
  - {action: {reject: ECONNREFUSED}, ports: 1001}
  - {action: {reject: EHOSTUNREACH}, ports: 1002}
  - {action: deny, ports: 4444, direction: bind}
";

/// Verdicts against the policy at the three hooks where a process waits for the answer.
fn refusals(guard: &Guard) -> [(u64, u64); 3] {
    [Hook::Connect, Hook::Sendmsg, Hook::Bind].map(|hook| {
        let counts = guard.counts(hook);
        (counts.judged(), counts.would_deny + counts.denied)
    })
}

/// The errno rows: connect and sendmsg answer at once. A rehearsal of the same steps denies
/// nothing and counts the same.
#[tag(root)]
#[test]
fn each_denial_is_its_errno_at_once_and_a_rehearsal_counts_the_same() {
    let scene = Scene::new();
    let guard = Guard::attach(&scene.cgroup, true);
    guard.apply(POLICY);
    guard.enforce_until(NEVER);
    let mut actor = scene.actor();
    for (kind, step, errno) in STEPS {
        actor.socket("x", kind);
        let begun = Instant::now();
        assert_eq!(actor.ask(step), Err(errno), "{kind} {step}");
        assert!(begun.elapsed() < AT_ONCE, "{kind} {step} took {:?}", begun.elapsed());
        actor.act("close x");
    }
    let enforced = refusals(&guard);
    assert_eq!(enforced, [(4, 4), (3, 3), (1, 1)]);
    let denied: u64 = Hook::ALL.iter().map(|hook| guard.counts(*hook).denied).sum();
    assert_eq!(denied, 8, "nothing was left for the packet hooks");
    drop(guard);

    let guard = Guard::attach(&scene.cgroup, false);
    guard.apply(POLICY);
    guard.enforce_until(NEVER);
    for (kind, step, errno) in STEPS {
        actor.socket("x", kind);
        // Nobody listens there: TCP meets the other end's own refusal, UDP nothing.
        let is_answered = step.starts_with("connect") && kind.starts_with("tcp");
        let expected = if is_answered { Err(REFUSED) } else { Ok(()) };
        assert_eq!(actor.ask(step).map(|_| ()), expected, "{kind} {step}, not {errno}");
        actor.act("close x");
    }
    assert_eq!(refusals(&guard), enforced);
    let denied: u64 = Hook::ALL.iter().map(|hook| guard.counts(*hook).denied).sum();
    assert_eq!(denied, 0, "a rehearsal denies nothing");
}

/// An allow inside a denied prefix works for the whole connection, both ways.
#[tag(root)]
#[test]
fn an_allow_inside_a_denial_lets_a_connection_work() {
    let scene = Scene::new();
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &scene.pair.peer);
    let mut client = scene.actor();
    let guard = Guard::attach(&scene.cgroup, true);
    guard.apply(
        "network_policy: {policy: deny, deny: [10.77.0.0/24], allow: [10.77.0.2, 'fd77::2']}\ndefault: {in: deny}\n",
    );
    guard.enforce_until(NEVER);
    for (kind, addr) in [("tcp4", format!("{PEER_V4}:0")), ("tcp6", format!("[{PEER_V6}]:0"))] {
        server.socket("l", kind);
        let at = server.address(&format!("bind l {addr}"));
        server.act("listen l");
        client.socket("c", kind);
        client.act(&format!("connect c {at}"));
        server.act("accept l a");
        client.act("send c 1000");
        server.act("receive a 1000");
        server.act("send a 1000");
        client.act("receive c 1000");
        for (actor, names) in [(&mut client, &["c"][..]), (&mut server, &["a", "l"][..])] {
            names.iter().for_each(|name| drop(actor.act(&format!("close {name}"))));
        }
    }
    client.socket("c", "tcp4");
    assert_eq!(client.ask("connect c 10.77.0.3:80"), Err(EPERM), "denied beside it");
    assert_eq!(guard.counts(Hook::Egress).denied + guard.counts(Hook::Ingress).denied, 0);
}

/// G2, G3: the lease is compared with the boot clock at each denial.
#[tag(root)]
#[test]
fn when_the_lease_has_ended_everything_passes() {
    let scene = Scene::new();
    let guard = Guard::attach(&scene.cgroup, true);
    guard.apply("default: {out: deny, in: deny}\n");
    let mut actor = scene.actor();
    actor.socket("u", "udp4");
    let send = format!("sendto u {PEER_V4}:9 10");
    guard.enforce_until(boot_ns() + 400_000_000);
    assert_eq!(actor.ask(&send), Err(EPERM));
    let begun = Instant::now();
    while actor.ask(&send).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(5), "still denied");
    }
    assert!(guard.counts(Hook::Sendmsg).would_deny > 0, "it is still judged");
    guard.enforce_until(boot_ns() - 1);
    actor.act(&send);
}

/// G5: loopback and the protected list, whatever the policy says. The unspecified address is the
/// machine itself to whoever asks for it as a peer.
#[tag(root)]
#[test]
fn loopback_and_the_protected_list_are_never_denied() {
    let scene = Scene::new();
    let guard = Guard::attach(&scene.cgroup, true);
    guard.apply(
        "default: {out: deny, in: deny}\nprotected: [10.77.0.2]\nrules:\n  - {action: deny, cidr: [127.0.0.1, '::1', 10.77.0.2]}\n",
    );
    guard.enforce_until(NEVER);
    let mut actor = scene.actor();
    let (loopback, itself) = (["127.0.0.1:9", "[::1]:9"], ["0.0.0.0:9", "[::]:9"]);
    for to in [loopback, itself].concat().into_iter().chain(["10.77.0.2:9"]) {
        actor.socket("u", if to.starts_with('[') { "udp6" } else { "udp4" });
        actor.act(&format!("sendto u {to} 10"));
        actor.act(&format!("connect u {to}"));
        actor.act("close u");
    }
    actor.socket("u", "udp4");
    assert_eq!(actor.ask("sendto u 10.77.0.3:9 10"), Err(EPERM));
    assert_eq!(guard.counts(Hook::Sendmsg).exempt, 5);
    assert_eq!(guard.counts(Hook::Connect).exempt, 5);
}

/// A socket that was connected before is judged by its packets, once for each policy: the
/// verdict that it keeps does not outlive the policy.
#[tag(root)]
#[test]
fn a_kept_verdict_ends_with_its_policy() {
    let scene = Scene::new();
    // Without somebody there the other end's ICMP would be the errno of the next send.
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &scene.pair.peer);
    server.socket("s", "udp4");
    server.act(&format!("bind s {PEER_V4}:9"));
    let mut actor = scene.actor();
    actor.socket("u", "udp4");
    actor.act(&format!("connect u {PEER_V4}:9"));
    let guard = Guard::attach(&scene.cgroup, true);
    guard.enforce_until(NEVER);
    for _ in 0..3 {
        guard.apply("default: {out: deny, in: deny}\n");
        for _ in 0..3 {
            assert_eq!(actor.ask("send u 10"), Err(EPERM));
        }
        guard.apply("default: {out: allow, in: deny}\nrules:\n  - {action: allow, ports: 9}\n");
        for _ in 0..3 {
            actor.act("send u 10");
        }
    }
    let counts = guard.counts(Hook::Egress);
    assert_eq!(counts.denied, 9);
    // One record for each policy that denies, not one for each packet.
    assert_eq!((counts.recorded, counts.records_lost), (3, 0));
}

/// G6: two policies that refuse the same with different errors, by different tables. Half of
/// one and half of the other would let it pass.
#[tag(root)]
#[test]
fn a_swap_under_load_gives_no_verdict_of_half_a_policy() {
    const SWAPS: usize = 30;
    let by_port = "rules:\n  - {action: {reject: ECONNREFUSED}, ports: 9, user: 0}\n";
    let by_addr = "rules:\n  - {action: {reject: EHOSTUNREACH}, cidr: 10.77.0.2, protocol: udp}\n";
    let scene = Scene::new();
    let guard = Guard::attach(&scene.cgroup, true);
    guard.apply(by_port);
    guard.enforce_until(NEVER);
    let mut actor = scene.actor();
    actor.socket("u", "udp4");
    let is_over = AtomicBool::new(false);
    let told = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut told = [0_u64; 2];
            while !is_over.load(Ordering::Relaxed) {
                match actor.ask("sendto u 10.77.0.2:9 10") {
                    Err(REFUSED) => told[0] += 1,
                    Err(UNREACHABLE) => told[1] += 1,
                    wrong => panic!("a verdict of neither policy: {wrong:?}"),
                }
            }
            told
        });
        for swap in 0..SWAPS {
            guard.apply(if swap % 2 == 0 { by_addr } else { by_port });
            if load.is_finished() {
                break;
            }
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().expect("no wrong verdict")
    });
    assert!(told.iter().all(|count| *count > 100), "both were in use: {told:?}");
}
