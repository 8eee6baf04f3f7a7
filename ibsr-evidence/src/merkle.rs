// SPDX-License-Identifier: MIT OR Apache-2.0
//! One hash of a set of hashes, whatever their order.
//!
//! The tree of RFC 9162, 2.1.1 over the sorted digests: leaves and nodes are hashed with
//! different first bytes, so that no node can pass for a leaf, and a node without a
//! neighbour moves up as it is.

use crate::digest::{Digest, Hasher};

const LEAF: &[u8] = &[0];
const NODE: &[u8] = &[1];

/// The Merkle root of `digests`, which may come in any order; a digest that comes twice
/// counts twice. Of none: the SHA-256 of nothing.
///
/// **Cost**: two SHA-256 for each digest, 32 bytes of memory each.
#[must_use]
pub fn root(digests: impl IntoIterator<Item = Digest>) -> Digest {
    let mut digests: Vec<Digest> = digests.into_iter().collect();
    digests.sort_unstable();
    tree(digests.iter().map(|digest| hash(&[LEAF, digest.as_bytes()])).collect())
}

fn tree(mut level: Vec<Digest>) -> Digest {
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => hash(&[NODE, left.as_bytes(), right.as_bytes()]),
                alone => alone[0],
            })
            .collect();
    }
    level.first().copied().unwrap_or_else(|| hash(&[]))
}

fn hash(pieces: &[&[u8]]) -> Digest {
    let mut hasher = Hasher::default();
    pieces.iter().for_each(|piece| hasher.update(piece));
    hasher.finish().0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop};
    use proptest::{prop_assert_eq, prop_assert_ne, proptest};

    use super::*;

    /// Entries and roots of the tree that implementations of RFC 6962 check each other by.
    const ENTRIES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 9] = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_tree_is_the_one_of_certificate_transparency() {
        for (count, root) in ROOTS.iter().enumerate() {
            let leaves = ENTRIES[..count].iter().map(|entry| hash(&[LEAF, entry])).collect();
            assert_eq!(tree(leaves).to_string(), *root, "{count} entries");
        }
    }

    /// RFC 9162, 2.1.1 as it is written: split at the largest power of two below the count.
    fn recursive(digests: &[Digest]) -> Digest {
        match digests {
            [] => Digest::of(b""),
            [one] => hash(&[LEAF, one.as_bytes()]),
            many => {
                let half = many.len().next_power_of_two() / 2;
                let (left, right) = (recursive(&many[..half]), recursive(&many[half..]));
                hash(&[NODE, left.as_bytes(), right.as_bytes()])
            }
        }
    }

    proptest! {
        #[test]
        fn any_set_has_the_root_of_the_definition_in_any_order(
            mut digests in prop::collection::vec(any::<[u8; 32]>(), 0..70),
            turn in 0..70_usize,
        ) {
            let root_of = |list: &[[u8; 32]]| root(list.iter().copied().map(Digest::from));
            let expected = root_of(&digests);
            let turn = turn.min(digests.len());
            digests.rotate_left(turn);
            prop_assert_eq!(root_of(&digests), expected);
            digests.sort_unstable();
            let sorted: Vec<Digest> = digests.into_iter().map(Digest::from).collect();
            prop_assert_eq!(recursive(&sorted), expected);
        }

        #[test]
        fn one_bit_one_more_or_one_less_changes_the_root(
            digests in prop::collection::vec(any::<[u8; 32]>(), 1..40),
            which in any::<prop::sample::Index>(),
            bit in 0..256_usize,
        ) {
            let root_of = |list: &[[u8; 32]]| root(list.iter().copied().map(Digest::from));
            let expected = root_of(&digests);
            let mut flipped = digests.clone();
            which.get_mut(&mut flipped)[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(root_of(&flipped), expected);
            let mut fewer = digests.clone();
            let taken = fewer.remove(which.index(digests.len()));
            prop_assert_ne!(root_of(&fewer), expected);
            let mut more = digests;
            more.push(taken);
            prop_assert_ne!(root_of(&more), expected);
        }
    }
}
