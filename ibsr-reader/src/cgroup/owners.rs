// SPDX-License-Identifier: MIT OR Apache-2.0
//! Owners of flows, asked for one by one and remembered: the sensor never changes one, so each
//! costs one system call and not one a row.

use std::collections::HashMap;

use ibsr_proto::cgroup_abi::Owner;
use ibsr_proto::pins;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use zerocopy::{FromBytes as _, IntoBytes as _};

use crate::pin::PinError;

/// Owners that are remembered: 8 MiB. More than that and all are asked for again.
const MAX_KNOWN: usize = 1 << 15;

/// What was asked for.
#[derive(Debug)]
pub struct Owners {
    known: HashMap<u64, Owner>,
    value: [u8; size_of::<Owner>()],
}

impl Default for Owners {
    fn default() -> Self {
        Self { known: HashMap::new(), value: [0; size_of::<Owner>()] }
    }
}

impl Owners {
    /// The owner `key` of `map`, of which the shape was checked; `None` when the kernel evicted
    /// it before it was asked for.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn get(&mut self, map: &MapHandle, key: u64) -> Result<Option<&Owner>, PinError> {
        if !self.known.contains_key(&key) {
            let Some(owner) = self.ask(map, key)? else { return Ok(None) };
            if self.known.len() >= MAX_KNOWN {
                self.known.clear();
            }
            self.known.insert(key, owner);
        }
        Ok(self.known.get(&key))
    }

    fn ask(&mut self, map: &MapHandle, key: u64) -> Result<Option<Owner>, PinError> {
        let is_there = map
            .lookup_into(key.as_bytes(), &mut self.value, MapFlags::ANY)
            .map_err(|source| PinError::Read { name: pins::OWNERS, source })?;
        let owner = || Owner::read_from_bytes(&self.value).expect("the size was checked");
        Ok(is_there.then(owner))
    }
}
