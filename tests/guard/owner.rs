// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rules that ask who it is: an executable, a user, a cgroup.

use std::fs;

use ibsr_policy::Resolve;
use ibsr_proto::guard_abi::ExeKey;
use ibsr_proto::guard_control::Hook;
use ibsr_tests::actor::{Actor, described};
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{PEER_V4, Pair};
use ibsr_tests::process::program;
use test_tag::tag;

use crate::loaded::Guard;

/// An errno for each rule, so that it tells which one it was.
const POLICY: &str = "rules:
  - {action: {reject: ECONNREFUSED}, ports: 1001, exe: /actor}
  - {action: {reject: EHOSTUNREACH}, ports: 1002, user: 4711}
  - {action: {reject: ENETUNREACH}, ports: 1003, cgroup: /below}
";

/// The one executable and the one cgroup that the policy names.
struct Known {
    exe: ExeKey,
    cgroup: u64,
}

impl Resolve for Known {
    fn exe(&self, path: &str) -> Option<ExeKey> {
        (path == "/actor").then_some(self.exe)
    }

    fn user(&self, name: &str) -> Option<u32> {
        name.parse().ok()
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        (path == "/below").then_some(self.cgroup)
    }
}

/// What each of the three ports answers to a datagram.
fn tried(actor: &mut Actor) -> [Result<(), i32>; 3] {
    actor.socket("u", "udp4");
    let said = [1001, 1002, 1003]
        .map(|port| actor.ask(&format!("sendto u {PEER_V4}:{port} 10")).map(|_| ()));
    actor.act("close u");
    said
}

#[tag(root)]
#[test]
fn a_rule_may_name_an_executable_a_user_or_a_cgroup() {
    const EXE: Result<(), i32> = Err(libc::ECONNREFUSED);
    const USER: Result<(), i32> = Err(libc::EHOSTUNREACH);
    const CGROUP: Result<(), i32> = Err(libc::ENETUNREACH);
    let (pair, cgroup, outside) = (Pair::new(), Cgroup::new(), Cgroup::new());
    // Without somebody there the other end's ICMP would be the errno of the next send.
    let mut server = Actor::start_in(&outside, &pair.peer);
    for port in [1001, 1002, 1003] {
        server.socket(&format!("s{port}"), "udp4");
        server.act(&format!("bind s{port} {PEER_V4}:{port}"));
    }
    let (below, deeper) = (cgroup.child("below"), cgroup.child("beside"));
    let deepest = below.child("deeper");
    let mut plain = Actor::start_in(&cgroup, &pair.host);
    let owner = described(plain.pid());
    let exe = ExeKey { inode: owner.exe_inode, device: owner.exe_device, pad: 0 };
    let guard = Guard::attach(&cgroup, true);
    guard.apply_with(POLICY, &Known { exe, cgroup: below.id() });
    guard.enforce_until(u64::MAX);
    assert_eq!(tried(&mut plain), [EXE, Ok(()), Ok(())]);
    let mut user = Actor::start_in(&deeper, &pair.host);
    user.act("uid 4711");
    assert_eq!(tried(&mut user), [EXE, USER, Ok(())]);
    for inside in [&below, &deepest] {
        let mut actor = Actor::start_in(inside, &pair.host);
        assert_eq!(tried(&mut actor), [EXE, Ok(()), CGROUP]);
    }
    // The same bytes in another file are another executable.
    let dir = tempfile::tempdir().expect("a directory");
    let copy = dir.path().join("copy");
    fs::copy(program("ibsr-actor"), &copy).expect("a copy");
    let mut other = Actor::start_copy(&copy, &cgroup, &pair.host, dir.path());
    assert_eq!(tried(&mut other), [Ok(()); 3]);
    assert_eq!(guard.counts(Hook::Sendmsg).denied, 1 + 2 + 2 * 2);
}
