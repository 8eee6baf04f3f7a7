// SPDX-License-Identifier: MIT OR Apache-2.0
//! Kernel memory of compiled tables.

use std::collections::BTreeMap;

use ibsr_proto::guard_abi::{Class, Leaf};
use ibsr_proto::verdict::{Tables, masked};

/// A node of a trie in its size class of the allocator: 52 to 60 bytes with a key of 16, 292 to
/// 300 with one of 256, by the kernel's version.
const ADDR_NODE: u64 = 64;
const NAME_NODE: u64 = 512;
/// `htab_elem` with a key of 8 to 16 bytes and a class, and its share of the buckets.
const HASH_ENTRY: u64 = 80;
/// The kernel rounds each value of an array up to this.
const ARRAY_VALUE: usize = 8;

/// Kernel memory that the tables take, in bytes, counted for a 64-bit kernel. During a swap
/// the tables of the policy before are there too.
#[must_use]
pub fn memory_bytes(tables: &Tables) -> u64 {
    let hashes = tables.exes.len() + tables.users.len() + tables.cgroups.len();
    let arrays = tables.classes.len() * size_of::<Class>()
        + tables.leaves.len() * size_of::<Leaf>()
        + (tables.ports.len() + tables.protocols.len()) * ARRAY_VALUE;
    addr_nodes(&tables.addrs) * ADDR_NODE
        + name_nodes(&tables.names) * NAME_NODE
        + hashes as u64 * HASH_ENTRY
        + arrays as u64
}

/// Nodes of the kernel's trie: one for each key, and one where two keys part and no key ends.
/// In the order of their bits each such place lies between exactly two neighbours.
fn addr_nodes(addrs: &BTreeMap<(u32, [u8; 16]), u32>) -> u64 {
    let mut sorted: Vec<(u128, u32)> =
        addrs.keys().map(|(bits, addr)| (u128::from_be_bytes(*addr), *bits)).collect();
    sorted.sort_unstable();
    let forks = sorted.array_windows().filter(|[(a, a_bits), (b, b_bits)]| {
        let shared = (a ^ b).leading_zeros();
        let place = (shared, masked(*a, shared).to_be_bytes());
        shared < *a_bits.min(b_bits) && !addrs.contains_key(&place)
    });
    (sorted.len() + forks.count()) as u64
}

fn name_nodes(names: &BTreeMap<Vec<u8>, u32>) -> u64 {
    let neighbours = names.keys().zip(names.keys().skip(1));
    let forks = neighbours.filter(|(a, b)| {
        let Some(at) = a.iter().zip(b.iter()).position(|(a, b)| a != b) else {
            return false;
        };
        let is_at_a_byte = (a[at] ^ b[at]).leading_zeros() == 0;
        !(is_at_a_byte && names.contains_key(&a[..at]))
    });
    (names.len() + forks.count()) as u64
}

#[cfg(test)]
#[path = "memory_tests.rs"]
mod tests;
