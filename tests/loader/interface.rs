// SPDX-License-Identifier: MIT OR Apache-2.0
//! Interfaces that are missing, misspelt, silent, deleted, renamed, moved or large.

use std::process::Stdio;
use std::time::Duration;

use ibsr_proto::abi::XdpMode;
use ibsr_tests::netns::{HOST_IF, Namespace, PEER_IF};
use ibsr_tests::process::{Running, Said, wait_until};
use test_tag::tag;

use crate::traffic::{Traffic, ping};
use crate::world::{SOON, World, xdp_id_of};

/// L4: a name that does not exist is an error that offers what does.
#[tag(root)]
#[test]
fn a_misspelt_interface_names_its_neighbours() {
    let world = World::new();
    let said = world.run("attach xdp vteh-h").expect_code(2);
    let _said = said.expect_stderr("no interface `vteh-h`").expect_stderr("did you mean `veth-h`?");
    let said = world.run("attach xdp enp0s31f6").expect_code(2);
    let _said = said.expect_stderr("the interfaces here are").expect_stderr("veth-h");
    let _said = world.run("check vteh-h").expect_code(2).expect_stderr("did you mean");
    assert!(!world.pins.path().exists());
}

/// L4: `--wait` attaches to an interface that appears later, and gives up when it does not.
#[tag(root)]
#[test]
fn wait_attaches_when_the_interface_appears() {
    let world = World::new();
    let said = world.run("attach xdp late0 --wait 300ms").expect_code(2);
    let _said = said.expect_stderr("no interface `late0`").expect_stderr("after waiting");
    let mut command = world.command("attach xdp late0 --wait 30s");
    let mut waiting = Running::start(command.stderr(Stdio::null()));
    std::thread::sleep(Duration::from_millis(300));
    assert!(waiting.is_running(), "it waits");
    world.pair.host.ip("link add late0 type veth peer name late1");
    assert!(waiting.wait(SOON * 3).success());
    assert!(xdp_id_of(&world.pair.host.ip("-j link show late0")).is_some());
}

/// L4: an interface that is down, or has no carrier, can be attached; it counts when it is up.
#[tag(root)]
#[test]
fn a_silent_interface_counts_once_it_is_up() {
    let world = World::new();
    world.pair.host.ip(&format!("link set {HOST_IF} down"));
    let _said = world.attach("").expect_stderr("down");
    let (code, scope) = world.status();
    assert_eq!((code, &scope["notes"][0]), (0, &"the interface is down".into()));
    world.pair.host.ip(&format!("link set {HOST_IF} up"));
    world.pair.peer.ip(&format!("link set {PEER_IF} down"));
    wait_until("no carrier", SOON, || {
        world.status().1["notes"][0] == "the interface is without carrier"
    });
    world.pair.peer.ip(&format!("link set {PEER_IF} up"));
    wait_until("a frame is counted", SOON, || {
        let _answered = ping(&world.pair);
        world.totals().received > 0
    });
}

/// L5: a deleted interface is reported, and attach works again on the recreated one.
#[tag(root)]
#[test]
fn a_recreated_interface_is_attached_again() {
    let world = World::new();
    let _said = world.attach("");
    let epoch = world.meta().epoch;
    world.pair.host.ip(&format!("link del {HOST_IF}"));
    for _ in 0..2 {
        let (code, scope) = world.status();
        assert_eq!(code, 1);
        let problem = scope["problems"][0]["problem"].as_str().expect("a problem");
        assert!(problem.contains("its interface was deleted"), "{problem}");
        assert_eq!(scope["problems"][0]["hint"], "ibsr-loader attach xdp veth-h");
        // The new interface has the old name, but no program: still not healthy.
        if world.pair.host.ip("-br link").contains(HOST_IF) {
            break;
        }
        world.pair.wire();
    }
    let traffic = Traffic::start(&world.pair);
    let _said = world.attach("").expect_stderr("what it was attached to was deleted");
    world.assert_healthy();
    assert_ne!(world.meta().epoch, epoch, "new maps, new epoch");
    traffic.assert_unaffected();
    assert!(world.totals().received > 0);
    world.assert_detaches();
}

