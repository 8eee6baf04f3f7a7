// SPDX-License-Identifier: MIT OR Apache-2.0

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// The slow way: of every prefix of every key, those where a key ends or both ways go on.
fn nodes(keys: &BTreeSet<Vec<bool>>) -> u64 {
    let goes_on = |prefix: &[bool], bit| {
        let longer = [prefix, &[bit]].concat();
        keys.iter().any(|key| key.starts_with(&longer))
    };
    let prefixes: BTreeSet<&[bool]> =
        keys.iter().flat_map(|key| (0..=key.len()).map(|bits| &key[..bits])).collect();
    let is_node = |prefix: &&&[bool]| {
        keys.contains(**prefix) || (goes_on(prefix, false) && goes_on(prefix, true))
    };
    prefixes.iter().filter(is_node).count() as u64
}

fn bits(bytes: &[u8], count: u32) -> Vec<bool> {
    (0..count).map(|bit| bytes[bit as usize / 8] & 0x80 >> (bit % 8) != 0).collect()
}

proptest! {
    #[test]
    fn addresses_have_the_nodes_that_a_trie_has(
        keys in proptest::collection::vec((any::<u16>(), 0_u32..=16), 0..40)
    ) {
        let addrs: BTreeMap<(u32, [u8; 16]), u32> = keys
            .iter()
            .map(|(addr, bits)| {
                let addr = masked(u128::from(*addr) << 112, *bits);
                ((*bits, addr.to_be_bytes()), 0)
            })
            .collect();
        let as_bits = addrs.keys().map(|(count, addr)| bits(addr, *count)).collect();
        prop_assert_eq!(addr_nodes(&addrs), nodes(&as_bits));
    }

    #[test]
    fn names_have_the_nodes_that_a_trie_has(
        keys in proptest::collection::btree_set(
            proptest::collection::vec(prop_oneof![Just(b'a'), Just(b'b'), Just(b'.'), Just(0xff)], 1..5),
            0..40,
        )
    ) {
        let names: BTreeMap<Vec<u8>, u32> = keys.iter().map(|key| (key.clone(), 0)).collect();
        let as_bits = keys
            .iter()
            .map(|key| bits(key, u32::try_from(key.len() * 8).expect("short")))
            .collect();
        prop_assert_eq!(name_nodes(&names), nodes(&as_bits));
    }
}
