// SPDX-License-Identifier: MIT OR Apache-2.0
//! The running digest of a segment's lines, which can be taken back to an earlier point.

use ibsr_proto::abi::hex;
use sha2::{Digest as _, Sha256};

/// How much of a segment there is: bytes, lines and the digest of those bytes.
#[derive(Clone, Default)]
pub(super) struct Extent {
    pub(super) bytes: u64,
    pub(super) lines: u64,
    digest: Sha256,
}

impl Extent {
    /// Adds whole lines.
    pub(super) fn add(&mut self, bytes: &[u8], lines: u64) {
        self.bytes += bytes.len() as u64;
        self.lines += lines;
        self.digest.update(bytes);
    }

    /// Digest of all bytes so far, hexadecimal.
    pub(super) fn sha256(&self) -> String {
        hex(&self.digest.clone().finalize())
    }
}

impl std::fmt::Debug for Extent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Extent({} bytes, {} lines)", self.bytes, self.lines)
    }
}
