// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments of cgroups beside those of interfaces: they hold flows, which no rule acts on.

use std::process::Command;

use ibsr_tests::flow_segments::{flow, write};
use ibsr_tests::process::{program, say};
use ibsr_tests::segments::write_many;

use super::run;

#[test]
fn segments_of_a_cgroup_change_nothing_of_the_report() {
    let spool = tempfile::tempdir().expect("a directory");
    let _paths = write_many(spool.path(), 5, 3);
    let alone = say(&mut run(spool.path())).expect_code(1);
    let _path = write(spool.path(), &[vec![flow(1, "curl", 9, 100)]]);
    let together = say(&mut run(spool.path())).expect_code(1);
    assert_eq!(together.stdout, alone.stdout);
    assert!(!together.stderr.contains("not used"), "{}", together.stderr);
}

#[test]
fn segments_of_a_cgroup_alone_are_told_to_be_nothing_to_simulate() {
    let spool = tempfile::tempdir().expect("a directory");
    let path = write(spool.path(), &[vec![flow(1, "curl", 9, 100)]]);
    let out = spool.path().join("out");
    let mut compact = Command::new(program("ibsr-report"));
    compact.arg("compact").arg(&path).arg("--out").arg(&out);
    for command in [&mut run(&path), &mut run(spool.path()), &mut compact] {
        let said = say(command)
            .expect_code(2)
            .expect_stderr("no source that a rule could act on")
            .expect_stderr("hint: ");
        assert_eq!(said.stdout, "");
    }
    assert!(!out.exists());
}
