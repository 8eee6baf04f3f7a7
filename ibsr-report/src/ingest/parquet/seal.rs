// SPDX-License-Identifier: MIT OR Apache-2.0
//! One SHA-256 over the whole file, in a hole behind the magic number that readers of Parquet
//! never look at. A file is checked against it before anything in it is decoded: a flipped
//! bit in a statistic or an offset, which no footer of a segment covers, would make a query
//! wrong, and the decoder is no place for damaged bytes.

use std::io::{self, Read, Seek, SeekFrom, Write};

use sha2::{Digest as _, Sha256};

/// What every Parquet file starts with.
pub(super) const MAGIC: [u8; 4] = *b"PAR1";
/// Says that a digest follows.
const MARK: [u8; 8] = *b"ibsr-pq1";
const DIGEST_BYTES: usize = 32;
const DIGEST_AT: u64 = (MAGIC.len() + MARK.len()) as u64;

/// What to write behind the magic number: the mark, and room for the digest.
pub(super) fn hole() -> [u8; MARK.len() + DIGEST_BYTES] {
    let mut hole = [0; MARK.len() + DIGEST_BYTES];
    hole[..MARK.len()].copy_from_slice(&MARK);
    hole
}

/// Writes the digest into the hole of a finished file.
///
/// # Errors
/// What reading or writing said.
pub(super) fn seal(file: &mut (impl Read + Write + Seek)) -> io::Result<()> {
    let digest = digest(file)?;
    file.seek(SeekFrom::Start(DIGEST_AT))?;
    file.write_all(&digest)
}

/// Whether the file starts as ours do; a short one does not.
///
/// # Errors
/// What reading said.
pub(super) fn is_ours(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let mut head = Vec::new();
    file.rewind()?;
    file.by_ref().take(DIGEST_AT).read_to_end(&mut head)?;
    Ok(head == [&MAGIC[..], &MARK[..]].concat())
}

/// Whether the bytes are those that were sealed.
///
/// # Errors
/// What reading said.
pub(super) fn is_whole(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    let computed = digest(file)?;
    let mut said = [0; DIGEST_BYTES];
    file.seek(SeekFrom::Start(DIGEST_AT))?;
    file.read_exact(&mut said)?;
    Ok(said == computed)
}

/// Over every byte of the file, those of the digest as zeros.
fn digest(file: &mut (impl Read + Seek)) -> io::Result<[u8; DIGEST_BYTES]> {
    const READ_BYTES: usize = 64 << 10;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    file.rewind()?;
    let (head, hole) = buffer[..DIGEST_AT as usize + DIGEST_BYTES].split_at_mut(DIGEST_AT as usize);
    file.read_exact(head)?;
    file.read_exact(hole)?;
    hole.fill(0);
    hash.update(&buffer[..DIGEST_AT as usize + DIGEST_BYTES]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            read => hash.update(&buffer[..read]),
        }
    }
}
