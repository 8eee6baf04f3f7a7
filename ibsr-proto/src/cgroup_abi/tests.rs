// SPDX-License-Identifier: MIT OR Apache-2.0
//! Totals, names, steps, and what a reader accepts as `meta`.

use crate::abi::{META_MAGIC, Meta, MetaError, Sensor};

use super::*;

#[test]
fn totals_of_all_cpus_are_added_and_clocks_are_not() {
    let one = CgroupTotals { tracked_in: 2, retransmits: 3, clock_tick: 9, ..Default::default() };
    let other = CgroupTotals { tracked_in: 5, clock_boot_ns: 9, ..Default::default() };
    let sum = CgroupTotals::sum(&[one, other]);
    assert_eq!(sum, CgroupTotals { tracked_in: 7, retransmits: 3, ..Default::default() });
}

/// More packets in the table than were ever tracked is a broken law, not zero.
#[test]
fn evicted_is_what_is_neither_in_the_table_nor_failed() {
    let totals = CgroupTotals {
        tracked_in: 6,
        tracked_out: 4,
        insert_failed: 1,
        icmp: 3,
        ..Default::default()
    };
    assert_eq!(totals.packets(), 13);
    assert_eq!(totals.evicted(7), Some(2));
    assert_eq!(totals.evicted(9), Some(0));
    assert_eq!(totals.evicted(10), None);
    assert_eq!(totals.evicted(11), None);
}

#[test]
fn every_step_has_a_bit_of_its_own() {
    let all = step::ALL.iter().fold(0, |all, (bit, name)| {
        assert_eq!(all & bit, 0, "{name}");
        all | bit
    });
    assert_eq!(all.count_ones() as usize, step::ALL.len());
}

#[test]
fn a_name_ends_at_its_padding() {
    let mut owner = Owner { comm: *b"sixteen-letters!", ..Owner::default() };
    assert_eq!(owner.comm(), "sixteen-letters!");
    owner.comm[4] = 0;
    assert_eq!((owner.comm(), owner.parent_comm()), ("sixt".to_owned(), String::new()));
}

fn meta() -> CgroupMeta {
    let mut path = [0; PATH_BYTES];
    path[..9].copy_from_slice(b"web.slice");
    CgroupMeta {
        magic: META_MAGIC,
        abi_version: CGROUP_ABI_VERSION,
        abi_hash: CGROUP_ABI_HASH,
        epoch: 7,
        sensor: Sensor::Cgroup as u32,
        path,
        ..CgroupMeta::read_from_bytes(&[0; size_of::<CgroupMeta>()]).expect("zeroes")
    }
}

#[test]
fn a_good_meta_reads_back_as_written() {
    let read = CgroupMeta::from_abi(meta().as_bytes()).expect("good");
    assert_eq!(read, meta());
    assert_eq!((read.path(), read.epoch_text()), ("web.slice".into(), "0000000000000007".into()));
}

/// The maps of the other sensor have the same magic, another size and another hash.
#[test]
fn a_foreign_or_other_layout_is_refused() {
    let of = |meta: &CgroupMeta| CgroupMeta::from_abi(meta.as_bytes());
    assert_eq!(of(&CgroupMeta { magic: 1, ..meta() }), Err(MetaError::Magic { found: 1 }));
    assert_eq!(
        of(&CgroupMeta { abi_hash: 1, ..meta() }),
        Err(MetaError::CgroupAbi { version: CGROUP_ABI_VERSION, hash: 1 })
    );
    assert_eq!(CgroupMeta::from_abi(&[0; 8]), Err(MetaError::CgroupSize { found: 8 }));
}

/// A program reads the fields that both sensors have before it knows which one it is.
#[test]
fn both_descriptions_begin_alike() {
    let (ours, xdp) = (CgroupMeta::LAYOUT.fields, Meta::LAYOUT.fields);
    assert_eq!(ours[..9], xdp[..9]);
    assert_eq!(ours[8].name, "evidence");
}
