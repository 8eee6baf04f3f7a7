// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a reader accepts as `meta`, and what it says in words.

use zerocopy::FromBytes as _;

use super::{ABI_HASH, ABI_VERSION, META_MAGIC, Meta, hex, padded_text};
use crate::cgroup_abi::{CGROUP_ABI_HASH, CGROUP_ABI_VERSION, CgroupMeta};

/// Why a `meta` entry cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MetaError {
    /// Not ours.
    #[error(
        "`meta` does not start with the IBSR magic: found {found:#010x}, expected {META_MAGIC:#010x}"
    )]
    Magic {
        /// What the entry starts with.
        found: u32,
    },
    /// Written by another version.
    #[error(
        "the maps have ABI version {version} ({hash:016x}), this program reads version {ABI_VERSION} \
         ({ABI_HASH:016x}): use the loader and the reader of one release"
    )]
    Abi {
        /// Version in the entry.
        version: u32,
        /// Hash in the entry.
        hash: u64,
    },
    /// Maps of a cgroup that another version made.
    #[error(
        "the maps have cgroup ABI version {version} ({hash:016x}), this program reads version \
         {CGROUP_ABI_VERSION} ({CGROUP_ABI_HASH:016x}): use the loader and the reader of one release"
    )]
    CgroupAbi {
        /// Version in the entry.
        version: u32,
        /// Hash in the entry.
        hash: u64,
    },
    /// Not the size of the entry for a cgroup.
    #[error("`meta` holds {found} bytes, this program reads {}: use the loader and the reader of one release", size_of::<CgroupMeta>())]
    CgroupSize {
        /// Bytes found.
        found: usize,
    },
    /// Not the size of this ABI's entry.
    #[error("`meta` holds {found} bytes, this program reads {}: use the loader and the reader of one release", size_of::<Meta>())]
    Size {
        /// Bytes found.
        found: usize,
    },
}

impl Meta {
    /// Reads and checks a `meta` entry.
    ///
    /// # Errors
    /// [`MetaError`] naming what was found and what this build expects.
    pub fn from_abi(bytes: &[u8]) -> Result<Self, MetaError> {
        let meta =
            Self::read_from_bytes(bytes).map_err(|_| MetaError::Size { found: bytes.len() })?;
        if meta.magic != META_MAGIC {
            return Err(MetaError::Magic { found: meta.magic });
        }
        if meta.abi_version != ABI_VERSION || meta.abi_hash != ABI_HASH {
            return Err(MetaError::Abi { version: meta.abi_version, hash: meta.abi_hash });
        }
        Ok(meta)
    }

    /// Interface name without its padding; empty for other sensors.
    #[must_use]
    pub fn ifname(&self) -> String {
        padded_text(&self.ifname)
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

    /// The program digest in hexadecimal.
    #[must_use]
    pub fn program_sha256_text(&self) -> String {
        hex(&self.program_sha256)
    }
}

/// A boot id as the kernel prints it.
pub(crate) fn boot_id_text(boot_id: &[u8; 16]) -> String {
    let hex = hex(boot_id);
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
