// SPDX-License-Identifier: MIT OR Apache-2.0
//! Killed at every system call that matters, one after the other.

use std::fs;

use ibsr_tests::process::{killed_at, say};
use test_tag::tag;

use crate::scope::{Design, Made, SCOPE, reader, spool};
use crate::sealed::{Sealed, Story, sealed};

const SOURCES: u32 = 300;
/// More calls of one kind than a run makes: a bound for a test that went wrong.
const CALLS: u32 = 200;

/// R1: after a kill at any write, open, fsync, rename or bpf call there is no partial sealed
/// file, and the next sweep has every count.
#[tag(root)]
#[test]
fn a_kill_at_any_system_call_leaves_whole_files_and_loses_nothing() {
    let made = Made::new(&Design::default());
    made.fill(SOURCES);
    for call in ["write", "openat", "fsync", "renameat2", "bpf"] {
        let kills = kill_at_each(&made, call);
        assert!(kills > 0, "a run makes no `{call}` call at all");
    }
}

/// Kills run after run at the first, second, … call until one gets through; how many died.
fn kill_at_each(made: &Made, call: &str) -> u32 {
    let spool = spool();
    for number in 1..CALLS {
        let mut command = killed_at(call, number, "ibsr-reader");
        command.args(["once", "--scope", SCOPE, "--pin-root"]).arg(made.root.path());
        let killed = say(command.arg("--spool").arg(spool.path())).code.is_none();
        for path in sealed(spool.path(), SCOPE) {
            let _whole = Sealed::read(&path);
        }
        if killed {
            continue;
        }
        assert_all_counts(made, &spool);
        return number - 1;
    }
    panic!("still killed at `{call}` call {CALLS}")
}

fn assert_all_counts(made: &Made, spool: &tempfile::TempDir) {
    let _said = say(&mut reader("once", SCOPE, made.root.path(), spool.path())).expect_code(0);
    let story = Story::read(spool.path(), SCOPE);
    let (last, rows) = story.sweeps().next_back().expect("a sweep");
    assert_eq!((last.rows, rows.len()), (u64::from(SOURCES), SOURCES as usize));
    let packets: u64 = rows.iter().map(|row| row.packets).sum();
    assert_eq!((packets, last.evicted), (last.totals.tracked, 0));
    let left = fs::read_dir(spool.path().join(SCOPE)).expect("a directory").flatten();
    let parts = left.filter(|entry| entry.path().extension().is_some_and(|it| it == "part"));
    assert_eq!(parts.count(), 0, "the next start recovered what was open");
}
