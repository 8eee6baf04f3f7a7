// SPDX-License-Identifier: MIT OR Apache-2.0
//! A system call that fails, anywhere: what was there before is there afterwards.

use std::fs;

use ibsr_proto::pins::CGROUP_PROGS;
use ibsr_tests::process::{Said, say, wait_until};
use test_tag::tag;

use crate::cgroup_site::{Site, all_pins};
use crate::world::{SOON, names};

/// Of some 140 calls of a first attach.
const STEP: usize = 9;
/// Of the calls of an upgrade that switch no link.
const SELDOM: usize = 25;

fn run_injected(site: &Site, inject: &str, args: &str) -> Said {
    let inject = format!("inject=bpf:error=ENOMEM:when={inject}");
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", "trace=bpf", "-e", &inject, "--"];
    say(&mut site.command_under(&wrapper, args))
}

#[tag(root)]
#[test]
fn a_first_attach_that_fails_leaves_nothing() {
    let site = Site::new();
    let args = site.attach_args("--max-flows 100");
    for (failed, nth) in (1..400).step_by(STEP).enumerate() {
        // From there on: also what would clean up by bpf() fails.
        let said = run_injected(&site, &format!("{nth}+"), &args);
        if said.code == Some(0) {
            assert!(failed > 8, "only {failed} runs failed: the injection does not work");
            site.assert_detaches();
            return;
        }
        let _said = said.expect_code(2).expect_stderr("ibsr-loader: ");
        assert!(!site.pins.path().exists(), "{nth}: {:?}", names(site.pins.path()));
        wait_until("no program is left", SOON, || site.programs() == 0);
    }
    panic!("it never got to its end");
}

/// Also in the middle of switching the links, which are given back then.
#[tag(root)]
#[test]
fn an_upgrade_that_fails_leaves_what_was_there() {
    let site = Site::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let log = tmp.path().join("strace").display().to_string();
    let upgrade = site.attach_args("--max-flows 200");
    let _said = site.attach("--max-flows 100");
    let trace = ["strace", "-f", "-e", "trace=bpf", "-o", &log, "--"];
    let _said = say(&mut site.command_under(&trace, &upgrade)).expect_code(0);
    let calls = fs::read_to_string(&log).expect("strace wrote it");
    let calls: Vec<&str> = calls.lines().filter(|line| line.contains("bpf(")).collect();
    let (mut failed, mut switches) = (0, 0);
    for (at, call) in calls.iter().enumerate() {
        let is_switch = call.contains("BPF_LINK_UPDATE");
        switches += usize::from(is_switch);
        let is_chosen = if is_switch { switches % 4 == 0 } else { at % SELDOM == 0 };
        if !is_chosen {
            continue;
        }
        let _said = site.attach("--max-flows 100");
        let before = site.meta();
        let said = run_injected(&site, &(at + 1).to_string(), &upgrade);
        if said.code != Some(0) {
            let said = said.expect_code(2);
            assert_eq!(site.meta(), before, "{call}: {}", said.stderr);
            assert_eq!((site.pins(), names(site.pins.path()).len()), (all_pins(), 1), "{call}");
            failed += 1;
        }
        assert!(!is_switch || site.meta() == before, "{call}: a failed switch is no success");
        site.assert_healthy();
        assert_eq!(site.programs(), CGROUP_PROGS.len() - 1, "{call}");
    }
    assert_eq!(switches, CGROUP_PROGS.len() - 1);
    assert!(failed > 3, "only {failed} runs failed");
    site.assert_detaches();
}
