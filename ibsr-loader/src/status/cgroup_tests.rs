// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every state of a cgroup scope that an operator can meet, without a kernel.

use ibsr_proto::cgroup_abi::CgroupMeta;
use ibsr_proto::pins::CGROUP_MAPS;
use zerocopy::FromBytes as _;

use super::*;
use crate::installed::Undescribed;
use crate::installed::cgroup::Hook;
use crate::kernel::{LinkInfo, MapInfo, ProgInfo};
use crate::object::cgroup::{PROGRAM_PREFIX, WALK};

const BOOT: [u8; 16] = [1; 16];

fn scope() -> Scope {
    Scope::cgroup("web").expect("a plain name")
}

fn found_with(cgroup_id: u64) -> Installed {
    let map = |name: &str| MapInfo {
        id: 1,
        name: name.to_owned(),
        key_size: 4,
        value_size: 8,
        max_entries: 1,
    };
    let hook = |(at, name): (u32, &'static str)| {
        let link =
            LinkInfo { id: at, prog_id: at, is_xdp: false, ifindex: 0, cgroup_id: Some(cgroup_id) };
        let prog = ProgInfo {
            id: at,
            name: format!("{PROGRAM_PREFIX}{name}"),
            tag: [0; 8],
            is_xdp: false,
        };
        let link = if name == WALK { Pin::Missing } else { Pin::There(link) };
        Hook { name, link, prog: Pin::There(prog) }
    };
    let meta = CgroupMeta {
        boot_id: BOOT,
        evidence: Evidence::Frozen as u32,
        cgroup_id,
        resolver_count: 1,
        ..CgroupMeta::read_from_bytes(&[0; size_of::<CgroupMeta>()]).expect("zeroes")
    };
    Installed {
        dir: "/pins".into(),
        hooks: (1..).zip(CGROUP_PROGS).map(hook).collect(),
        maps: CGROUP_MAPS.iter().map(|(pin, name)| (*pin, Pin::There(map(name)))).collect(),
        meta: Ok(Box::new(meta)),
        foreign: Vec::new(),
    }
}

fn found() -> Installed {
    found_with(7)
}

fn world() -> World {
    World { boot_id: BOOT, is_there: Some(true), path: None, has_prepared: false }
}

#[track_caller]
fn assert_problem(found: &Installed, world: &World, text: &str) {
    let (problems, _) = judge(&scope(), found, world);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].problem.contains(text), "{problems:?}");
    assert!(problems[0].hint.contains("attach cgroup"), "{problems:?}");
}

#[track_caller]
fn assert_note(found: &Installed, text: &str) {
    let (problems, notes) = judge(&scope(), found, &world());
    assert_eq!(problems, []);
    assert!(notes.iter().any(|note| note.contains(text)), "{notes:?}");
}

#[test]
fn an_attached_scope_has_nothing_to_say() {
    assert_eq!(judge(&scope(), &found(), &world()), (vec![], vec![]));
}

#[test]
fn names_from_anybody_are_a_note() {
    let mut found = found();
    found.meta.as_deref_mut().expect("described").resolver_count = 0;
    assert_note(&found, "no --resolver is listed");
}

#[test]
fn what_keeps_it_from_counting_is_a_problem() {
    assert_problem(&found_with(0), &world(), "cgroup was deleted");
    let gone = World { is_there: Some(false), ..world() };
    assert_problem(&found(), &gone, "cgroup was deleted");
    let other = World { boot_id: [2; 16], ..world() };
    assert_problem(&found(), &other, "another boot");
    let error = ibsr_proto::abi::MetaError::CgroupAbi { version: 7, hash: 1 };
    let other = Installed { meta: Err(Undescribed::Abi(error)), ..found() };
    assert_problem(&other, &world(), "cgroup ABI version 7");
    let mut torn = found();
    torn.maps[1].1 = Pin::Missing;
    assert_problem(&torn, &world(), "`flows` is missing");
}

/// One hook without its link, or with a link to the program before, is not the sensor that the
/// description names.
#[test]
fn a_hook_that_is_not_as_described_is_named() {
    let mut torn = found();
    torn.hooks[2].link = Pin::Missing;
    assert_problem(&torn, &world(), "not attached as described: create");
    let mut mixed = found();
    if let Pin::There(link) = &mut mixed.hooks[8].link {
        link.prog_id = 99;
    }
    assert_problem(&mixed, &world(), "not attached as described: connect4");
    let mut none = found();
    for hook in &mut none.hooks {
        hook.link = Pin::Missing;
    }
    assert_problem(&none, &world(), "no hook is attached");
}

#[test]
fn a_program_that_the_kernel_lacks_is_a_note_with_its_meaning() {
    let mut less = found();
    if let Ok(meta) = &mut less.meta {
        meta.missing = missing::SEED;
    }
    less.hooks[15].prog = Pin::Missing;
    assert_note(&less, "`seed`: sockets that are older than the attachment have no owner");
    assert_eq!(facts(&less).missing, missing_of(missing::SEED));
}

#[test]
fn a_caller_without_rights_is_told_what_was_not_seen() {
    let mut denied = found();
    for hook in &mut denied.hooks {
        (hook.link, hook.prog) = (Pin::Denied, Pin::Denied);
    }
    assert_note(&denied, "needs root");
    assert_eq!(facts(&denied).hooks, None);
}
