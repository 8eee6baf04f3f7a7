// SPDX-License-Identifier: MIT OR Apache-2.0
//! L1: the loader killed before each system call that changes anything. Afterwards everything
//! is attached and pinned, or nothing is attached; the next run goes on from there.

use std::process::Command;

use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::{Said, say};
use test_tag::tag;

use crate::traffic::Traffic;
use crate::world::World;

/// Calls that change the kernel's state or a directory. Killed before the N-th of each.
/// Some machines have only the `...at` forms.
const CALLS: [&str; 10] = [
    "bpf",
    "flock",
    "mkdir",
    "mkdirat",
    "chmod",
    "fchmodat",
    "renameat2",
    "unlink",
    "unlinkat",
    "rmdir",
];

/// A kill beyond this means that the loop does not end, not that the loader got longer.
const MOST_CALLS: usize = 400;

/// Runs the command that `under` a wrapper makes again and again, killed at the first call, then
/// `step` calls later each time, until one run ends by itself. Calls `after` each time.
pub fn kill_at_each(
    under: &dyn Fn(&[&str]) -> Command,
    step: usize,
    before: &dyn Fn(),
    after: &dyn Fn(&str),
) {
    let mut killed = 0;
    for call in CALLS {
        for nth in (1..).step_by(step) {
            assert!(nth < MOST_CALLS, "{call} is called without end");
            before();
            let inject = format!("inject=?{call}:signal=KILL:when={nth}");
            let trace = format!("trace=?{call}");
            let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject, "--"];
            let said: Said = say(&mut under(&wrapper));
            if said.code == Some(0) {
                break;
            }
            assert!(said.code.is_none() || said.code == Some(137), "{call} {nth}: {}", said.stderr);
            killed += 1;
            after(&format!("killed before {call} number {nth}"));
        }
    }
    assert!(killed > 10, "only {killed} runs were killed: the injection does not work");
}

/// L1: during a first attach.
#[tag(root)]
#[test]
fn killed_during_attach_leaves_all_or_nothing() {
    let world = World::new();
    let traffic = Traffic::start(&world.pair);
    let attach = format!("attach xdp {HOST_IF}");
    let clean = || world.assert_detaches();
    let under = |wrapper: &[&str]| world.command_under(wrapper, &attach);
    kill_at_each(&under, 1, &clean, &|when| {
        world.assert_all_or_nothing(when);
        let _said = world.attach("");
        world.assert_healthy();
    });
    traffic.assert_unaffected();
    world.assert_detaches();
}

/// L1: during an upgrade with other settings. The link never goes away.
#[tag(root)]
#[test]
fn killed_during_an_upgrade_keeps_the_link() {
    let world = World::new();
    let traffic = Traffic::start(&world.pair);
    let _said = world.attach("");
    let link = world.link_id();
    let upgrade = format!("attach xdp {HOST_IF} --dst-port 443");
    let back = || {
        let _said = world.attach("");
    };
    let under = |wrapper: &[&str]| world.command_under(wrapper, &upgrade);
    kill_at_each(&under, 1, &back, &|when| {
        assert_eq!(world.link_id(), link, "{when}");
        world.assert_all_or_nothing(when);
        let _said = world.attach("--dst-port 443");
        let (code, scope) = world.status();
        assert_eq!(
            (code, &scope["dst_ports"], &scope["link_id"]),
            (0, &"443".into(), &link.into()),
            "{when}"
        );
        assert_eq!(crate::world::names(world.pins.path()), [world.scope().as_str()], "{when}");
    });
    traffic.assert_unaffected();
    world.assert_detaches();
}

/// L1: during a detach.
#[tag(root)]
#[test]
fn killed_during_detach_is_finished_by_the_next() {
    let world = World::new();
    let traffic = Traffic::start(&world.pair);
    let attach = || {
        let _said = world.attach("");
        world.assert_healthy();
    };
    let under = |wrapper: &[&str]| world.command_under(wrapper, "detach");
    kill_at_each(&under, 1, &attach, &|when| {
        if world.pins().iter().any(|name| name == "link") {
            world.assert_all_or_nothing(when);
        }
        world.assert_detaches_by(|| world.xdp_id());
    });
    traffic.assert_unaffected();
}
