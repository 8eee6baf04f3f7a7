// SPDX-License-Identifier: MIT OR Apache-2.0
//! The twin of `guard/verdict.bpf.h`: what a compiled policy says to one query.
//!
//! Each dimension of the query is looked up once and gives the set of leaves that it allows;
//! the first leaf that is in all of the sets is the verdict, because leaves are numbered from
//! the most specific one. The kernel does the same with maps.

use std::collections::{BTreeMap, BTreeSet};

use crate::guard_abi::{
    Class, DEFAULT_RULE, DIMENSIONS, Dimension, ExeKey, Leaf, NameKey, Policy, Query, WORDS,
};

/// A compiled policy: what is written into the maps of one generation.
#[derive(Debug, Clone)]
pub struct Tables {
    /// The head. Its generation is set by whoever installs it.
    pub policy: Policy,
    /// Classes; the tables below refer to them by index.
    pub classes: Vec<Class>,
    /// Leaves, the most specific first.
    pub leaves: Vec<Leaf>,
    /// Prefixes: (bits, address) to class.
    pub addrs: BTreeMap<(u32, [u8; 16]), u32>,
    /// Reversed name suffixes to class.
    pub names: BTreeMap<Vec<u8>, u32>,
    /// One class for each port; empty when no rule asks.
    pub ports: Vec<u32>,
    /// One class for each direction and protocol: `direction * 256 + protocol`.
    pub protocols: Vec<u32>,
    /// Executables to class.
    pub exes: BTreeMap<ExeKey, u32>,
    /// Users to class.
    pub users: BTreeMap<u32, u32>,
    /// Cgroups to class.
    pub cgroups: BTreeMap<u64, u32>,
    /// Resolvers whose answers are believed. No verdict reads them.
    pub resolvers: BTreeSet<[u8; 16]>,
}

/// The leaf that decides. `name` is the name behind the address, or the one that is asked for.
///
/// `None` only for tables that no compiler makes: each default is a leaf that always matches.
#[must_use]
pub fn verdict<'tables>(
    tables: &'tables Tables,
    query: &Query,
    name: Option<&NameKey>,
) -> Option<&'tables Leaf> {
    let mut left = [u64::MAX; WORDS];
    for class in classes(tables, query, name) {
        let class = tables.classes.get(class as usize)?;
        left.iter_mut().zip(class.word).for_each(|(word, also)| *word &= also);
    }
    let word = left.iter().position(|word| *word != 0)?;
    tables.leaves.get(word * 64 + left[word].trailing_zeros() as usize)
}

/// The class that each dimension gives.
fn classes(tables: &Tables, query: &Query, name: Option<&NameKey>) -> [u32; DIMENSIONS] {
    let mut classes = tables.policy.miss;
    let mut found = |dimension: Dimension, class: Option<&u32>| {
        if let Some(class) = class {
            classes[dimension as usize] = *class;
        }
    };
    let row = usize::from(query.direction) << 8 | usize::from(query.protocol);
    found(Dimension::Protocol, tables.protocols.get(row));
    found(Dimension::Address, longest_prefix(&tables.addrs, query.addr));
    found(Dimension::Name, name.and_then(|name| longest_suffix(&tables.names, name)));
    found(Dimension::Port, tables.ports.get(usize::from(query.port)));
    found(Dimension::Exe, tables.exes.get(&query.exe));
    found(Dimension::User, tables.users.get(&query.uid));
    found(Dimension::Cgroup, tables.cgroups.get(&query.cgroup_id));
    classes
}

fn longest_prefix(addrs: &BTreeMap<(u32, [u8; 16]), u32>, addr: [u8; 16]) -> Option<&u32> {
    let addr = u128::from_be_bytes(addr);
    (0..=128).rev().find_map(|bits| addrs.get(&(bits, masked(addr, bits).to_be_bytes())))
}

/// The first `bits` of an address; 0 behind them.
#[must_use]
pub const fn masked(addr: u128, bits: u32) -> u128 {
    match u128::MAX.checked_shl(128 - bits) {
        Some(mask) => addr & mask,
        None => 0,
    }
}

fn longest_suffix<'names>(
    names: &'names BTreeMap<Vec<u8>, u32>,
    name: &NameKey,
) -> Option<&'names u32> {
    let name = name.reversed();
    (1..=name.len()).rev().find_map(|bytes| names.get(&name[..bytes]))
}

impl Leaf {
    /// Whether it lets pass.
    #[must_use]
    pub const fn is_allow(&self) -> bool {
        self.action == 0
    }

    /// The rule, unless it is a default.
    #[must_use]
    pub const fn rule(&self) -> Option<u32> {
        if self.rule == DEFAULT_RULE { None } else { Some(self.rule) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A suffix ends at a label: `notexample.com` is not below `example.com`.
    #[test]
    fn a_suffix_is_made_of_whole_labels() {
        let suffix = NameKey::new("Example.COM").expect("a name");
        let names = BTreeMap::from([(suffix.reversed().to_vec(), 7)]);
        let find = |name| longest_suffix(&names, &NameKey::new(name).expect("a name")).copied();
        assert_eq!(find("www.example.com"), Some(7));
        assert_eq!(find("example.com."), Some(7));
        assert_eq!(find("notexample.com"), None);
        assert_eq!(find("com"), None);
    }

    #[test]
    fn names_outside_the_limits_of_dns_have_no_key() {
        let long = "a".repeat(64);
        for name in ["", ".", "a..b", ".a", &long, &"a.".repeat(128)] {
            assert_eq!(NameKey::new(name).map(|key| key.prefix_bits), None, "{name}");
        }
        assert_eq!(NameKey::new("a.b.").map(|key| key.labels()), Some(2));
    }

    #[test]
    fn masks_reach_from_nothing_to_everything() {
        assert_eq!(masked(u128::MAX, 0), 0);
        assert_eq!(masked(u128::MAX, 128), u128::MAX);
        assert_eq!(masked(u128::MAX, 1), 1 << 127);
    }
}
