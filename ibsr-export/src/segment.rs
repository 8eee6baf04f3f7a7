// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads one segment to its end and vouches for it: the footer stands, every byte before it
//! is the one that was sealed, and the file did not change meanwhile. The bytes go to a
//! writer on the way, so a segment is read once however large it is.
//!
//! Of the contents only two lines are looked at: the footer, and the last sweep for its time.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};

use ibsr_proto::abi::hex;
use ibsr_proto::snapshot::{Footer, Row};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

/// A footer is about 130 bytes; whatever is longer is none.
const MAX_FOOTER_BYTES: u64 = 4096;
/// A sweep row is about 700 bytes.
const MAX_SWEEP_BYTES: u64 = 64 << 10;
/// One read. Also the step in which the last sweep is looked for, backwards.
const CHUNK_BYTES: usize = 256 << 10;
/// Start of a sweep row and of the line that it begins; `type` stands first by contract.
const SWEEP_LINE: &[u8] = b"\n{\"type\":\"sweep\",";

/// A segment that is what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// Size.
    pub bytes: u64,
    /// Wall clock of the last sweep, where there is one.
    pub last_unix_ms: Option<u64>,
}

/// Why a segment is not what it says, or could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// No footer on the last line: cut, or not written by the reader.
    #[error("its last line is no footer")]
    NoFooter,
    /// The footer is that of other bytes.
    #[error("its footer says sha256 {said}, its bytes give {is}")]
    Checksum {
        /// In the footer.
        said: String,
        /// Computed.
        is: String,
    },
    /// The footer counts other lines.
    #[error("its footer says {said} lines, there are {is}")]
    Lines {
        /// In the footer.
        said: u64,
        /// Counted.
        is: u64,
    },
    /// Its size or time changed while it was read.
    #[error("it changed while it was read")]
    Changed,
    /// Reading failed.
    #[error("failed to read it: {0}")]
    Read(io::Error),
    /// Writing what was read failed: not the segment's fault.
    #[error("failed to write the compressed copy: {0}")]
    Write(io::Error),
}

impl SegmentError {
    /// Whether the file is at fault, and will be until it changes.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NoFooter | Self::Checksum { .. } | Self::Lines { .. } | Self::Changed => true,
            Self::Read(_) | Self::Write(_) => false,
        }
    }
}

#[derive(Deserialize)]
struct SweepTime {
    at_unix_ms: u64,
}

/// Reads `file` to its end into `out`.
///
/// # Errors
/// [`SegmentError`]; what `out` got by then is worthless.
pub fn read_checked(file: &File, out: &mut impl Write) -> Result<Checked, SegmentError> {
    let before = file.metadata().map_err(SegmentError::Read)?;
    let bytes = before.len();
    let (footer_at, footer) = footer(file, bytes)?;
    let last_unix_ms = last_sweep_ms(file, footer_at)?;
    let copied = copy(file, footer_at, bytes, out)?;
    if !is_unchanged(&before, &file.metadata().map_err(SegmentError::Read)?) {
        return Err(SegmentError::Changed);
    }
    let is = hex(&copied.sha256_before_footer);
    if is != footer.sha256 {
        return Err(SegmentError::Checksum { said: footer.sha256, is });
    }
    if copied.lines_before_footer != footer.lines {
        return Err(SegmentError::Lines { said: footer.lines, is: copied.lines_before_footer });
    }
    Ok(Checked { sha256: copied.sha256, bytes, last_unix_ms })
}

/// Not the time of the last change: deleting a segment changes that, and one that the reader
/// prunes while it is read is still a good segment.
fn is_unchanged(before: &Metadata, after: &Metadata) -> bool {
    let key = |file: &Metadata| (file.len(), file.mtime(), file.mtime_nsec());
    key(before) == key(after)
}

