// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole path on whatever kernel runs: attach, count, read without any right, say how
//! strong the evidence is. On a kernel that is too old: one line, and nothing touched.
//! `make vm-test` runs this on several kernels.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::Path;
use std::process::Command;

use ibsr_proto::snapshot::{Header, Row, Sweep};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::frames::{Frame, flag, send_frames};
use ibsr_tests::kernel::{OLDEST, Release, strongest_evidence};
use ibsr_tests::netns::{HOST_IF, PEER_IF, Pair};
use ibsr_tests::process::{Said, program, say};
use ibsr_tests::segments::rows;
use serde_json::Value;
use tempfile::TempDir;
use test_tag::tag;

const NOBODY: u32 = 65_534;
/// A group that no account of the machine is in.
const PIN_GID: u32 = 61_234;
const PACKETS: usize = 7;

struct World {
    pair: Pair,
    pins: PinRoot,
    /// Programs and spool where a plain user can use them; the build directory may be closed.
    open: TempDir,
}

impl World {
    fn new() -> Self {
        let open = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a directory");
        let spool = open.path().join("spool");
        fs::create_dir(&spool).expect("a directory");
        chown(&spool, Some(NOBODY), Some(NOBODY)).expect("root may");
        fs::copy(program("ibsr-reader"), open.path().join("ibsr-reader")).expect("a copy");
        Self { pair: Pair::new(), pins: PinRoot::new(), open }
    }

    fn loader(&self, args: &str) -> Said {
        let loader = program("ibsr-loader");
        let mut command = self.pair.host.command(loader.to_str().expect("a plain path"));
        say(command.args(args.split_whitespace()).arg("--pin-root").arg(self.pins.path()))
    }

    fn attach(&self) -> Said {
        self.loader(&format!("attach xdp {HOST_IF} --group {PIN_GID}"))
    }

    fn send(&self) {
        let frame = Frame::v4([203, 0, 113, 9], [10, 77, 0, 1]).ports(40_000, 443).flags(flag::SYN);
        let frame = frame.build();
        self.pair.peer.inside(|| send_frames(PEER_IF, std::iter::repeat_n(frame, PACKETS)));
    }

    /// One sweep as nobody in the pins' group, without a capability in any set.
    fn read(&self) -> (Header, Sweep) {
        let mut command = Command::new("setpriv");
        command
            .args([&format!("--reuid={NOBODY}"), &format!("--regid={PIN_GID}"), "--clear-groups"])
            .args(["--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"])
            .arg("--no-new-privs")
            .arg(self.open.path().join("ibsr-reader"))
            .args(["once", "--scope", &format!("xdp-{HOST_IF}"), "--pin-root"])
            .arg(self.pins.path())
            .arg("--spool")
            .arg(self.open.path().join("spool"));
        let said = say(&mut command).expect_code(0).expect_stderr("reading without capabilities");
        let mut rows = rows(&fs::read(Path::new(said.stdout.trim())).expect("sealed")).into_iter();
        let Some(Row::Header(header)) = rows.next() else {
            panic!("a segment starts with a header")
        };
        let sweep =
            rows.find_map(|row| if let Row::Sweep(sweep) = row { Some(*sweep) } else { None });
        (*header, sweep.expect("a sweep"))
    }
}

/// L10: where the kernel has what it takes, it attaches, counts, and says the same level of
/// evidence everywhere; one that is too old is named with the release that is needed.
#[tag(root)]
#[test]
fn the_sensor_works_with_what_this_kernel_has_or_names_what_it_needs() {
    let world = World::new();
    let running = Release::running();
    if running < OLDEST {
        return assert_refused(&world, running);
    }
    let _said = world.attach().expect_code(0);
    let said = world.loader("status --format json").expect_code(0);
    let status: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let evidence = status["scopes"][0]["evidence"].as_str().expect("the level");
    assert_eq!(evidence, strongest_evidence().as_str(), "on Linux {running}");
    world.send();
    let (header, sweep) = world.read();
    assert_eq!(header.evidence, evidence, "segments say it too");
    assert_eq!(sweep.totals.tracked, PACKETS as u64);
    assert!(sweep.conserved);
    let _said = world.loader("detach").expect_code(0);
    assert!(!world.pins.path().exists());
}

/// The same for a cgroup; a loader leaves out and states what this kernel has no program for.
#[tag(root)]
#[test]
fn the_cgroup_sensor_works_with_what_this_kernel_has_or_names_what_it_needs() {
    let (world, cgroup) = (World::new(), Cgroup::new());
    let running = Release::running();
    let path = cgroup.path().display();
    let said = world.loader(&format!("attach cgroup {path} --name guest --group {PIN_GID}"));
    if running < OLDEST {
        let said = said.expect_code(2).expect_stderr("is too old for the cgroup sensor");
        assert_eq!(said.stderr.lines().count(), 2, "one line and a hint: {}", said.stderr);
        assert!(said.stderr.starts_with(&format!("ibsr-loader: kernel {running}.")), "{said:?}");
        assert!(!world.pins.path().exists(), "nothing is left in bpffs");
        return;
    }
    let _said = said.expect_code(0).expect_stderr("attached");
    let said = world.loader("status --format json").expect_code(0);
    let status: Value = serde_json::from_str(&said.stdout).expect("JSON");
    let scope = &status["scopes"][0];
    assert_eq!((&scope["hooks"], &scope["evidence"]), (&15.into(), &"frozen".into()), "{scope:#}");
    assert_eq!(scope["missing"], Value::Array(Vec::new()), "on Linux {running}");
    let _said = world.loader("detach").expect_code(0);
    assert!(!world.pins.path().exists());
}

fn assert_refused(world: &World, running: Release) {
    let said = world.attach().expect_code(2);
    let lines: Vec<&str> = said.stderr.lines().collect();
    let [what, hint] = lines[..] else { panic!("one line and a hint: {}", said.stderr) };
    assert!(what.starts_with(&format!("ibsr-loader: kernel {running}.")), "{what}");
    assert!(what.ends_with("has no multi-buffer XDP (`xdp.frags`)"), "{what}");
    assert_eq!(hint, format!("hint: Linux {OLDEST} or newer is needed"));
    assert!(!world.pins.path().exists(), "nothing is left in bpffs");
    let link = world.pair.host.ip(&format!("link show {HOST_IF}"));
    assert!(!link.contains("xdp"), "{link}");
}
