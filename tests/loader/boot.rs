// SPDX-License-Identifier: MIT OR Apache-2.0
//! L9: what a reboot leaves and what the boot unit does. The whole boot runs in the tests of
//! the units; here is what can be seen without one.

use std::fs;

use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::say;
use test_tag::tag;

use crate::world::World;

/// L9: pins that name another boot are reported, never continued: the boot clock began anew,
/// so the boot unit's plain `attach` starts a new epoch.
#[tag(root)]
#[test]
fn pins_of_another_boot_are_replaced_by_a_new_epoch() {
    let world = World::new();
    let _said = world.attach("");
    let before = world.meta();
    let other = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(other.path(), "01234567-89ab-cdef-0123-456789abcdef\n").expect("writable");
    let in_other_boot = |args: &str| {
        let mount = format!(
            "mount --make-rprivate /; mount --bind {} /proc/sys/kernel/random/boot_id; exec \"$@\"",
            other.path().display()
        );
        say(&mut world.command_under(&["unshare", "-m", "sh", "-c", &mount, "sh"], args))
    };
    let said = in_other_boot("status").expect_code(1);
    assert!(said.stdout.contains("attached in another boot"), "{}", said.stdout);
    let attach = format!("attach xdp {HOST_IF}");
    let _said = in_other_boot(&attach).expect_code(0).expect_stderr("another boot");
    let after = world.meta();
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(after.boot_id_text(), "01234567-89ab-cdef-0123-456789abcdef");
    let _said = in_other_boot("status").expect_code(0);
    world.assert_detaches();
}

/// L9: the boot unit runs the same command whether pins are there or not.
#[tag(root)]
#[test]
fn a_plain_attach_adopts_what_is_there_or_makes_it() {
    let world = World::new();
    let _said = world.attach("").expect_stderr(" attached ");
    let epoch = world.meta().epoch;
    let _said = world.attach("").expect_stderr("already attached");
    assert_eq!(world.meta().epoch, epoch);
    // After a boot bpffs is empty.
    fs::remove_dir_all(world.pins.path()).expect("ours");
    let _said = world.attach("").expect_stderr(" attached ");
    assert_ne!(world.meta().epoch, epoch);
}
