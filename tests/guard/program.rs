// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program `ibsr-guard` as an operator runs it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use ibsr_tests::actor::Actor;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::Pair;
use ibsr_tests::process::{program, say};
use tempfile::TempDir;
use test_tag::tag;

fn guard(words: &[&str]) -> Command {
    let mut command = Command::new(program("ibsr-guard"));
    command.args(words);
    command
}

fn policy(dir: &TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("policy.yaml");
    fs::write(&path, text).expect("writable");
    path
}

#[test]
fn check_needs_no_rights_and_its_exit_code_is_the_answer() {
    let dir = TempDir::new().expect("a directory");
    let path = policy(&dir, "rules:\n  - {action: deny, ports: 80}\n");
    let text = path.to_str().expect("text").to_owned();
    say(&mut guard(&["check", &text])).expect_code(0);
    policy(&dir, "rules:\n  - {action: deny, ports: 80}\n  - {action: allow, ports: 80}\n");
    say(&mut guard(&["check", &text])).expect_code(1);
    policy(&dir, "rules:\n  - {action: deny, ports: eighty}\n");
    say(&mut guard(&["check", &text])).expect_code(2).expect_stderr("policy.yaml:2:27: `eighty`");
}

/// There is no way to deny without evidence.
#[test]
fn the_program_cannot_be_told_to_enforce() {
    for words in [
        &["arm", "p.yaml"][..],
        &["arm", "p.yaml", "--evidence", "bundle"],
        &["arm", "p.yaml", "--trust", "key.pub"],
        &["arm", "p.yaml", "--trust", "key.pub", "--without-evidence"],
        &["rehearse", "--enforce", "p.yaml"],
    ] {
        say(&mut guard(words)).expect_code(2).expect_stderr("Usage:");
    }
}

/// G7: a rehearsal outlives the program, counts, takes another policy, and goes without trace.
#[tag(root)]
#[test]
fn a_rehearsal_counts_and_leaves_nothing_behind() {
    let (pins, pair, cgroup) = (PinRoot::new(), Pair::new(), Cgroup::new());
    let dir = TempDir::new().expect("a directory");
    let path = policy(&dir, "network_policy: {policy: allow, deny: [10.77.0.0/24]}\n");
    let (path, root) = (path.to_str().expect("text"), pins.path().to_str().expect("text"));
    let target = cgroup.path().to_str().expect("text");
    let rehearse = ["rehearse", path, "--cgroup", target, "--pin-root", root];
    say(&mut guard(&rehearse)).expect_code(0);
    say(&mut guard(&rehearse)).expect_code(2).expect_stderr("ibsr-guard apply");
    let mut actor = Actor::start_in(&cgroup, &pair.host);
    actor.socket("u", "udp4");
    actor.act("sendto u 10.77.0.2:9 10");
    let status = ["status", "--pin-root", root, "--format", "json"];
    let said = say(&mut guard(&status)).expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(value["hooks"]["sendmsg"]["would_deny"], 1);
    assert_eq!(value["generation"], 1);
    policy(&dir, "network_policy: {policy: allow}\n");
    say(&mut guard(&["apply", path, "--pin-root", root])).expect_code(0);
    actor.act("sendto u 10.77.0.2:9 10");
    let said = say(&mut guard(&status)).expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(value["hooks"]["sendmsg"]["would_deny"], 1);
    assert_eq!(value["hooks"]["sendmsg"]["judged"], 2);
    assert_eq!(value["generation"], 2);
    say(&mut guard(&["disarm", "--pin-root", root])).expect_code(0);
    say(&mut guard(&["disarm", "--pin-root", root])).expect_code(0);
    say(&mut guard(&["status", "--pin-root", root])).expect_code(1);
    assert!(!pins.path().join("guard").exists(), "the pins are gone");
}
