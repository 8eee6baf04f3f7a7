// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scope of a cgroup when something is wrong with it.

use std::time::Duration;

use ibsr_proto::cgroup_abi::CgroupMeta;
use ibsr_proto::snapshot::{Gap, GapReason};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::process::{Running, killed_at, say, wait_until};
use rustix::process::Signal;
use test_tag::tag;

use crate::cgroup_stage::{House, Sealed, assert_is, attached, key_of_entry, meta, newest};
use crate::sealed::{sealed, sweeps_written};

const SOON: Duration = Duration::from_secs(30);
/// More calls of one kind than a run makes: a bound for a test that went wrong.
const CALLS: u32 = 200;

/// Maps of another release, or of another sensor, are not decoded; one line says so.
#[tag(root)]
#[test]
fn maps_that_were_not_made_for_this_reader_are_refused() {
    for (change, words) in [
        (
            (|meta: &mut CgroupMeta| meta.abi_version += 1) as fn(&mut CgroupMeta),
            "cgroup ABI version 4",
        ),
        (|meta| meta.magic = 7, "does not start with the IBSR magic"),
        (|meta| meta.ncpu += 1, "possible CPUs"),
    ] {
        let house = House::new();
        let cgroup = Cgroup::new();
        let mut sensor = CgroupSensor::attach(&cgroup);
        let mut described = meta(&cgroup, 4_096);
        change(&mut described);
        house.pin(&mut sensor, "cg-other", &described);
        let said = say(&mut house.reader("once", "cg-other")).expect_code(2).expect_stderr(words);
        let lines = said.stderr.lines().filter(|line| line.contains("ibsr-reader:")).count();
        assert_eq!(lines, 1, "{}", said.stderr);
        assert!(sealed(house.spool.path(), "cg-other").is_empty());
    }
}

#[tag(root)]
#[test]
fn a_scope_without_pins_is_told_how_to_get_them() {
    let house = House::new();
    let said = say(&mut house.reader("once", "cg-nowhere"));
    let _said = said.expect_code(2).expect_stderr("hint: ibsr-loader attach cgroup PATH");
}

/// The links go with the cgroup, and their pins stay: only the folder tells.
#[tag(root)]
#[test]
fn a_cgroup_that_is_removed_is_detached() {
    let house = House::new();
    let (cgroup, _sensor) = attached(&house, "cg-gone", 4_096);
    let mut running = Running::start(house.reader("run", "cg-gone").args(["--period", "20ms"]));
    let written = || sweeps_written(house.spool.path(), "cg-gone");
    wait_until("it sweeps", SOON, || written() > 0);
    drop(cgroup);
    let before = written();
    wait_until("it goes on", SOON, || written() > before + 1);
    running.signal(Signal::TERM);
    assert!(running.wait(SOON).success());
    let (_, sweeps) = newest(house.spool.path(), "cg-gone");
    let (first, last) = (sweeps.first().expect("a sweep"), sweeps.last().expect("a sweep"));
    assert!(first.attached && !last.attached);
    let paths = sealed(house.spool.path(), "cg-gone");
    let gaps: Vec<Gap> = paths.iter().flat_map(|path| Sealed::read(path).gaps).collect();
    let [gap] = &gaps[..] else { panic!("one gap: {gaps:?}") };
    assert_eq!(gap.reason, GapReason::Detached);
    assert!(gap.from_boot_ns >= first.at_boot_ns && gap.to_boot_ns >= last.at_boot_ns);
}

/// R1: after a kill at any write, open, fsync, rename or bpf call there is no partial sealed
/// file, and the next sweep has every flow.
#[tag(root)]
#[test]
fn a_kill_at_any_system_call_leaves_whole_files_and_loses_no_flow() {
    let house = House::new();
    let (cgroup, mut sensor) = attached(&house, "cg-strace", 4_096);
    let mut actor = Actor::start(&cgroup);
    actor.socket("u", "udp4");
    for port in 1..6 {
        actor.act(&format!("sendto u 127.0.0.1:{port} 100"));
    }
    sensor.detach();
    for call in ["write", "openat", "fsync", "renameat2", "bpf"] {
        let kills = kill_at_each(&house, &sensor, call);
        assert!(kills > 0, "a run makes no `{call}` call at all");
    }
}

/// Kills run after run at the first, second, … call until one gets through; how many died.
fn kill_at_each(house: &House, sensor: &CgroupSensor, call: &str) -> u32 {
    let spool = crate::scope::spool();
    for number in 1..CALLS {
        let mut command = killed_at(call, number, "ibsr-reader");
        command.args(["once", "--scope", "cg-strace", "--pin-root"]).arg(house.pins.path());
        if say(command.arg("--spool").arg(spool.path())).code.is_none() {
            continue;
        }
        let (rows, sweeps) = newest(spool.path(), "cg-strace");
        let entries = sensor.flows();
        assert_eq!((rows.len(), entries.len() >= 5), (entries.len(), true));
        assert_eq!(sweeps.last().expect("a sweep").entries, entries.len() as u64);
        for (key, entry) in &entries {
            assert_is(&rows[&key_of_entry(key)], entry);
        }
        return number - 1;
    }
    panic!("still killed at `{call}` call {CALLS}")
}
