// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls on the open segment that fail, one at a time, while the reader runs.

use std::fs;

use ibsr_proto::snapshot::GapReason;
use ibsr_tests::process::{Running, say, wait_until};
use rustix::process::Signal;

use crate::rig::{
    PATIENCE, Rig, SCOPE, all_sealed, no_number_twice, part_path, segment_name, strace,
};

/// Makes one call on the first segment fail and lets the reader go on.
fn survives(rig: &Rig, call: &str, error: &str, verb: &str) {
    let label = format!("{call}-{error}.log");
    let spool = rig.seeded_spool(&format!("{call}-{error}"), 17);
    let part = part_path(&spool, 18);
    let watched = if call == "renameat2" { spool.join(SCOPE) } else { part.clone() };
    let inject = format!("{call}:error={error}:when=1");
    let prefix = strace(&[watched], &rig.path("trace"), call, Some(&inject));
    let mut reader = rig.start(&prefix, &spool, &[], &label);
    wait_until("two segments after the fault", PATIENCE, || all_sealed(&spool).len() > 2);
    // strace keeps a signal to itself: it is the reader that must end.
    signal_child(&reader, Signal::TERM);
    assert!(reader.wait(PATIENCE).success(), "{label}: {}", rig.said(&label));

    let sealed = all_sealed(&spool);
    no_number_twice(&sealed);
    let numbers: Vec<u64> = sealed.iter().map(|it| it.parsed_name().first_seq).collect();
    assert!(!numbers.contains(&18), "{label}: the file that failed is never sealed: {numbers:?}");
    assert!(!part.exists(), "{label}: the lost file is removed");
    let next = &sealed[1];
    assert!(next.has_gap(GapReason::Disk), "{label}: {next:?}");
    assert_eq!(next.sweeps().next().expect("a sweep").since_boot_ns, 0, "{label}: a full sweep");
    let said = rig.said(&label);
    assert!(said.contains(&format!("failed to {verb} `")), "{label}: {said}");
    assert_eq!(said.matches("failed to").count(), 1, "{label}: said once: {said}");
}

/// Sends a signal to the one child of `parent`.
fn signal_child(parent: &Running, signal: Signal) {
    let pid = parent.pid();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    let child = children.expect("it runs").trim().parse().expect("one child");
    let child = rustix::process::Pid::from_raw(child).expect("not zero");
    rustix::process::kill_process(child, signal).expect("the child runs");
}

/// R4: each failing call costs one file, which is never sealed; a new one follows, begins
/// full and says what happened.
#[test_tag::tag(root)]
#[test]
fn a_call_that_fails_costs_one_file_and_is_told() {
    let rig = Rig::new();
    survives(&rig, "write", "EIO", "write");
    survives(&rig, "fsync", "EIO", "sync");
    survives(&rig, "close", "EIO", "close");
    survives(&rig, "renameat2", "EIO", "rename");
}

/// R4: a torn file that cannot be made durable while it is recovered is never sealed, not by
/// a later start either, and the reader works all the same.
#[test_tag::tag(root)]
#[test]
fn a_recovery_that_fails_to_sync_sets_the_file_aside() {
    let rig = Rig::new();
    let spool = rig.seeded_spool("spool", 17);
    let sealed = spool.join(SCOPE).join(segment_name(17).to_string());
    let text = fs::read_to_string(&sealed).expect("text").replace("\"seq\":17", "\"seq\":18");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let part = part_path(&spool, 18);
    fs::write(&part, lines[..lines.len() - 1].concat()).expect("written");
    let prefix = strace(&[part], &rig.path("trace"), "fsync", Some("fsync:error=EIO:when=1"));
    let said = say(&mut rig.reader(&prefix, "once", &spool)).expect_code(0);
    let _said = said.expect_stderr("segment not recovered").expect_stderr("failed to sync `");
    rig.once_has_everything(&spool);
    let first = all_sealed(&spool).iter().map(|it| it.parsed_name().first_seq).collect::<Vec<_>>();
    assert_eq!(first, [17, 18, 19], "18 is a new file: its number was never seen");
    assert!(all_sealed(&spool).iter().all(|it| !it.is_recovered()));
}

/// R3: a quota is no different from a broken disk, but for the word.
#[test_tag::tag(root)]
#[test]
fn a_quota_that_is_used_up_costs_one_file_and_is_told() {
    let rig = Rig::new();
    survives(&rig, "write", "EDQUOT", "write");
}
