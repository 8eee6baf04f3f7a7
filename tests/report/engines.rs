// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same recording gives the same bytes in every engine: one process, little memory,
//! partials of days merged in any order and in any tree.

use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_tests::process::{program, say};

use super::run;
use super::same_bytes::report;

const NOW: [&str; 2] = ["--now", "2026-11-22T15:00:00Z"];
const DAYS: [&str; 3] = ["2026-01-05", "2026-01-06", "2026-01-07"];

/// Three days of a site with floods and scans, so that there is something to act on.
fn recording(dir: &Path) {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("simulate").arg("--out").arg(dir);
    command.args(["--days", "3", "--clients", "60", "--preset", "mixed", "--seed", "5"]);
    let _said = say(&mut command).expect_code(0);
}

fn fold(inputs: &[&Path], day: Option<&str>, partial: &Path) {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("fold").args(inputs).arg("-o").arg(partial);
    command.args(day.iter().flat_map(|day| ["--day", day]));
    let _said = say(&mut command).expect_code(0);
}

fn merge(partials: &[PathBuf]) -> Command {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("merge").args(partials);
    command
}

#[test]
fn days_folded_apart_and_merged_in_any_tree_change_no_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = dir.path().join("site");
    recording(&site);
    let whole = report(&mut run(&site));
    assert!(whole["report.json"].contains("dead_syn"));
    let partial = |name: &str| dir.path().join(name);
    let days: Vec<PathBuf> = DAYS.iter().map(|day| partial(day)).collect();
    for (day, path) in DAYS.iter().zip(&days) {
        fold(&[&site], Some(day), path);
    }
    let [a, b, c] = days.as_slice() else { unreachable!("three days") };
    let orders = [[a, b, c], [c, b, a], [b, c, a]];
    for order in orders {
        let order: Vec<PathBuf> = order.into_iter().cloned().collect();
        assert_eq!(whole, report(merge(&order).args(NOW)), "{order:?}");
    }
    let pair = partial("pair");
    let _said = say(merge(&[c.clone(), a.clone()]).arg("-o").arg(&pair)).expect_code(0);
    assert_eq!(whole, report(merge(&[b.clone(), pair]).args(NOW)), "a tree");
    let all = partial("all");
    fold(&[&site], None, &all);
    assert_eq!(whole, report(merge(&[all]).args(NOW)), "one partial of everything");
}

/// A day that does not fit is read in shares.
#[test]
fn little_memory_changes_no_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    recording(dir.path());
    let whole = report(&mut run(dir.path()));
    for (memory, threads) in [("1MiB", "1"), ("1MiB", "3"), ("3MiB", "2")] {
        let args = ["--memory", memory, "--threads", threads];
        assert_eq!(whole, report(run(dir.path()).args(args)), "{memory}, {threads} threads");
    }
}

#[test]
fn partials_that_do_not_fit_together_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = dir.path().join("site");
    recording(&site);
    let (one, two) = (dir.path().join("one"), dir.path().join("two"));
    fold(&[&site], Some(DAYS[0]), &one);
    let mut other = Command::new(program("ibsr-report"));
    other.arg("fold").arg(&site).args(["--day", DAYS[1], "--window", "20s", "-o"]).arg(&two);
    let _said = say(&mut other).expect_code(0);
    let out = dir.path().join("out");
    let both = [one.clone(), two];
    let _said = say(merge(&both).arg("--out").arg(&out))
        .expect_code(2)
        .expect_stderr("different windows or rules")
        .expect_stderr("hint: ");
    let twice = [one.clone(), one];
    let _said = say(merge(&twice).arg("--out").arg(&out))
        .expect_code(2)
        .expect_stderr(DAYS[0])
        .expect_stderr("hint: ");
    assert!(!out.exists());
}
