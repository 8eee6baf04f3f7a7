// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both source tables and the losses in one sweep.

use ibsr_proto::abi::{Losses, PORT_CELLS, PortLoss};
use ibsr_proto::snapshot::LossOfPort;
use ibsr_tests::process::say;
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::scope::{Design, Made, SCOPE, entry, reader, spool};
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
