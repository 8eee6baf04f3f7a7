// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attach, again, at once, detach: the ordinary life, and what stays behind (nothing).

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;

use ibsr_proto::abi::XdpMode;
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Said, say};
use test_tag::tag;

use crate::traffic::Traffic;
use crate::world::{PINS, World, names, read_totals};

#[tag(root)]
#[test]
fn attach_counts_and_detach_leaves_nothing() {
    let world = World::new();
    let traffic = Traffic::start(&world.pair);
    let said = world.attach("").expect_stderr("attached");
    assert_eq!(said.stdout, "", "talk belongs on stderr");
    assert_eq!(world.pins(), PINS);
    world.assert_healthy();
    traffic.assert_unaffected();
    let totals = world.totals();
    assert!(totals.tracked > 0 && totals.other_l4 > 0, "{totals:?}");
    assert_eq!(totals.check_classes(0), Ok(()));
    world.assert_detaches();
}

/// L2: a second attach with the same settings is a no-op with the same link.
#[tag(root)]
#[test]
fn a_second_attach_changes_nothing() {
    let world = World::new();
    let _said = world.attach("--dst-port 443");
    let (link, program, meta) = (world.link_id(), world.xdp_id(), world.meta());
    let inode = fs::metadata(world.dir()).expect("there").ino();
    let _said = world.attach("--dst-port 443").expect_stderr("already attached");
    assert_eq!((world.link_id(), world.xdp_id(), world.meta()), (link, program, meta));
    assert_eq!(fs::metadata(world.dir()).expect("there").ino(), inode);
    assert_eq!(names(world.pins.path()), [world.scope().as_str()]);
}

/// L2: twenty at once take turns; all succeed, with one link between them.
#[tag(root)]
#[test]
fn twenty_at_once_end_with_one_link() {
    let world = World::new();
    let attach = format!("attach xdp {HOST_IF}");
    let children: Vec<_> = (0..20)
        .map(|_| {
            let mut command = world.command(&attach);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started")
        })
        .collect();
    let said: Vec<Said> = children
        .into_iter()
        .map(|child| Said::from(child.wait_with_output().expect("waited for")).expect_code(0))
        .collect();
    let attached = said.iter().filter(|said| said.stderr.contains(" attached ")).count();
    let unchanged = said.iter().filter(|said| said.stderr.contains("already attached")).count();
    assert_eq!((attached, unchanged), (1, 19));
    assert_eq!(world.pins(), PINS);
    world.assert_healthy();
    world.assert_detaches();
}

#[tag(root)]
#[test]
fn pins_have_their_modes_and_their_group() {
    let world = World::new();
    let _said = world.attach("--group 12345");
    let of = |path: &std::path::Path| {
        let meta = fs::metadata(path).expect("there");
        (meta.mode() & 0o7777, meta.uid(), meta.gid())
    };
    assert_eq!(of(world.pins.path()), (0o750, 0, 12345));
    assert_eq!(of(&world.dir()), (0o750, 0, 12345));
    for pin in PINS {
        let mode = match pin {
            "link" | "prog" => 0o600,
            // The kernel maps only what may be opened for writing; it is frozen.
            "sets" => 0o660,
            _ => 0o640,
        };
        assert_eq!(of(&world.dir().join(pin)), (mode, 0, 12345), "{pin}");
    }
}

#[tag(root)]
#[test]
fn an_unknown_group_is_named() {
    let world = World::new();
    let said = world.run(&format!("attach xdp {HOST_IF} --group nosuchgroup")).expect_code(2);
    let _said = said.expect_stderr("`nosuchgroup`").expect_stderr("hint: ");
    assert!(!world.pins.path().exists());
}

#[tag(root)]
#[test]
fn generic_mode_is_used_when_asked_for() {
    let world = World::new();
    let _said = world.attach("--mode generic");
    assert_eq!(world.meta().xdp_mode, XdpMode::Generic as u32);
    assert!(world.pair.host.ip(&format!("link show {HOST_IF}")).contains("xdpgeneric"));
    world.assert_healthy();
    // Another mode needs another link; the scope is replaced.
    let _said = world.attach("--mode native").expect_stderr("other mode");
    assert_eq!(world.meta().xdp_mode, XdpMode::Native as u32);
    world.assert_healthy();
}

#[tag(root)]
#[test]
fn a_dry_run_says_what_it_would_do_and_does_nothing() {
    let world = World::new();
    let said = world.attach("--dry-run");
    assert!(said.stdout.contains("would attach (native)"), "{}", said.stdout);
    assert!(!world.pins.path().exists() && world.xdp_id().is_none());
    let _said = world.attach("");
    let before = (world.link_id(), world.xdp_id(), world.meta());
    let said = world.attach("--dry-run --dst-port 80");
    assert!(said.stdout.contains("would switch to new maps"), "{}", said.stdout);
    let said = world.run("detach --dry-run").expect_code(0);
    assert!(said.stdout.contains("would detach xdp-veth-h"), "{}", said.stdout);
    assert_eq!((world.link_id(), world.xdp_id(), world.meta()), before);
}

/// L13: detaching twice, or where nothing ever was, is success.
#[tag(root)]
#[test]
fn detach_is_idempotent() {
    let world = World::new();
    let _said = world.run("detach").expect_code(0).expect_stderr("nothing is attached");
    let _said = world.attach("");
    let _said = world.run("detach xdp-veth-h").expect_code(0).expect_stderr("detached");
    let _said = world.run("detach xdp-veth-h").expect_code(0).expect_stderr("nothing is attached");
    let (code, _) = world.status();
    assert_eq!(code, 1);
    world.assert_detaches();
}

/// L13: a reader that holds the maps can finish its last sweep after the detach.
#[tag(root)]
#[test]
fn maps_that_somebody_reads_outlive_the_detach() {
    let world = World::new();
    let _said = world.attach("");
    assert!(crate::traffic::ping(&world.pair));
    let totals = world.totals_map();
    world.assert_detaches();
    assert_eq!(read_totals(&totals).received, 1);
}

#[tag(root)]
#[test]
fn selftest_proves_and_runs_the_program() {
    let world = World::new();
    let said = say(world.pair.host.command(world.loader.to_str().expect("plain")).arg("selftest"));
    let said = said.expect_code(0);
    for part in [
        "each returns XDP_PASS",
        "digest",
        "equal",
        "7 of 7 passed unchanged",
        "each can only allow",
    ] {
        assert!(said.stdout.contains(part), "{part}: {}", said.stdout);
    }
    let _said = world.attach("");
    let digest = world.meta().program_sha256_text();
    assert!(said.stdout.contains(&digest), "selftest and attach prove the same program");
}

#[tag(root)]
#[test]
fn check_touches_nothing_and_answers() {
    let world = World::new();
    let check = format!("check {HOST_IF} --format json");
    let said = world.run(&check).expect_code(0);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!((&report["schema"], &report["ok"]), (&"ibsr-check/1".into(), &true.into()));
    let items = report["items"].as_array().expect("a list");
    let of = |name: &str| items.iter().find(|item| item["item"] == name).expect("an item");
    assert_eq!(of("driver")["value"], "veth: native XDP, multi-buffer");
    assert_eq!(of("xdp")["value"], "no program");
    assert!(!world.pins.path().exists() && world.xdp_id().is_none());
    let _said = world.attach("");
    let said = world.run(&check).expect_code(0);
    assert!(said.stdout.contains("ours already"), "{}", said.stdout);
}
