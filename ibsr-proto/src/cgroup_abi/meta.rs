// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a reader accepts as the `meta` of a cgroup, and what it says in words.

use zerocopy::FromBytes as _;

use super::{CGROUP_ABI_HASH, CGROUP_ABI_VERSION, CgroupMeta, padded_text};
use crate::abi::{META_MAGIC, MetaError, boot_id_text, hex};

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