/// Where the footer's line begins, and the footer.
fn footer(file: &File, bytes: u64) -> Result<(u64, Footer), SegmentError> {
    let start = bytes.saturating_sub(MAX_FOOTER_BYTES);
    let tail = read_range(file, start, bytes)?;
    let line_at = |tail: &[u8]| {
        let line = tail.strip_suffix(b"\n")?;
        Some(line.iter().rposition(|byte| *byte == b'\n')? + 1)
    };
    let at = line_at(&tail).ok_or(SegmentError::NoFooter)?;
    match Row::from_line(&tail[at..]) {
        Ok(Row::Footer(footer)) => Ok((start + at as u64, footer)),
        _ => Err(SegmentError::NoFooter),
    }
}

/// The bytes of `[start, end)`, which is at most a few chunks long.
fn read_range(file: &File, start: u64, end: u64) -> Result<Vec<u8>, SegmentError> {
    let mut bytes = vec![0; usize::try_from(end - start).expect("a few chunks")];
    match file.read_exact_at(&mut bytes, start) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(SegmentError::Changed),
        Err(error) => Err(SegmentError::Read(error)),
    }
}

struct Copied {
    sha256_before_footer: [u8; 32],
    lines_before_footer: u64,
    sha256: [u8; 32],
}

/// Copies `[0, end)` into `out`, hashing and counting on the way.
fn copy(
    file: &File,
    footer_at: u64,
    end: u64,
    out: &mut impl Write,
) -> Result<Copied, SegmentError> {
    let mut hasher = Sha256::new();
    let mut lines_before_footer = 0;
    copy_range(file, 0, footer_at, |bytes| {
        hasher.update(bytes);
        lines_before_footer += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        out.write_all(bytes)
    })?;
    let sha256_before_footer = hasher.clone().finalize().into();
    copy_range(file, footer_at, end, |bytes| {
        hasher.update(bytes);
        out.write_all(bytes)
    })?;
    let sha256 = hasher.finalize().into();
    Ok(Copied { sha256_before_footer, lines_before_footer, sha256 })
}

fn copy_range(
    file: &File,
    mut at: u64,
    end: u64,
    mut take: impl FnMut(&[u8]) -> io::Result<()>,
) -> Result<(), SegmentError> {
    let mut buffer = vec![0; CHUNK_BYTES];
    while at < end {
        let want = usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES);
        let got = match file.read_at(&mut buffer[..want], at) {
            Ok(0) => return Err(SegmentError::Changed),
            Ok(got) => got,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(SegmentError::Read(error)),
        };
        take(&buffer[..got]).map_err(SegmentError::Write)?;
        at += got as u64;
    }
    Ok(())
}

/// Wall clock of the last sweep row before `end`. The row closes its sweep, so it stands
/// within the last chunk unless thousands of gap rows follow it.
fn last_sweep_ms(file: &File, end: u64) -> Result<Option<u64>, SegmentError> {
    let mut stop = end;
    while stop > 0 {
        // Chunks overlap by one mark less a byte, so that a mark across the seam is seen.
        let start = stop.saturating_sub(CHUNK_BYTES as u64);
        let seam = end.min(stop + SWEEP_LINE.len() as u64 - 1);
        let chunk = read_range(file, start, seam)?;
        if let Some(at) = chunk.windows(SWEEP_LINE.len()).rposition(|bytes| bytes == SWEEP_LINE) {
            return sweep_ms(file, start + at as u64 + 1, end);
        }
        stop = start;
    }
    Ok(None)
}

fn sweep_ms(file: &File, at: u64, end: u64) -> Result<Option<u64>, SegmentError> {
    let bytes = read_range(file, at, end.min(at + MAX_SWEEP_BYTES))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or(&[]);
    Ok(serde_json::from_slice::<SweepTime>(line).ok().map(|sweep| sweep.at_unix_ms))
}

/// When the last sweep in `file` was taken, without reading the rest; for `--dry-run`.
///
/// # Errors
/// [`SegmentError::Read`], or [`SegmentError::Changed`].
pub fn peek_last_unix_ms(file: &File) -> Result<Option<u64>, SegmentError> {
    last_sweep_ms(file, file.metadata().map_err(SegmentError::Read)?.len())
}

#[cfg(test)]
pub(crate) mod tests;
