// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is not ours stays exactly as it was: other XDP programs, tc filters, pins of others.

use std::fs;
use std::path::Path;

use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::netns::{HOST_IF, Pair, run};
use ibsr_tests::process::{say, wait_until};
use libbpf_rs::ObjectBuilder;
use rustix::net::netdevice::name_to_index;
use rustix::net::{AddressFamily, SocketType, socket};
use test_tag::tag;

use crate::traffic::ping;
use crate::world::{PINS, SOON, World, operator_object, operator_program};

const DROP: &str = "return XDP_DROP;";

/// L3: an operator's drop program is named and left alone, and still drops.
#[tag(root)]
#[test]
fn an_operators_drop_program_is_never_replaced() {
    for (flag, mode) in [("xdp", "native"), ("xdpgeneric", "generic")] {
        let world = World::new();
        let tmp = tempfile::tempdir().expect("a temporary directory");
        let object = operator_program(tmp.path(), "op_drop", DROP);
        world.pair.host.ip(&format!("link set {HOST_IF} {flag} obj {} sec xdp", object.display()));
        let before = world.pair.host.ip(&format!("link show {HOST_IF}"));
        let id = world.xdp_id().expect("attached");
        assert!(!ping(&world.pair), "the operator's program drops");
        for args in ["", "--mode native", "--mode generic"] {
            let said = world.run(&format!("attach xdp {HOST_IF} {args}")).expect_code(2);
            let said =
                said.expect_stderr(&format!("program id {id} ({mode}), name `op_drop`, tag "));
            let _said = said.expect_stderr("hint: ");
            assert!(!world.pins.path().exists());
        }
        let said = world.run(&format!("check {HOST_IF}")).expect_code(1);
        assert!(said.stdout.contains("op_drop"), "{}", said.stdout);
        let _said = world.run("detach").expect_code(0);
        assert_eq!(world.pair.host.ip(&format!("link show {HOST_IF}")), before);
        assert!(!ping(&world.pair), "it still drops");
        world.pair.host.ip(&format!("link set {HOST_IF} {flag} off"));
        let _said = world.attach("");
        assert!(ping(&world.pair));
    }
}

/// L3: the same for a program behind a link.
#[tag(root)]
#[test]
fn a_program_behind_another_link_is_never_replaced() {
    let world = World::new();
    let theirs = PinRoot::new();
    fs::create_dir(theirs.path()).expect("bpffs is writable");
    attach_link(&world.pair, "op_link", DROP, &theirs.path().join("link"));
    let said = world.run(&format!("attach xdp {HOST_IF}")).expect_code(2);
    let _said = said.expect_stderr("name `op_link`");
    assert!(!ping(&world.pair), "it still drops");
    drop(theirs);
    wait_until("the operator's program is gone", SOON, || world.xdp_id().is_none());
    let _said = world.attach("");
}

/// Attaches an operator's program by a link that is pinned at `pin`.
fn attach_link(pair: &Pair, name: &str, body: &str, pin: &Path) {
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let object = operator_program(tmp.path(), name, body);
    pair.host.inside(|| {
        let object = ObjectBuilder::default().open_file(&object).expect("valid");
        let object = object.load().expect("loads");
        let program = object.progs_mut().next().expect("one program");
        let mut link = program.attach_xdp(ifindex_of(HOST_IF)).expect("free");
        link.pin(pin).expect("pinned");
    });
}

fn ifindex_of(ifname: &str) -> i32 {
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
    let index = name_to_index(socket, ifname).expect("there");
    i32::try_from(index).expect("small")
}

/// L3: ours is as safe from others: `ip link` can neither replace nor remove it.
#[tag(root)]
#[test]
fn nobody_replaces_ours_by_accident() {
    let world = World::new();
    let tmp = tempfile::tempdir().expect("a temporary directory");
    let object = operator_program(tmp.path(), "op_drop", DROP);
    let _said = world.attach("");
    let id = world.xdp_id();
    for command in [format!("xdp obj {} sec xdp", object.display()), "xdp off".to_owned()] {
        let mut ip = world.pair.host.command("ip");
        let said = say(ip.args(format!("link set {HOST_IF} {command}").split_whitespace()));
        assert_ne!(said.code, Some(0), "{command}");
    }
    assert_eq!(world.xdp_id(), id);
    world.assert_healthy();
}

