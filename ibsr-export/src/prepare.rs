// SPDX-License-Identifier: MIT OR Apache-2.0
//! From a segment in the spool to a body that can be sent: checked, compressed into a
//! temporary file, its length and hash known.
//!
//! A copy on disk, because the length and the checksum stand before the body in a request, a
//! retry must send the same bytes without compressing again, and memory must not grow with
//! the segment. Blocking code; runs on the blocking pool.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use ibsr_proto::abi::hex;
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use crate::compression::Compression;
use crate::key;
use crate::segment::{self, Checked, SegmentError};
use crate::segments::Found;

/// A body, ready to send. Its file goes when this is dropped.
#[derive(Debug)]
pub struct Prepared {
    /// The segment.
    pub checked: Checked,
    /// Its object key.
    pub key: String,
    /// The compressed copy.
    pub file: NamedTempFile,
    /// Size of the copy.
    pub bytes: u64,
    /// SHA-256 of the copy.
    pub sha256: [u8; 32],
    /// Media type.
    pub content_type: &'static str,
}

impl Prepared {
    /// SHA-256 of the segment in hexadecimal, as in the object's metadata and the ledger.
    pub fn segment_sha256(&self) -> String {
        hex(&self.checked.sha256)
    }
}

/// Checks and compresses `file`, the segment `found`, into a temporary file in `dir`.
///
/// # Errors
/// [`SegmentError`].
pub fn prepare(
    file: &File,
    found: &Found,
    prefix: &str,
    compression: Compression,
    dir: &Path,
) -> Result<Prepared, SegmentError> {
    let copy = NamedTempFile::new_in(dir).map_err(SegmentError::Write)?;
    let hashing = Hashing { out: BufWriter::new(copy.as_file()), hasher: Sha256::new(), bytes: 0 };
    let mut encoder = compression.encoder(hashing).map_err(SegmentError::Write)?;
    let checked = segment::read_checked(file, &mut encoder)?;
    // The ledger is about the size that was listed.
    if checked.bytes != found.bytes {
        return Err(SegmentError::Changed);
    }
    let (bytes, sha256) =
        encoder.finish().and_then(Hashing::finish).map_err(SegmentError::Write)?;
    let name = found.segment_name();
    let key = key::object_key(prefix, &name, checked.last_unix_ms, compression);
    Ok(Prepared {
        checked,
        key,
        file: copy,
        bytes,
        sha256,
        content_type: compression.content_type(),
    })
}

/// Hashes and counts what passes.
struct Hashing<W: Write> {
    out: W,
    hasher: Sha256,
    bytes: u64,
}

impl<W: Write> Hashing<W> {
    fn finish(mut self) -> io::Result<(u64, [u8; 32])> {
        self.out.flush()?;
        Ok((self.bytes, self.hasher.finalize().into()))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write_all(bytes)?;
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(bytes: &[u8]) -> Found {
        Found {
            scope: Arc::from("xdp-eth0"),
            name: "h-xdp-eth0-0af3c9d1-000000000001.jsonl".into(),
            bytes: bytes.len() as u64,
            modified_ms: 0,
            changed_ms: 0,
        }
    }

    #[test]
    fn the_copy_has_the_length_and_hash_that_are_announced() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = segment::tests::sealed("{\"type\":\"sweep\",\"at_unix_ms\":0}\n");
        let path = dir.path().join("segment");
        std::fs::write(&path, &bytes).expect("writes");
        let file = File::open(&path).expect("opens");
        let prepared =
            prepare(&file, &found(&bytes), "p/", Compression::Zstd, dir.path()).expect("good");
        let copy = std::fs::read(prepared.file.path()).expect("reads");
        assert_eq!(copy.len() as u64, prepared.bytes);
        assert_eq!(<[u8; 32]>::from(Sha256::digest(&copy)), prepared.sha256);
        assert_eq!(zstd::decode_all(&*copy).expect("zstd"), bytes);
    }

    /// E7: replaced between the listing and its turn.
    #[test]
    fn a_segment_that_is_not_as_long_as_it_was_listed_is_damaged() {
        let dir = tempfile::tempdir().expect("a directory");
        let bytes = segment::tests::sealed("");
        let path = dir.path().join("segment");
        std::fs::write(&path, &bytes).expect("writes");
        let file = File::open(&path).expect("opens");
        let short = found(&bytes[1..]);
        let prepared = prepare(&file, &short, "", Compression::Zstd, dir.path());
        assert!(matches!(prepared, Err(SegmentError::Changed)));
    }
}
