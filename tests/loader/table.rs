// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--table set-assoc`: what is pinned, who may map it, and what another program behind the link
//! does to it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ibsr_proto::abi::{Set, Table, set_count};
use ibsr_proto::pins::{MAP_MODE, MAPPED_MODE};
use ibsr_tests::netns::HOST_IF;
use ibsr_tests::process::say;
use libbpf_rs::MapCore as _;
use test_tag::tag;

use crate::world::{World, open_map};

const ASKED: &str = "--table set-assoc --max-sources 5000";

fn mode_of(world: &World, pin: &str) -> u32 {
    fs::metadata(world.dir().join(pin)).expect("pinned").permissions().mode() & 0o777
}

#[tag(root)]
#[test]
fn the_set_associative_table_has_room_for_twice_the_capacity_and_lets_the_group_map_it() {
    let world = World::new();
    let _said = world.attach(ASKED);
    let sets = open_map(&world.dir().join("sets"));
    assert_eq!(sets.max_entries(), set_count(5000));
    assert_eq!(sets.value_size() as usize, size_of::<Set>());
    // The two that are not used cost nothing to speak of.
    for pin in ["proven", "unproven"] {
        assert_eq!(open_map(&world.dir().join(pin)).max_entries(), 1);
    }
    assert_eq!((mode_of(&world, "sets"), mode_of(&world, "proven")), (MAPPED_MODE, MAP_MODE));
    assert_eq!(world.meta().table, Table::Sets as u32);
    let (code, scope) = world.status();
    assert_eq!((code, &scope["table"]), (0, &"set-assoc".into()));
}

#[tag(root)]
#[test]
fn with_lru_tables_nobody_but_root_may_write_any_pin() {
    let world = World::new();
    let _said = world.attach("--table lru --max-sources 5000");
    assert_eq!(open_map(&world.dir().join("sets")).max_entries(), 1);
    assert_eq!(open_map(&world.dir().join("unproven")).max_entries(), 5000);
    assert_eq!(mode_of(&world, "sets"), MAP_MODE);
    assert_eq!(world.status().1["table"], "lru");
}

/// The same again changes nothing, another table begins a new epoch behind the same link.
#[tag(root)]
#[test]
fn attaching_with_another_table_begins_a_new_epoch() {
    let world = World::new();
    let _said = world.attach(ASKED);
    let (link, epoch) = (world.link_id(), world.meta().epoch);
    let _said = world.attach(ASKED).expect_stderr("nothing to do");
    assert_eq!((world.link_id(), world.meta().epoch), (link, epoch));
    let _said = world.attach("--table lru --max-sources 5000").expect_stderr("a new epoch begins");
    assert_eq!(world.link_id(), link);
    assert_ne!(world.meta().epoch, epoch);
    assert_eq!(mode_of(&world, "sets"), MAP_MODE);
}

/// A pin that the group may write must be of a map that nobody can.
#[tag(root)]
#[test]
fn without_freezing_there_is_no_set_associative_table() {
    let world = World::new();
    // Every freeze of a map that the program uses fails; what comes before and after does not.
    let inject = "inject=bpf:error=EPERM:when=";
    let calls = crate::evidence::freeze_calls(&world);
    let first = calls.first().expect("it freezes");
    let last = calls.last().expect("it freezes");
    let when = format!("{inject}{first}..{last}");
    let wrapper = ["strace", "-f", "-o", "/dev/null", "-e", "trace=bpf", "-e", &when, "--"];
    let attach = format!("attach xdp {HOST_IF} --table set-assoc");
    let _said = say(&mut world.command_under(&wrapper, &attach))
        .expect_code(2)
        .expect_stderr("does not freeze maps")
        .expect_stderr("hint: attach with `--table lru`");
    assert_eq!(world.xdp_id(), None);
}
