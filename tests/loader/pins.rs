// SPDX-License-Identifier: MIT OR Apache-2.0
//! L8: a pin root that cannot be trusted or written. bpffs belongs to everybody (mode 1777),
//! so each of these could be somebody else's work.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::process::Command;

use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Said, say};
use test_tag::tag;

use crate::world::World;

const NOBODY: u32 = 65534;

#[track_caller]
fn assert_refused(world: &World, parts: &[&str]) {
    for command in [format!("attach xdp {HOST_IF}"), "detach".into(), "status".into()] {
        let mut said = world.run(&command).expect_code(2);
        for part in parts {
            said = said.expect_stderr(part);
        }
    }
    let said = world.run(&format!("check {HOST_IF}")).expect_code(1);
    assert!(said.stdout.contains("STOPS  pins"), "{}", said.stdout);
    assert_eq!(world.xdp_id(), None);
}

/// L8: a pin root that another user made is refused; the message names path and owner.
#[tag(root)]
#[test]
fn a_squatted_pin_root_is_refused() {
    let world = World::new();
    fs::create_dir(world.pins.path()).expect("bpffs is writable");
    chown(world.pins.path(), Some(NOBODY), None).expect("root may");
    let path = world.pins.path().display().to_string();
    assert_refused(&world, &[&path, "belongs to uid 65534", "hint: "]);
}

/// L8: a scope directory that another user made is refused too.
#[tag(root)]
#[test]
fn a_squatted_scope_directory_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.dir()).expect("bpffs is writable");
    chown(world.dir(), Some(NOBODY), None).expect("root may");
    for command in [format!("attach xdp {HOST_IF}"), "detach".into(), "status".into()] {
        let said = world.run(&command).expect_code(2);
        let _said = said.expect_stderr("xdp-veth-h` belongs to uid 65534");
    }
    assert_eq!(world.xdp_id(), None);
}

/// L8: a symbolic link is not followed, wherever it stands in the path.
#[tag(root)]
#[test]
fn a_symbolic_link_is_refused() {
    let world = World::new();
    let target = tempfile::tempdir().expect("a temporary directory");
    symlink(target.path(), world.pins.path()).expect("bpffs takes symbolic links");
    let path = world.pins.path().display().to_string();
    assert_refused(&world, &[&path, "symbolic link of uid 0"]);
    assert!(fs::read_dir(target.path()).expect("there").next().is_none());
    let below = format!("attach xdp {HOST_IF} --pin-root {path}/below --group 0");
    let mut command = world.pair.host.command(world.loader.to_str().expect("plain"));
    let said = say(command.args(below.split_whitespace())).expect_code(2);
    let _said = said.expect_stderr("symbolic link");
    fs::remove_file(world.pins.path()).expect("ours");
}

/// L8: a directory that others may write to could be changed under our hands.
#[tag(root)]
#[test]
fn a_pin_root_that_others_may_write_is_refused() {
    let world = World::new();
    fs::create_dir(world.pins.path()).expect("bpffs is writable");
    fs::set_permissions(world.pins.path(), fs::Permissions::from_mode(0o777)).expect("ours");
    assert_refused(&world, &["mode 0777", "owner uid 0", "hint: `chmod go-w"]);
}

/// L8: pins need bpffs. The message says how to get one.
#[tag(root)]
#[test]
fn a_pin_root_outside_bpffs_is_refused() {
    let world = World::new();
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let root = elsewhere.path().join("pins").display().to_string();
    let mut command = world.pair.host.command(world.loader.to_str().expect("plain"));
    let args = format!("attach xdp {HOST_IF} --group 0 --pin-root {root}");
    let said = say(command.args(args.split_whitespace())).expect_code(2);
    let _said =
        said.expect_stderr(elsewhere.path().to_str().expect("plain")).expect_stderr("bpffs");
    assert!(fs::read_dir(elsewhere.path()).expect("there").next().is_none());
}

/// Runs an attach in a private mount namespace after `prepare`, a shell line.
fn attach_after(world: &World, prepare: &str) -> Said {
    let shell = format!(
        "set -e; mount --make-rprivate /; {prepare}; exec {} attach xdp {HOST_IF} --group 0 --pin-root /sys/fs/bpf/ours",
        world.loader.display()
    );
    let mut command: Command = world.pair.host.command("unshare");
    say(command.args(["-m", "sh", "-c", &shell]))
}

/// L8: a bpffs that is mounted read-only is said to be so.
#[tag(root)]
#[test]
fn a_read_only_bpffs_is_named() {
    let world = World::new();
    let read_only = "mount -t bpf -o ro bpf /sys/fs/bpf";
    let said = attach_after(&world, read_only).expect_code(2).expect_stderr("/sys/fs/bpf/ours");
    let _said =
        said.expect_stderr("read-only").expect_stderr("owner uid 0").expect_stderr("hint: ");
    assert_eq!(world.xdp_id(), None);
}

/// L8: no bpffs at all.
#[tag(root)]
#[test]
fn a_missing_bpffs_is_named_with_the_command_to_mount_it() {
    let world = World::new();
    let missing = "mount -t tmpfs none /sys/fs/bpf";
    let said = attach_after(&world, missing).expect_code(2);
    let _said = said.expect_stderr("bpffs").expect_stderr("mount -t bpf bpf /sys/fs/bpf");
    assert_eq!(world.xdp_id(), None);
}

/// L8: systemd mounts bpffs with mode 0700; root without CAP_DAC_OVERRIDE can still use it.
#[tag(root)]
#[test]
fn a_private_bpffs_of_mode_0700_works() {
    let world = World::new();
    let private = "mount -t bpf -o mode=0700 bpf /sys/fs/bpf";
    let _said = attach_after(&world, private).expect_code(0).expect_stderr("attached");
}

/// A reader sees the pins through a bind mount, because the path to bpffs may be closed to it.
#[tag(root)]
#[test]
fn status_works_through_a_bind_mount() {
    let world = World::new();
    let _said = world.attach("");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let shell = format!(
        "set -e; mount --make-rprivate /; mount --bind {} {}; exec {} status --pin-root {}",
        world.pins.path().display(),
        elsewhere.path().display(),
        world.loader.display(),
        elsewhere.path().display()
    );
    let mut command: Command = world.pair.host.command("unshare");
    // A temporary directory of the system is writable by all and sticky.
    let said = say(command.args(["-m", "sh", "-c", &shell])).expect_code(0);
    assert!(said.stdout.contains("xdp-veth-h: healthy"), "{}", said.stdout);
}
