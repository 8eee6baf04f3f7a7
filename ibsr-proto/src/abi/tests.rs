// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a reader accepts as `meta`, and what the hash sees.

use super::*;

fn meta() -> Meta {
    Meta {
        magic: META_MAGIC,
        abi_version: ABI_VERSION,
        abi_hash: ABI_HASH,
        epoch: 7,
        boot_id: [0xab; 16],
        ifname: *b"eth0\0\0\0\0\0\0\0\0\0\0\0\0",
        ..Meta::read_from_bytes(&[0; size_of::<Meta>()]).expect("zeroes")
    }
}

/// The source at capacity must find the table half full, and one source must have a set.
#[test]
fn a_table_has_two_ways_for_each_source() {
    assert_eq!([1, 4, 5, 100_000].map(set_count), [1, 1, 2, 25_000]);
}

#[test]
fn a_good_meta_reads_back_as_written() {
    let read = Meta::from_abi(meta().as_bytes()).expect("good");
    assert_eq!(read, meta());
    assert_eq!(read.ifname(), "eth0");
    assert_eq!(read.epoch_text(), "0000000000000007");
    assert_eq!(read.boot_id_text(), "abababab-abab-abab-abab-abababababab");
}

/// Each way in which maps of another build can look must name both sides.
#[test]
fn a_foreign_or_other_layout_is_refused() {
    let foreign = Meta { magic: 1, ..meta() };
    assert_eq!(Meta::from_abi(foreign.as_bytes()), Err(MetaError::Magic { found: 1 }));
    let other = Meta { abi_hash: 1, ..meta() };
    assert_eq!(
        Meta::from_abi(other.as_bytes()),
        Err(MetaError::Abi { version: ABI_VERSION, hash: 1 })
    );
    assert_eq!(Meta::from_abi(&[0; 8]), Err(MetaError::Size { found: 8 }));
}

/// The hash must see a swap of two fields of one size, which no size check sees.
#[test]
fn swapping_two_fields_changes_the_hash() {
    let [a, b, ..] = *SourceCounts::LAYOUT.fields else { panic!("two fields") };
    let swapped = [Field { name: b.name, ..a }, Field { name: a.name, ..b }];
    let leaked: &'static [Field] = Box::leak(Box::new(swapped));
    let straight: &'static [Field] = Box::leak(Box::new([a, b]));
    let with = |fields| hash_layouts(&[Layout { c_name: "x", size: 16, fields }]);
    assert_ne!(with(leaked), with(straight));
}
