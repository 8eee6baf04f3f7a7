// SPDX-License-Identifier: MIT OR Apache-2.0
//! What rows name by a key, asked for one by one and remembered: the sensor never changes an
//! owner or the text of a name, so each costs one system call and not one a row.

use std::collections::HashMap;

use ibsr_proto::cgroup_abi::Owner;
use ibsr_proto::cgroup_dns_abi::NameText;
use ibsr_proto::pins;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::pin::PinError;

/// Values that are remembered: 8 MiB at most. More than that and all are asked for again.
const MAX_KNOWN: usize = 1 << 15;

/// What was asked for in one table.
#[derive(Debug)]
pub struct Known<T> {
    known: HashMap<u64, T>,
    value: Vec<u8>,
    pin: &'static str,
    read: fn(&[u8]) -> T,
}

impl Known<Owner> {
    /// Owners of flows.
    #[must_use]
    pub fn owners() -> Self {
        let read = |value: &[u8]| Owner::read_from_bytes(value).expect("the size was checked");
        Self::of::<Owner>(pins::OWNERS, read)
    }
}

impl Known<String> {
    /// Texts of names.
    #[must_use]
    pub fn names() -> Self {
        Self::texts(pins::NAME_TEXTS)
    }

    /// Texts of zones.
    #[must_use]
    pub fn zones() -> Self {
        Self::texts(pins::ZONE_TEXTS)
    }

    fn texts(pin: &'static str) -> Self {
        let read =
            |value: &[u8]| NameText::read_from_bytes(value).expect("the size was checked").text();
        Self::of::<NameText>(pin, read)
    }
}

impl<T> Known<T> {
    fn of<V>(pin: &'static str, read: fn(&[u8]) -> T) -> Self {
        Self { known: HashMap::new(), value: vec![0; size_of::<V>()], pin, read }
    }

    /// The value of `key` in `map`, of which the shape was checked; `None` when the kernel
    /// evicted it before it was asked for.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn get(&mut self, map: &MapHandle, key: u64) -> Result<Option<&T>, PinError> {
        if !self.known.contains_key(&key) {
            let is_there = map
                .lookup_into(key.as_bytes(), &mut self.value, MapFlags::ANY)
                .map_err(|source| PinError::Read { name: self.pin, source })?;
            if !is_there {
                return Ok(None);
            }
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            self.known.insert(key, (self.read)(&self.value));
        }
        Ok(self.known.get(&key))
    }
}
