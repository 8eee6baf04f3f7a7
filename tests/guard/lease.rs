// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lease: whatever happens to user space, everything passes once it is over; and what an
//! armed guard never touches.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{PEER_V4, Pair};
use ibsr_tests::process::{Running, program, say, wait_until};
use ibsr_tests::prog::{Compiled, compilers};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Pid, Signal, kill_process_group};
use test_tag::tag;

use crate::lab::{Lab, refused};
use crate::loaded::{Guard, boot_ns};

const EPERM: i32 = libc::EPERM;
const POLICY: &str = "rules:\n  - {action: deny, ports: 1000}\n";
const DENIED: &str = "10.77.0.2:1000";
const LEASE: Duration = Duration::from_secs(2);
/// For a machine that is busy; a lease that does not end fails by far more.
const SLACK: Duration = Duration::from_secs(2);

/// Renews a lease of two seconds twice a second, in a process group of its own.
fn renewal(lab: &Lab) -> Running {
    let mut command = Command::new("sh");
    command.args(["-c", "while \"$0\" renew --lease 2s --pin-root \"$1\"; do sleep 0.5; done"]);
    command.arg(program("ibsr-guard")).arg(lab.pins.path());
    Running::start(command.process_group(0).stderr(Stdio::null()))
}

/// G2: armed and renewed by the real program it denies for longer than a lease; then everything
/// in user space is killed, and everything passes within the lease.
#[tag(root)]
#[test]
fn when_all_of_user_space_is_killed_everything_passes_within_the_lease() {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    lab.arm(&["--lease", "2s"]).expect_code(0);
    let loop_ = renewal(&lab);
    let mut actor = lab.actor();
    let begun = Instant::now();
    while begun.elapsed() < 2 * LEASE {
        assert_eq!(refused(&mut actor, DENIED), Some(EPERM), "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    let group = i32::try_from(loop_.pid()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process_group(group, Signal::KILL).expect("the group is ours");
    let killed = Instant::now();
    wait_until("everything passes", LEASE + SLACK, || refused(&mut actor, DENIED).is_none());
    assert!(killed.elapsed() > LEASE / 4, "it was renewed a moment ago");
    let status = lab.status();
    assert_eq!(status["mode"], "shadow");
    let why = status["arming"]["why_shadow"].as_str().expect("a reason");
    assert!(why.starts_with("the lease ended") && why.ends_with("nobody renewed it"), "{why}");
    // Who comes back in time goes on: nothing was lost but the time between.
    lab.guard("renew", &[]).expect_code(0);
    assert_eq!(refused(&mut actor, DENIED), Some(EPERM));
}

/// A renewal needs a guard that is armed, and no lease is longer than a minute.
#[tag(root)]
#[test]
fn a_lease_is_only_renewed_while_the_guard_is_armed() {
    let lab = Lab::new(POLICY);
    lab.guard("renew", &[]).expect_code(2).expect_stderr("no guard is attached");
    let (policy, cgroup) = (lab.path("policy.yaml"), lab.cgroup.path().to_owned());
    lab.guard("rehearse", &[&policy, "--cgroup".as_ref(), &cgroup]).expect_code(0);
    lab.guard("renew", &[]).expect_code(2).expect_stderr("the guard is not armed");
    lab.seal(&lab.manifest());
    lab.arm(&["--lease", "61s"]).expect_code(2).expect_stderr("at most 60s");
    lab.arm(&[]).expect_code(0);
    let long = ["--lease".as_ref(), "61s".as_ref()];
    lab.guard("renew", &long).expect_code(2).expect_stderr("at most 60s");
    lab.guard("renew", &["--lease".as_ref(), "9s".as_ref()]).expect_code(0);
    let left_ms = lab.status()["arming"]["lease_left_ms"].as_u64().expect("a number");
    assert!((1..=9_000).contains(&left_ms), "{left_ms} ms");
}

/// No lease outlives the evidence, and none is given after it.
#[tag(root)]
#[test]
fn expired_evidence_ends_the_lease_and_its_renewal() {
    let lab = Lab::rehearsing(POLICY);
    let mut manifest = lab.manifest();
    let second = Timestamp::from_second(Timestamp::now().as_second()).expect("now");
    manifest.expires_at = second + SignedDuration::from_secs(4);
    lab.seal(&manifest);
    lab.arm(&[]).expect_code(0);
    let left_ms = lab.status()["arming"]["lease_left_ms"].as_u64().expect("a number");
    assert!(left_ms <= 4_000, "{left_ms} ms");
    lab.guard("renew", &[]).expect_code(0);
    let mut actor = lab.actor();
    wait_until("everything passes", Duration::from_secs(4) + SLACK, || {
        refused(&mut actor, DENIED).is_none()
    });
    // The two clocks are not read at one instant.
    wait_until("no renewal", SLACK, || lab.guard("renew", &[]).code == Some(2));
    lab.guard("renew", &[]).expect_stderr("the evidence has expired");
    let why = lab.status()["arming"]["why_shadow"].to_string();
    assert!(why.contains("the evidence has expired"), "{why}");
    lab.arm(&[]).expect_code(2).expect_stderr("expired at");
}

/// G3: the program reads the clock that goes on while the machine sleeps and that nobody can
/// set, and no other.
#[test]
fn the_program_reads_the_boot_clock_only() {
    const CALL: u8 = 0x85;
    const HELPER: u8 = 0;
    /// `bpf_ktime_get_ns`, `bpf_ktime_get_coarse_ns`, `bpf_ktime_get_tai_ns`, `bpf_jiffies64`.
    const OTHER_CLOCKS: [i32; 4] = [5, 160, 208, 118];
    const BOOT_CLOCK: i32 = 125;
    for clang in compilers() {
        let compiled = Compiled::new(&clang, &Guard::source());
        let object = compiled.open();
        let calls: Vec<i32> = object
            .progs()
            .flat_map(|program| {
                let insns = program.insns().to_vec();
                insns.into_iter().filter(|insn| insn.code == CALL && insn.src_reg() == HELPER)
            })
            .map(|insn| insn.imm)
            .collect();
        assert!(calls.contains(&BOOT_CLOCK), "{clang:?}");
        assert!(!calls.iter().any(|helper| OTHER_CLOCKS.contains(helper)), "{clang:?}: {calls:?}");
    }
}

/// G3: a renewal by a boot clock that is a day ahead gives a lease that is none.
#[tag(root)]
#[test]
fn a_boot_clock_that_is_wrong_in_user_space_denies_nothing() {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    let mut actor = lab.actor();
    assert_eq!(refused(&mut actor, DENIED), Some(EPERM));
    let mut ahead = Command::new("unshare");
    ahead.args(["--time", "--boottime", "3600", "--fork"]).arg(program("ibsr-guard"));
    say(ahead.arg("renew").arg("--pin-root").arg(lab.pins.path())).expect_code(0);
    assert_eq!(refused(&mut actor, DENIED), None);
    assert!(lab.status()["arming"]["why_shadow"].to_string().contains("longer than 60 s"));
    lab.guard("renew", &[]).expect_code(0);
    assert_eq!(refused(&mut actor, DENIED), Some(EPERM));
}

/// A connection between two actors, client `c` and server `a`; the address of the listener.
fn connected(client: &mut Actor, server: &mut Actor) -> String {
    server.socket("l", "tcp4");
    let at = server.address(&format!("bind l {PEER_V4}:1000"));
    server.act("listen l");
    client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    server.act("accept l a");
    at.to_string()
}

/// Data both ways.
fn talk(client: &mut Actor, server: &mut Actor) {
    client.act("send c 1000");
    server.act("receive a 1000");
    server.act("send a 1000");
    client.act("receive c 1000");
}

/// G5: a connection that stood before goes on through rehearsal, arming and a lease that is
/// renewed, whatever the policy says of it; a new one to the same place is denied.
#[tag(root)]
#[test]
fn an_established_connection_is_untouched_by_arming() {
    let lab = Lab::new(POLICY);
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &lab.pair.peer);
    let mut client = lab.actor();
    let at = connected(&mut client, &mut server);
    let (policy, cgroup) = (lab.path("policy.yaml"), lab.cgroup.path().to_owned());
    lab.guard("rehearse", &[&policy, "--cgroup".as_ref(), &cgroup]).expect_code(0);
    talk(&mut client, &mut server);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    talk(&mut client, &mut server);
    lab.guard("renew", &[]).expect_code(0);
    talk(&mut client, &mut server);
    client.socket("new", "tcp4");
    assert_eq!(client.ask(&format!("connect new {at}")), Err(EPERM));
    talk(&mut client, &mut server);
    let hooks = lab.status()["hooks"].clone();
    for hook in ["egress", "ingress"] {
        assert_eq!(hooks[hook]["denied"], 0, "{hook}");
        assert_eq!(hooks[hook]["would_deny"], 0, "{hook}");
        assert!(hooks[hook]["exempt"].as_u64() > Some(4), "{hook}: {}", hooks[hook]);
    }
}

/// The same connection under a policy that says to judge it: the exemption is the policy's.
#[tag(root)]
#[test]
fn a_policy_may_judge_established_connections_too() {
    let (pair, cgroup, outside) = (Pair::new(), Cgroup::new(), Cgroup::new());
    let mut server = Actor::start_in(&outside, &pair.peer);
    let mut client = Actor::start_in(&cgroup, &pair.host);
    connected(&mut client, &mut server);
    let guard = Guard::attach(&cgroup, true);
    let deny = "default: {out: deny, in: deny}\n";
    guard.apply(&format!("established: judge\n{deny}"));
    guard.enforce_until(boot_ns() + 50_000_000_000);
    client.act("send c 1000");
    wait_until("the packet is dropped", SLACK, || guard.counts(Hook::Egress).denied > 0);
    assert_eq!(guard.counts(Hook::Egress).exempt, 0);
    guard.apply(deny);
    wait_until("it is sent again and passes", 2 * SLACK, || guard.counts(Hook::Egress).exempt > 0);
    server.act("receive a 1000");
    let denied = guard.counts(Hook::Egress).denied;
    talk(&mut client, &mut server);
    assert_eq!(guard.counts(Hook::Egress).denied, denied);
}

/// What is not past its handshake is judged: neither a SYN nor its answer rides on the exemption.
#[tag(root)]
#[test]
fn a_handshake_is_judged_at_the_listener() {
    let (pair, cgroup, outside) = (Pair::new(), Cgroup::new(), Cgroup::new());
    let mut client = Actor::start_in(&outside, &pair.peer);
    let mut server = Actor::start_in(&cgroup, &pair.host);
    server.socket("l", "tcp4");
    let at = server.address("bind l 10.77.0.1:0");
    server.act("listen l");
    let guard = Guard::attach(&cgroup, true);
    guard.apply("default: {in: deny}\n");
    guard.enforce_until(boot_ns() + 50_000_000_000);
    client.act(&format!("begin 1 {at}"));
    wait_until("the SYN is dropped", SLACK, || guard.counts(Hook::Ingress).denied > 0);
    assert_eq!(guard.counts(Hook::Ingress).exempt, 0);
}

/// A socket may fail to connect and listen then: what it accepts came in all the same.
#[tag(root)]
#[test]
fn a_listener_that_was_a_client_before_accepts_what_comes_in() {
    let (pair, cgroup, outside) = (Pair::new(), Cgroup::new(), Cgroup::new());
    let mut client = Actor::start_in(&outside, &pair.peer);
    let mut server = Actor::start_in(&cgroup, &pair.host);
    let guard = Guard::attach(&cgroup, true);
    guard.enforce_until(boot_ns() + 50_000_000_000);
    guard.apply("established: judge\n");
    server.socket("l", "tcp4");
    // A port that was asked for stays the socket's when a connect fails; one of the kernel's does not.
    let at = server.address("bind l 10.77.0.1:7000");
    let nobody = server.ask(&format!("connect l {PEER_V4}:1"));
    assert_eq!(nobody, Err(libc::ECONNREFUSED));
    server.act("listen l");
    guard.apply("established: judge\ndefault: {out: deny}\n");
    client.socket("c", "tcp4");
    client.act(&format!("connect c {at}"));
    server.act("accept l a");
    talk(&mut client, &mut server);
    for hook in [Hook::Ingress, Hook::Egress] {
        let counts = guard.counts(hook);
        assert_eq!((counts.denied, counts.would_deny), (0, 0), "{hook:?}");
    }
}
