// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader killed at every system call that changes the spool.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use ibsr_tests::process::say;

use crate::rig::{Rig, SCOPE, all_sealed, no_number_twice, part_path, segment_name, strace};

const CALLS: &str = "openat,mkdirat,flock,write,ftruncate,fsync,close,renameat2,unlinkat,utimensat";

/// A spool in which `once` has everything to do: sweep 17 is sealed, the reader that wrote
/// 18 and 19 was killed inside 19.
fn torn_spool(rig: &Rig, name: &str) -> PathBuf {
    let spool = rig.seeded_spool(name, 17);
    let sealed = spool.join(SCOPE).join(segment_name(17).to_string());
    let text = fs::read_to_string(&sealed).expect("text").replace("\"seq\":17", "\"seq\":18");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let whole = lines[..lines.len() - 1].concat();
    let torn = lines[1].replace("\"seq\":18", "\"seq\":19");
    fs::write(part_path(&spool, 18), whole + &torn + &torn[..20]).expect("written");
    spool
}

fn watched(spool: &Path) -> Vec<PathBuf> {
    vec![spool.join(SCOPE), part_path(spool, 18), part_path(spool, 19)]
}

/// Every call of `once` that changes the spool, as (name, how many of that name so far).
fn calls_of_once(rig: &Rig) -> Vec<(String, usize)> {
    let spool = torn_spool(rig, "dry");
    let log = rig.path("dry.trace");
    let prefix = strace(&watched(&spool), &log, CALLS, None);
    let _done = say(&mut rig.reader(&prefix, "once", &spool)).expect_code(0);
    let mut seen: HashMap<String, usize> = HashMap::new();
    let trace = fs::read_to_string(log).expect("a trace");
    let names = trace.lines().filter_map(|line| {
        let (_pid, call) = line.split_once(' ')?;
        let (name, _) = call.trim_start().split_once('(')?;
        Some(name.to_owned())
    });
    names
        .map(|name| {
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            (name, *count)
        })
        .collect()
}

/// R1: whatever call it dies at, no partial file has the name of a segment, no number is used
/// twice, and the next sweep holds everything that was counted.
#[test_tag::tag(root)]
#[test]
fn a_reader_killed_at_any_call_leaves_only_whole_segments() {
    let rig = Rig::new();
    let calls = calls_of_once(&rig);
    assert!(calls.len() > 15, "{calls:?}");
    for name in ["openat", "write", "ftruncate", "fsync", "close", "renameat2"] {
        assert!(calls.iter().any(|(call, _)| call == name), "no {name} in {calls:?}");
    }
    for (call, count) in calls {
        let spool = torn_spool(&rig, &format!("{call}-{count}"));
        let inject = format!("{call}:signal=KILL:when={count}");
        let prefix = strace(&watched(&spool), &rig.path("trace"), &call, Some(&inject));
        let said = say(&mut rig.reader(&prefix, "once", &spool));
        assert_ne!(said.code, Some(0), "{call} {count} was not reached");
        no_number_twice(&all_sealed(&spool));
        rig.once_has_everything(&spool);
        let sealed = all_sealed(&spool);
        no_number_twice(&sealed);
        let first: Vec<u64> = sealed.iter().map(|it| it.parsed_name().first_seq).collect();
        assert_eq!(first[..2], [17, 18], "{call} {count}: what was whole is sealed");
    }
}

/// R1: the same where sweeps are merged and segments dropped. A merge that was cut short
/// leaves its origin, or both, and the next reader finishes it.
#[test_tag::tag(root)]
#[test]
fn a_reader_killed_while_it_merges_or_drops_loses_no_sum() {
    let rig = Rig::new();
    for (call, count) in [("unlinkat", 1), ("unlinkat", 2), ("unlinkat", 5)].into_iter().chain([
        ("utimensat", 1),
        ("utimensat", 2),
        ("renameat2", 4),
        ("renameat2", 7),
    ]) {
        let spool = rig.spool(&format!("{call}-{count}"));
        fs::create_dir(spool.join(SCOPE)).expect("a directory");
        let inject = format!("{call}:signal=KILL:when={count}");
        let watched = [spool.join(SCOPE)];
        let prefix = strace(&watched, &rig.path("trace"), call, Some(&inject));
        let mut reader = rig.start(&prefix, &spool, &["--spool-bytes", "20KiB"], "log");
        let status = reader.wait(crate::rig::PATIENCE);
        assert!(!status.success(), "{call} {count} was not reached");
        let sealed = all_sealed(&spool);
        assert!(!sealed.is_empty(), "{call} {count}");
        rig.once_has_everything(&spool);
        all_sealed(&spool);
    }
}
