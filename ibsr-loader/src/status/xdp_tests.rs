// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every state of a scope that an operator can meet, without a kernel.

use ibsr_proto::abi::{ABI_HASH, ABI_VERSION, META_MAGIC, Meta};
use ibsr_proto::pins::XDP_MAPS;
use zerocopy::FromBytes as _;

use super::*;
use crate::installed::Undescribed;
use crate::installed::xdp::PROGRAM_NAME;
use crate::kernel::{LinkInfo, MapInfo, ProgInfo};

const BOOT: [u8; 16] = [1; 16];

fn scope() -> Scope {
    Scope::xdp("eth0").expect("a plain name")
}

fn found() -> Installed {
    let map = |name: &str| MapInfo {
        id: 1,
        name: name.to_owned(),
        key_size: 4,
        value_size: 8,
        max_entries: 1,
    };
    let meta = Meta {
        magic: META_MAGIC,
        abi_version: ABI_VERSION,
        abi_hash: ABI_HASH,
        boot_id: BOOT,
        evidence: Evidence::Frozen as u32,
        ifindex: 5,
        ..Meta::read_from_bytes(&[0; size_of::<Meta>()]).expect("zeroes")
    };
    Installed {
        dir: "/pins".into(),
        link: Pin::There(LinkInfo { id: 9, prog_id: 4, is_xdp: true, ifindex: 5, cgroup_id: None }),
        prog: Pin::There(ProgInfo {
            id: 4,
            name: PROGRAM_NAME.to_owned(),
            tag: [0; 8],
            is_xdp: true,
        }),
        maps: XDP_MAPS.iter().map(|(pin, name)| (*pin, Pin::There(map(name)))).collect(),
        meta: Ok(Box::new(meta)),
        foreign: Vec::new(),
    }
}

fn world() -> World {
    World {
        boot_id: BOOT,
        ifname_now: Some("eth0".to_owned()),
        xdp: XdpState { native_id: 4, ..XdpState::default() },
        silence: None,
        has_prepared: false,
    }
}

#[track_caller]
fn assert_problem(found: &Installed, world: &World, text: &str) {
    let (problems, _) = judge(&scope(), found, world);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].problem.contains(text), "{problems:?}");
    assert!(!problems[0].hint.is_empty());
}

#[track_caller]
fn assert_note(found: &Installed, world: &World, text: &str) {
    let (problems, notes) = judge(&scope(), found, world);
    assert_eq!(problems, []);
    assert!(notes.iter().any(|note| note.contains(text)), "{notes:?}");
}

#[test]
fn an_attached_scope_has_nothing_to_say() {
    assert_eq!(judge(&scope(), &found(), &world()), (vec![], vec![]));
}

#[test]
fn what_keeps_it_from_counting_is_a_problem() {
    let gone = LinkInfo { id: 9, prog_id: 4, is_xdp: true, ifindex: 0, cgroup_id: None };
    let gone = Installed { link: Pin::There(gone), ..found() };
    assert_problem(&gone, &world(), "interface was deleted");
    assert_problem(
        &Installed { link: Pin::Missing, ..found() },
        &world(),
        "did not get to its end",
    );
    let alien = Installed { link: Pin::Alien("a map".to_owned()), ..found() };
    assert_problem(&alien, &world(), "`link` is not ours");
    let other = World { boot_id: [2; 16], ..world() };
    assert_problem(&found(), &other, "another boot");
    let error = ibsr_proto::abi::MetaError::Abi { version: 7, hash: 1 };
    let other = Installed { meta: Err(Undescribed::Abi(error)), ..found() };
    assert_problem(&other, &world(), "ABI version 7");
    let mut torn = found();
    torn.maps[1].1 = Pin::Missing;
    assert_problem(&torn, &world(), "`proven` is missing");
}

#[test]
fn what_only_changed_around_it_is_a_note() {
    let renamed = World { ifname_now: Some("wan0".to_owned()), ..world() };
    assert_note(&found(), &renamed, "`wan0` now");
    let moved = World { ifname_now: None, xdp: XdpState::default(), ..world() };
    assert_note(&found(), &moved, "another network namespace");
    // Another interface got the index of the one that moved away.
    let reused = World { xdp: XdpState::default(), ..world() };
    assert_note(&found(), &reused, "another network namespace");
    assert_note(&found(), &World { silence: Some("down"), ..world() }, "is down");
    assert_note(
        &found(),
        &World { has_prepared: true, ..world() },
        "upgrade did not get to its end",
    );
    assert_note(
        &Installed { foreign: vec!["x".to_owned()], ..found() },
        &world(),
        "`x` is not ours",
    );
}

/// A member of the group cannot open the link, but sees whether any program is there.
#[test]
fn without_the_link_the_interface_decides() {
    let closed = || Installed { link: Pin::Denied, prog: Pin::Denied, ..found() };
    assert_note(&closed(), &world(), "needs root");
    let bare = World { xdp: XdpState::default(), ..world() };
    assert_problem(&closed(), &bare, "no XDP program is on the interface");
}

#[test]
fn text_names_the_problem_and_what_to_do() {
    let (problems, notes) = judge(&scope(), &Installed { link: Pin::Missing, ..found() }, &world());
    let facts = facts(&found(), &world());
    let report = ScopeReport {
        scope: "xdp-eth0".to_owned(),
        healthy: false,
        problems,
        notes,
        facts: crate::status::Facts::Xdp(facts),
    };
    let text = crate::status::render_scope(&report);
    assert!(text.starts_with("xdp-eth0: NOT HEALTHY\n  problem "), "{text}");
    assert!(text.contains("ibsr-loader attach xdp eth0"), "{text}");
    assert!(text.contains("link id 9") || text.contains("id 9, program id 4"), "{text}");
}
