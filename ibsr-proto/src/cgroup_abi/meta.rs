// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a reader accepts as the `meta` of a cgroup, and what it says in words.

use zerocopy::FromBytes as _;

use super::{CGROUP_ABI_HASH, CGROUP_ABI_VERSION, CgroupMeta};
use crate::abi::{META_MAGIC, MetaError, boot_id_text, hex, padded_text};
use crate::addr::SourceAddr;

impl CgroupMeta {
    /// Reads and checks a `meta` entry.
    ///
    /// # Errors
    /// [`MetaError`] naming what was found and what this build expects.
    pub fn from_abi(bytes: &[u8]) -> Result<Self, MetaError> {
        let meta = Self::read_from_bytes(bytes)
            .map_err(|_| MetaError::CgroupSize { found: bytes.len() })?;
        if meta.magic != META_MAGIC {
            return Err(MetaError::Magic { found: meta.magic });
        }
        if meta.abi_version != CGROUP_ABI_VERSION || meta.abi_hash != CGROUP_ABI_HASH {
            return Err(MetaError::CgroupAbi { version: meta.abi_version, hash: meta.abi_hash });
        }
        Ok(meta)
    }

    /// Path below the mount point of cgroup v2, without its padding; empty for the topmost one.
    #[must_use]
    pub fn path(&self) -> String {
        padded_text(&self.path)
    }

    /// Resolvers that are listed; none where names are learned from whoever was asked.
    pub fn resolvers(&self) -> impl Iterator<Item = SourceAddr> {
        let (all, _) = self.resolvers.as_chunks::<16>();
        all.iter().take(self.resolver_count as usize).map(|bytes| SourceAddr::from_bytes(*bytes))
    }

    /// Ports of resolvers.
    pub fn dns_ports(&self) -> impl Iterator<Item = u16> {
        self.dns_ports.into_iter().take_while(|&port| port != 0)
    }

    /// The epoch as segments write it: 16 hexadecimal digits.
    #[must_use]
    pub fn epoch_text(&self) -> String {
        format!("{:016x}", self.epoch)
    }

    /// The boot id as the kernel prints it.
    #[must_use]
    pub fn boot_id_text(&self) -> String {
        boot_id_text(&self.boot_id)
    }

    /// The digest of all programs in hexadecimal.
    #[must_use]
    pub fn program_sha256_text(&self) -> String {
        hex(&self.program_sha256)
    }
}