/// L3: an operator's clsact and filter that drops, there before ours, after ours, through an upgrade
/// and a detach: still there, still dropping, nothing beside it.
#[tag(root)]
#[test]
fn an_operators_tc_filter_still_drops() {
    for is_first in [true, false] {
        let world = World::new();
        let tmp = tempfile::tempdir().expect("a temporary directory");
        let head = "SEC(\"tc\") int op_filter(struct __sk_buff *skb)";
        let object = operator_object(tmp.path(), "op_filter", head, "return TC_ACT_SHOT;");
        let object = object.display();
        let tc = |args: &str| {
            let output = run(world.pair.host.command("tc").args(args.split_whitespace()));
            String::from_utf8(output.stdout).expect("text")
        };
        let add = || {
            tc(&format!("qdisc add dev {HOST_IF} clsact"));
            tc(&format!("filter add dev {HOST_IF} ingress bpf direct-action obj {object} sec tc"));
        };
        let show = || {
            let filters = tc(&format!("filter show dev {HOST_IF} ingress"));
            (
                tc(&format!("qdisc show dev {HOST_IF}")),
                filters,
                tc(&format!("filter show dev {HOST_IF} egress")),
            )
        };
        if is_first {
            add();
        }
        let _said = world.attach("");
        if !is_first {
            add();
        }
        let before = show();
        assert!(before.1.contains("op_filter"), "{before:?}");
        assert!(!ping(&world.pair), "the filter drops, first: {is_first}");
        let _said = world.attach("--dst-port 443");
        assert_eq!(show(), before);
        assert!(!ping(&world.pair), "the filter drops after an upgrade");
        world.assert_detaches();
        assert_eq!(show(), before);
        assert!(!ping(&world.pair), "the filter drops after a detach");
    }
}

/// L13: a file of somebody else's in our directory is named and survives everything.
#[tag(root)]
#[test]
fn an_unknown_file_is_named_and_never_removed() {
    let world = World::new();
    let _said = world.attach("");
    let stray = world.dir().join("stray");
    make_map_pin(&stray);
    let (code, scope) = world.status();
    assert_eq!((code, &scope["foreign"][0]), (0, &"stray".into()));
    let _said = world.attach("--dst-port 1").expect_stderr("stray");
    assert!(stray.exists(), "an upgrade moves it along");
    let _said = world.run("detach").expect_code(0).expect_stderr("stray");
    assert_eq!(world.pins(), ["stray"]);
    assert_eq!(world.xdp_id(), None);
    let _said = world.attach("");
    assert_eq!(world.pins().len(), PINS.len() + 1, "a later attach moves in beside it");
    world.assert_healthy();
}

/// L13: a link under our name that attaches somebody else's program is refused by every
/// command, and so is a map under our name.
#[tag(root)]
#[test]
fn a_foreign_link_or_map_under_our_name_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.dir()).expect("bpffs is writable");
    let link = world.dir().join("link");
    attach_link(&world.pair, "op_pass", "return XDP_PASS;", &link);
    let attach = format!("attach xdp {HOST_IF}");
    for args in ["detach", "detach xdp-veth-h", attach.as_str()] {
        let said = world.run(args).expect_code(2);
        let _said = said.expect_stderr("/link` attaches program ").expect_stderr("refused");
        assert_eq!(world.pins(), ["link"]);
        assert!(world.xdp_id().is_some(), "{args} detached the operator's program");
    }
    fs::remove_file(link).expect("still pinned");
    make_map_pin(&world.dir().join("proven"));
    for args in ["detach", attach.as_str()] {
        let _said = world.run(args).expect_code(2).expect_stderr("/proven` is not ours");
        assert_eq!(world.pins(), ["proven"]);
    }
}

fn make_map_pin(path: &Path) {
    run(std::process::Command::new("bpftool")
        .args(["map", "create"])
        .arg(path)
        .args("type array key 4 value 4 entries 1 name stray".split_whitespace()));
}
