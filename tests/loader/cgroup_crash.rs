// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader killed at every few system calls: under the scope's name everything is attached,
//! or nothing is there, and the next run goes on from it.

use ibsr_proto::pins::CGROUP_PROGS;
use test_tag::tag;

use crate::cgroup_site::{Site, Talk, all_pins};
use crate::crash::kill_at_each;
use crate::world::names;

/// A run has some 140 calls of bpf(); programs and links come one by one in them.
const STEP: usize = 4;

#[track_caller]
fn assert_all_or_nothing(site: &Site, when: &str) {
    if site.dir().exists() {
        assert_eq!(site.pins(), all_pins(), "{when}");
        assert_eq!(site.programs(), CGROUP_PROGS.len() - 1, "{when}");
    } else {
        let (code, scope) = site.status();
        assert_eq!(code, 1, "{when}: {scope:#}");
    }
}

#[tag(root)]
#[test]
fn killed_during_attach_leaves_all_or_nothing() {
    let site = Site::new();
    let mut talk = Talk::start(&site.cgroup);
    talk.connect_once();
    let under =
        |wrapper: &[&str]| site.command_under(wrapper, &site.attach_args("--max-flows 100"));
    kill_at_each(&under, STEP, &|| site.assert_detaches(), &|when| {
        assert_all_or_nothing(&site, when);
        let _said = site.attach("--max-flows 100");
        site.assert_healthy();
        assert_eq!(names(site.pins.path()), ["cg-site"], "{when}");
    });
    talk.connect_once();
    site.assert_detaches();
}

/// In between, hooks may feed the programs before and the ones after; each counts, and the next
/// attach ends it.
#[tag(root)]
#[test]
fn killed_during_an_upgrade_keeps_every_hook() {
    let site = Site::new();
    let mut talk = Talk::start(&site.cgroup);
    let under =
        |wrapper: &[&str]| site.command_under(wrapper, &site.attach_args("--max-flows 200"));
    let back = || {
        let _said = site.attach("--max-flows 100");
    };
    kill_at_each(&under, STEP, &back, &|when| {
        assert_eq!(site.programs(), CGROUP_PROGS.len() - 1, "{when}: a hook without a program");
        let _said = site.attach("--max-flows 200");
        site.assert_healthy();
        assert_eq!(site.meta().max_flows, 200, "{when}");
        assert_eq!(names(site.pins.path()), ["cg-site"], "{when}");
    });
    talk.connect_once();
    site.assert_detaches();
}

#[tag(root)]
#[test]
fn killed_during_detach_is_finished_by_the_next() {
    let site = Site::new();
    let attach = || {
        let _said = site.attach("--max-flows 100");
    };
    let under = |wrapper: &[&str]| site.command_under(wrapper, "detach");
    kill_at_each(&under, STEP, &attach, &|_| site.assert_detaches());
}
