// SPDX-License-Identifier: MIT OR Apache-2.0
//! L11: what the loader needs, what it gives away, and what it says when something is missing.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown};

use ibsr_tests::kernel::strongest_evidence;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Said, say};
use test_tag::tag;

use crate::traffic::ping;
use crate::world::World;

const NOBODY: u32 = 65534;

fn attach_under(world: &World, wrapper: &str) -> Said {
    let wrapper: Vec<&str> = wrapper.split_whitespace().collect();
    say(&mut world.command_under(&wrapper, &format!("attach xdp {HOST_IF}")))
}

/// L11: exactly three capabilities are enough for root; detach needs none of them.
#[tag(root)]
#[test]
fn three_capabilities_are_enough() {
    let world = World::new();
    let bounded = "setpriv --bounding-set=-all,+bpf,+net_admin,+perfmon --no-new-privs --";
    let _said = attach_under(&world, bounded).expect_code(0);
    world.assert_healthy();
    let none: Vec<&str> = "setpriv --bounding-set=-all --".split_whitespace().collect();
    let _said = say(&mut world.command_under(&none, "detach")).expect_code(0);
    assert!(!world.pins.path().exists() && world.xdp_id().is_none());
}

/// L11: a missing capability is named, and nothing is touched.
#[tag(root)]
#[test]
fn a_missing_capability_is_named() {
    for (keep, missing) in [
        ("+net_admin,+perfmon", "missing CAP_BPF\n"),
        ("+bpf,+perfmon", "missing CAP_NET_ADMIN\n"),
        ("+bpf,+net_admin", "missing CAP_PERFMON\n"),
        ("+perfmon", "missing CAP_BPF and CAP_NET_ADMIN\n"),
    ] {
        let world = World::new();
        let said = attach_under(&world, &format!("setpriv --bounding-set=-all,{keep} --"));
        let _said = said.expect_code(2).expect_stderr(missing).expect_stderr("hint: ");
        assert!(!world.pins.path().exists() && world.xdp_id().is_none());
    }
}

/// L11: not root at all, with ambient capabilities and a directory of its own.
#[tag(root)]
#[test]
fn a_plain_user_with_ambient_capabilities_can_attach() {
    let world = World::new();
    fs::create_dir(world.pins.path()).expect("bpffs is writable");
    chown(world.pins.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    // The build directory may be closed to others: run a copy.
    let tmp = tempfile::tempdir().expect("a temporary directory");
    chown(tmp.path(), Some(NOBODY), None).expect("root may");
    let copy = tmp.path().join("ibsr-loader");
    fs::copy(&world.loader, &copy).expect("copied");
    let world = World { loader: copy, ..world };
    let caps = "+bpf,+net_admin,+perfmon";
    let wrapper = format!(
        "setpriv --reuid=65534 --regid=65534 --clear-groups --inh-caps={caps} --ambient-caps={caps} --"
    );
    let wrapper: Vec<&str> = wrapper.split_whitespace().collect();
    let attach = format!("attach xdp {HOST_IF} --group 65534");
    let _said = say(&mut world.command_under(&wrapper, &attach)).expect_code(0);
    assert!(ping(&world.pair));
    let totals = world.totals();
    assert_eq!(totals.received, 1);
    let _said = say(&mut world.command_under(&wrapper, "status")).expect_code(0);
    let _said = say(&mut world.command_under(&wrapper, "detach")).expect_code(0);
    assert_eq!(world.xdp_id(), None);
}

/// L11: a member of the group sees that it is attached, without any capability.
#[tag(root)]
#[test]
fn status_needs_no_more_than_the_group() {
    let world = World::new();
    let _said = world.attach("--group 65534");
    let tmp = tempfile::tempdir().expect("a temporary directory");
    fs::set_permissions(tmp.path(), fs::Permissions::from_mode(0o755)).expect("root may");
    let copy = tmp.path().join("ibsr-loader");
    fs::copy(&world.loader, &copy).expect("copied");
    let world = World { loader: copy, ..world };
    let wrapper = "setpriv --reuid=1234 --regid=65534 --clear-groups --bounding-set=-all --";
    let wrapper: Vec<&str> = wrapper.split_whitespace().collect();
    let said = say(&mut world.command_under(&wrapper, "status --format json"));
    let said = said.expect_code(0);
    let evidence = format!("\"evidence\":\"{}\"", strongest_evidence().as_str());
    assert!(said.stdout.contains(&evidence), "{}", said.stdout);
    assert!(said.stdout.contains("needs root"), "{}", said.stdout);
    let outsider = "setpriv --reuid=1234 --regid=1234 --clear-groups --bounding-set=-all --";
    let outsider: Vec<&str> = outsider.split_whitespace().collect();
    let _said = say(&mut world.command_under(&outsider, "status")).expect_code(2);
}

/// L11: bpf() that is refused although the capabilities are there, or that lacks memory, is
/// explained in one line.
#[tag(root)]
#[test]
fn a_refused_bpf_call_is_explained() {
    for (errno, what) in [("EPERM", "hint: "), ("ENOMEM", "memory")] {
        let world = World::new();
        let inject = format!("strace -f -o /dev/null -e trace=bpf -e inject=bpf:error={errno} --");
        let said = attach_under(&world, &inject).expect_code(2).expect_stderr(what);
        assert!(said.stderr.lines().count() <= 3, "{}", said.stderr);
        assert!(!world.pins.path().exists() && world.xdp_id().is_none());
    }
}

/// L10: a kernel without multi-buffer XDP is refused with one line that names both releases.
#[tag(root)]
#[test]
fn a_kernel_that_is_too_old_is_refused_in_one_line() {
    let world = World::new();
    let old = "strace -f -o /dev/null -e trace=bpf -e inject=bpf:error=EINVAL --";
    let said = attach_under(&world, old).expect_code(2).expect_stderr("has no multi-buffer XDP");
    let said = said.expect_stderr("hint: Linux 5.18 or newer is needed");
    assert_eq!(said.stderr.lines().filter(|line| line.contains("ibsr-loader: ")).count(), 1);
    assert!(!world.pins.path().exists());
}