/// L6: a renamed interface keeps counting and is reported under its new name; neither the new
/// name nor a new interface of the old name can be attached over it.
#[tag(root)]
#[test]
fn a_renamed_interface_keeps_counting() {
    let world = World::new();
    let _said = world.attach("");
    world.pair.host.ip(&format!("link set {HOST_IF} down"));
    world.pair.host.ip(&format!("link set {HOST_IF} name wan0"));
    world.pair.host.ip("link set wan0 up");
    let (code, scope) = world.status();
    assert_eq!((code, &scope["ifname"]), (0, &"wan0".into()));
    assert!(scope["notes"][0].as_str().expect("a note").contains("`wan0` now"), "{scope:#}");
    wait_until("a frame is counted", SOON, || ping(&world.pair) && world.totals().received > 0);
    let said = world.run("attach xdp wan0").expect_code(2);
    let _said = said.expect_stderr("already observed, by scope `xdp-veth-h`");
    world.pair.host.ip(&format!("link add {HOST_IF} type bridge"));
    let said = world.run(&format!("attach xdp {HOST_IF}")).expect_code(2);
    let _said = said.expect_stderr("now named `wan0`").expect_stderr("detach xdp-veth-h");
    world.assert_detaches_by(|| xdp_id_of(&world.pair.host.ip("-j link show wan0")));
}

/// L6: an interface that moved to another network namespace keeps counting and is reported.
#[tag(root)]
#[test]
fn a_moved_interface_keeps_counting() {
    let world = World::new();
    let _said = world.attach("");
    let elsewhere = Namespace::new("elsewhere");
    world.pair.host.ip(&format!("link set {HOST_IF} netns {}", elsewhere.name()));
    let (code, scope) = world.status();
    assert_eq!(code, 0, "{scope:#}");
    let note = scope["notes"][0].as_str().expect("a note");
    assert!(note.contains("another network namespace"), "{note}");
    elsewhere.ip(&format!("link set {HOST_IF} up"));
    elsewhere.ip(&format!("addr add 10.77.0.1/24 dev {HOST_IF}"));
    wait_until("a frame is counted", SOON, || ping(&world.pair) || world.totals().received > 0);
    world.assert_detaches_by(|| xdp_id_of(&elsewhere.ip(&format!("-j link show {HOST_IF}"))));
}

/// L7: jumbo frames in native mode work, because the program takes several buffers; raising
/// the MTU later works too, and no frame is cut.
#[tag(root)]
#[test]
fn jumbo_frames_are_counted_in_native_mode() {
    let world = World::new();
    let jumbo = |mtu: u32| {
        world.pair.host.ip(&format!("link set {HOST_IF} mtu {mtu}"));
        world.pair.peer.ip(&format!("link set {PEER_IF} mtu {mtu}"));
    };
    jumbo(9000);
    let _said = world.attach("--mode native");
    assert_eq!(world.meta().xdp_mode, XdpMode::Native as u32);
    assert!(ping_of(&world, 8900));
    jumbo(12000);
    assert!(ping_of(&world, 11900), "a larger MTU after the attach");
    let totals = world.totals();
    assert_eq!((totals.received, totals.other_l4), (2, 2), "{totals:?}");
    world.assert_healthy();
}

fn ping_of(world: &World, bytes: u32) -> bool {
    let mut ping = world.pair.peer.command("ping");
    let size = bytes.to_string();
    ping.args(["-n", "-c", "1", "-W", "2", "-M", "do", "-s", &size, ibsr_tests::netns::HOST_V4]);
    Said::from(ping.output().expect("ping is installed")).code == Some(0)
}

/// L7: a driver that has no XDP gets generic with a warning, and none at all when native was
/// asked for.
#[tag(root)]
#[test]
fn a_driver_without_xdp_falls_back_to_generic_unless_told_otherwise() {
    let world = World::new();
    world.pair.host.ip("link add plain0 type bridge");
    world.pair.host.ip("link set plain0 up");
    let said = world.run("attach xdp plain0 --mode native").expect_code(2);
    let _said = said.expect_stderr("the driver has no XDP").expect_stderr("hint: ");
    assert!(!world.pins.path().exists(), "everything is undone");
    let _said = world.run("attach xdp plain0").expect_code(0).expect_stderr("generic");
    assert!(world.pair.host.ip("link show plain0").contains("xdpgeneric"));
    world.assert_healthy();
    world.assert_detaches_by(|| xdp_id_of(&world.pair.host.ip("-j link show plain0")));
}
