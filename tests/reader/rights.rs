// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader as the unit runs it: nobody's user, one group, no capability.

use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ibsr_tests::process::{Running, program, say, wait_until};
use libbpf_rs::{MapCore as _, MapFlags};
use rustix::process::Signal;
use test_tag::tag;
use zerocopy::IntoBytes as _;

use crate::scope::{Design, Made, SCOPE, spool};
use crate::sealed::{Sealed, sealed};
use crate::tables::{empty_set, put, with_sets};

pub const NOBODY: u32 = 65_534;
/// A group that no account of the machine is in.
pub const PIN_GID: u32 = 61_234;

/// The program where anybody may run it; the build directory may be closed.
pub fn public_program(dir: &Path) -> PathBuf {
    let copy = dir.join("ibsr-reader");
    fs::copy(program("ibsr-reader"), &copy).expect("a copy");
    copy
}

struct Stage {
    made: Made,
    spool: tempfile::TempDir,
    bin: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let made = Made::new(&Design::default());
        made.fill(100);
        Self::of(made)
    }

    fn of(made: Made) -> Self {
        made.give_to_group(PIN_GID);
        let spool = spool();
        chown(spool.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
        let bin = tempfile::Builder::new()
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .tempdir()
            .expect("a directory");
        Self { made, spool, bin }
    }

    /// As nobody with `gid`, and with no capability in any set.
    fn reader(&self, subcommand: &str, gid: u32) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={NOBODY}"), &format!("--regid={gid}"), "--clear-groups"])
            .args(["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"])
            .arg(public_program(self.bin.path()))
            .args([subcommand, "--scope", SCOPE, "--pin-root"])
            .arg(self.made.root.path())
            .arg("--spool")
            .arg(self.spool.path());
        command
    }
}

/// R10: another user gets no count, and is told which right is missing.
#[tag(root)]
#[test]
fn a_user_outside_the_group_is_refused_with_one_line() {
    let stage = Stage::new();
    let said = say(&mut stage.reader("once", NOBODY))
        .expect_code(2)
        .expect_stderr("ermission denied")
        .expect_stderr("hint: run as a member of the group");
    let lines: Vec<_> = said.stderr.lines().filter(|line| line.contains("ibsr-reader:")).collect();
    assert_eq!(lines.len(), 1, "{}", said.stderr);
    assert!(sealed(stage.spool.path(), SCOPE).is_empty());
}

/// R10: the group is all it takes.
#[tag(root)]
#[test]
fn the_group_suffices_without_any_capability() {
    let stage = Stage::new();
    let said = say(&mut stage.reader("once", PIN_GID))
        .expect_code(0)
        .expect_stderr("reading without capabilities");
    let segment = Sealed::read(Path::new(said.stdout.trim()));
    assert_eq!(segment.sweeps[0].0.rows, 100);
}

/// R10: the same for the table that is mapped. Its pin lets the group write, because the kernel
/// maps no other; the map is frozen, so it cannot.
#[tag(root)]
#[test]
fn the_group_suffices_to_map_a_frozen_table() {
    let made = with_sets();
    let mut set = empty_set();
    put(&mut set, 2, 7, true);
    made.sets.update(&[0; 4], set.as_bytes(), MapFlags::ANY).expect("writable");
    made.sets.freeze().expect("the loader does so too");
    let refused = made.sets.update(&[0; 4], set.as_bytes(), MapFlags::ANY);
    refused.expect_err("not even root can write it");
    made.set_tracked(8);
    let stage = Stage::of(made);
    let said = say(&mut stage.reader("once", PIN_GID))
        .expect_code(0)
        .expect_stderr("reading without capabilities");
    let segment = Sealed::read(Path::new(said.stdout.trim()));
    assert_eq!((segment.sweeps[0].0.rows, segment.sweeps[0].0.evicted), (1, 0));
}

fn status_of(pid: u32, name: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
    line.split_whitespace().nth(1).expect("a value").to_owned()
}

/// R10: also when root starts it, with everything: after its first line it has nothing, a
/// filter of its own, and cannot gain anything by exec.
#[tag(root)]
#[test]
fn a_reader_started_by_root_gives_everything_up() {
    let stage = Stage::new();
    let root_spool = spool();
    let mut command = crate::scope::reader("run", SCOPE, stage.made.root.path(), root_spool.path());
    let mut running = Running::start(command.args(["--period", "50ms"]));
    wait_until("a sweep is written", Duration::from_secs(10), || {
        root_spool.path().join(SCOPE).exists()
    });
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(status_of(running.pid(), set), "0000000000000000", "{set}");
    }
    assert_eq!(status_of(running.pid(), "Seccomp:"), "2");
    assert_eq!(status_of(running.pid(), "NoNewPrivs:"), "1");
    running.signal(Signal::TERM);
    assert!(running.wait(Duration::from_secs(10)).success());
}

/// R10: what the reader asks of bpf() all its life are the five commands that read.
#[tag(root)]
#[test]
fn every_bpf_call_of_a_run_is_one_that_reads() {
    let stage = Stage::new();
    let root_spool = spool();
    let trace = stage.bin.path().join("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-e", "trace=bpf", "-o"]).arg(&trace).arg(program("ibsr-reader"));
    command.args(["once", "--scope", SCOPE, "--pin-root"]).arg(stage.made.root.path());
    let _said = say(command.arg("--spool").arg(root_spool.path())).expect_code(0);
    let text = fs::read_to_string(&trace).expect("a trace");
    let calls: Vec<&str> = text.lines().filter(|line| line.contains("bpf(")).collect();
    assert!(calls.len() >= 8, "{text}");
    for call in calls {
        let reads = [
            "BPF_MAP_LOOKUP_ELEM",
            "BPF_MAP_GET_NEXT_KEY",
            "BPF_OBJ_GET,",
            "BPF_OBJ_GET_INFO_BY_FD",
            "BPF_MAP_LOOKUP_BATCH",
        ];
        assert!(reads.iter().any(|command| call.contains(command)), "{call}");
        let opens_for_writing = call.contains("BPF_OBJ_GET,") && !call.contains("BPF_F_RDONLY");
        assert!(!opens_for_writing, "{call}");
    }
}
