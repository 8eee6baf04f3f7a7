// SPDX-License-Identifier: MIT OR Apache-2.0
//! A named file by its hash, and how two lists of them differ.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// A file: an input segment or a part of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// Its name, without a directory.
    pub name: String,
    /// SHA-256 of all its bytes; of a segment, of the unpacked ones.
    pub sha256: Digest,
    /// How many bytes these are.
    pub bytes: u64,
}

impl Item {
    /// The item of a file whose bytes are at hand.
    #[must_use]
    pub fn of(name: impl Into<String>, bytes: &[u8]) -> Self {
        Self { name: name.into(), sha256: Digest::of(bytes), bytes: bytes.len() as u64 }
    }
}

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Difference {
    /// It is there with other bytes than were signed.
    Changed(String),
    /// It was signed and is not there.
    Missing(String),
    /// It is there and was not signed.
    Unexpected(String),
}

impl Difference {
    /// Name of the file.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Changed(name) | Self::Missing(name) | Self::Unexpected(name) => name,
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(name) => write!(f, "`{name}` is not what was signed"),
            Self::Missing(name) => write!(f, "`{name}` is missing"),
            Self::Unexpected(name) => write!(f, "`{name}` was not signed"),
        }
    }
}

/// What differs between the `signed` files and those that were `found`, by name. Several
/// files may share a name: then all their hashes have to match.
#[must_use]
pub fn compare(signed: &[Item], found: &[Item]) -> Vec<Difference> {
    let (signed, found) = (by_name(signed), by_name(found));
    let changed = signed.iter().filter_map(|(name, items)| match found.get(name) {
        None => Some(Difference::Missing((*name).to_owned())),
        Some(other) if other != items => Some(Difference::Changed((*name).to_owned())),
        Some(_) => None,
    });
    let unexpected = found.keys().filter(|name| !signed.contains_key(*name));
    changed.chain(unexpected.map(|name| Difference::Unexpected((*name).to_owned()))).collect()
}

fn by_name(items: &[Item]) -> BTreeMap<&str, Vec<&Item>> {
    let mut map: BTreeMap<&str, Vec<&Item>> = BTreeMap::new();
    for item in items {
        map.entry(&item.name).or_default().push(item);
    }
    map.values_mut().for_each(|items| items.sort_unstable());
    map
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(files: &[(&str, &str)]) -> Vec<Item> {
        files.iter().map(|(name, text)| Item::of(*name, text.as_bytes())).collect()
    }

    #[test]
    fn equal_lists_do_not_differ_whatever_their_order() {
        let signed = items(&[("a", "1"), ("b", "2"), ("a", "3")]);
        let found = items(&[("a", "3"), ("a", "1"), ("b", "2")]);
        assert_eq!(compare(&signed, &found), []);
    }

    /// Swapped files are both named; so are one too few and one too many.
    #[test]
    fn each_difference_names_its_file() {
        let signed = items(&[("a", "1"), ("b", "2"), ("c", "3")]);
        let found = items(&[("a", "2"), ("b", "1"), ("d", "3")]);
        let differences = compare(&signed, &found);
        let texts: Vec<String> = differences.iter().map(ToString::to_string).collect();
        assert_eq!(
            texts,
            [
                "`a` is not what was signed",
                "`b` is not what was signed",
                "`c` is missing",
                "`d` was not signed"
            ]
        );
        let names: Vec<&str> = differences.iter().map(Difference::name).collect();
        assert_eq!(names, ["a", "b", "c", "d"]);
    }

    #[test]
    fn a_name_that_comes_twice_needs_both_its_hashes() {
        let signed = items(&[("a", "1"), ("a", "2")]);
        let found = items(&[("a", "1"), ("a", "1")]);
        assert_eq!(compare(&signed, &found), [Difference::Changed("a".to_owned())]);
    }
}
