// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both source tables and the losses in one sweep.

use ibsr_proto::abi::{Losses, Meta, PORT_CELLS, PortLoss, Set, Table, Way, WayRare};
use ibsr_proto::snapshot::LossOfPort;
use ibsr_tests::process::say;
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::scope::{Design, Made, SCOPE, Shape, entry, meta, reader, spool};
use crate::sealed::Story;

fn once(made: &Made) -> Story {
    let spool = spool();
    let _said = say(&mut reader("once", SCOPE, made.root.path(), spool.path())).expect_code(0);
    Story::read(spool.path(), SCOPE)
}

/// A source that became proven has a life in each table, and the sweep lists both.
#[tag(root)]
#[test]
fn a_sweep_lists_both_tables_and_says_which_is_which() {
    let made = Made::new(&Design::default());
    made.fill(3);
    let (key, counts) = entry(1);
    made.unproven.update(key.as_bytes(), counts.as_bytes(), MapFlags::ANY).expect("room");
    let in_proven: u64 = (0..3).map(|number| entry(number).1.packets).sum();
    made.set_tracked(in_proven + counts.packets);
    let story = once(&made);
    let (sweep, rows) = story.sweeps().next().expect("a sweep");
    assert_eq!((sweep.entries, sweep.max_entries, sweep.evicted), (4, 8192, 0));
    assert!(sweep.conserved);
    let proven: Vec<_> = rows.iter().map(|row| row.proven).collect();
    assert_eq!(proven, [Some(false), Some(true), Some(true), Some(true)]);
}

/// Cells are summed over CPUs by port. The last cell has no port, whatever it says.
#[tag(root)]
#[test]
fn losses_are_summed_by_port_over_cpus() {
    let made = Made::new(&Design::default());
    let mut cells = <Losses>::read_from_bytes(&[0; size_of::<Losses>()]).expect("zeroes");
    let cell = |port| PortLoss { port, is_used: 1, syn: 1, ack: 2, other: 3, bytes: 400 };
    (cells[443 % PORT_CELLS], cells[7], cells[PORT_CELLS]) = (cell(443), cell(7), cell(9));
    let cpus = libbpf_rs::num_possible_cpus().expect("CPUs");
    let values = vec![cells.as_bytes().to_vec(); cpus];
    made.losses.update_percpu(&0_u32.to_ne_bytes(), &values, MapFlags::ANY).expect("writable");
    let cpus = cpus as u64;
    let expected = [None, Some(7), Some(443)].map(|dst_port| LossOfPort {
        dst_port,
        syn: cpus,
        ack: 2 * cpus,
        other: 3 * cpus,
        bytes: 400 * cpus,
    });
    assert_eq!(once(&made).last().losses, expected);
}

const SETS: u32 = 3;

/// A scope with the set-associative table, empty.
pub fn with_sets() -> Made {
    let design = Design::default();
    let sets = Shape { entries: SETS, ..design.sets };
    Made::new(&Design { meta: Meta { table: Table::Sets as u32, ..meta() }, sets, ..design })
}

/// Puts entry `number` of `crate::scope` into a way.
pub fn put(set: &mut Set, at: usize, number: u32, is_proven: bool) {
    let (key, counts) = entry(number);
    set.way[at] = Way {
        addr: key.addr,
        dst_port: key.dst_port,
        is_proven: is_proven.into(),
        ack: counts.packets - counts.syn.min(1),
        without_ack: counts.syn.min(1),
        bytes: counts.bytes,
        last_boot_ns: counts.last_boot_ns,
        generation: 2,
        ..Way::default()
    };
    set.rare[at] =
        WayRare { syn: counts.syn, born_boot_ns: counts.born_boot_ns, ..WayRare::default() };
}

pub fn empty_set() -> Set {
    Set::read_from_bytes(&[0; size_of::<Set>()]).expect("zeroes")
}

/// R1: every taken way of every set is a row, whatever hole is before it. One that is being
/// given to another source is none, and its packets are what the law lacks.
#[tag(root)]
#[test]
fn a_sweep_of_the_set_associative_table_lists_every_way_that_is_taken() {
    let made = with_sets();
    let (mut first, mut last) = (empty_set(), empty_set());
    put(&mut first, 0, 1, true);
    put(&mut first, 7, 2, false);
    put(&mut last, 3, 3, true);
    put(&mut last, 4, 4, true);
    last.way[4].generation = 3;
    // Counters of a way that nobody has yet.
    first.way[5].ack = 99;
    for (at, set) in [(0_u32, &first), (SETS - 1, &last)] {
        made.sets.update(&at.to_ne_bytes(), set.as_bytes(), MapFlags::ANY).expect("writable");
    }
    let packets: u64 = (1..=4).map(|number| entry(number).1.packets).sum();
    made.set_tracked(packets);
    made.sets.freeze().expect("the loader does so too");
    let story = once(&made);
    assert_eq!(story.segments[0].header.table, "set-assoc");
    let (sweep, rows) = story.sweeps().next().expect("a sweep");
    assert_eq!((sweep.entries, sweep.max_entries), (3, u64::from(SETS) * 8));
    assert_eq!((sweep.evicted, sweep.conserved), (entry(4).1.packets, true));
    let found: Vec<_> = rows
        .iter()
        .map(|row| (row.proven, row.packets, row.bytes, row.syn, row.born_boot_ns))
        .collect();
    let expected = [(1, true), (2, false), (3, true)].map(|(number, is_proven)| {
        let counts = entry(number).1;
        (Some(is_proven), counts.packets, counts.bytes, counts.syn, counts.born_boot_ns)
    });
    assert_eq!(found, expected);
}
