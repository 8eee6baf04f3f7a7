// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opens a segment, plain, gzip or zstd, told apart by its first bytes: a wrong extension
//! does not matter, and what comes out is bounded. A Parquet file holds many, so there a
//! segment is a file and a part of it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::parquet;

const READ_BYTES: usize = 256 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Bytes that any file may unpack to: one S3 object that was put in one piece, doubled.
const MAX_BYTES: u64 = 10 << 30;
/// Beyond this many bytes the ratio is looked at.
const FREE_BYTES: u64 = 64 << 20;
/// Ratio beyond which an archive is a bomb. Segments pack 5 to 30 times.
const MAX_RATIO: u64 = 1000;

/// Where the bytes of a segment are.
#[derive(Debug, Clone)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// What of it.
    pub part: Part,
}

/// What of a file is a segment.
#[derive(Debug, Clone)]
pub enum Part {
    /// All of it.
    Whole,
    /// One part of a Parquet file.
    Parquet(Arc<parquet::Part>),
    /// None of it: the file was looked at and refused, for this reason.
    Refused(String),
}

impl Place {
    /// Opens the segment for reading its unpacked bytes.
    ///
    /// # Errors
    /// When the file cannot be opened, is no regular file, or was refused. Damage in an archive
    /// and more bytes than it may hold come as errors while reading.
    pub fn open(&self) -> io::Result<Box<dyn BufRead>> {
        match &self.part {
            Part::Whole => open(&self.path),
            Part::Parquet(part) => Ok(Box::new(part.open(&self.path)?)),
            Part::Refused(reason) => Err(io::Error::new(io::ErrorKind::InvalidData, &**reason)),
        }
    }
}

impl From<PathBuf> for Place {
    fn from(path: PathBuf) -> Self {
        Self { path, part: Part::Whole }
    }
}

fn open(path: &Path) -> io::Result<Box<dyn BufRead>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    unpack(BufReader::with_capacity(READ_BYTES, file), metadata.len())
}

fn unpack(mut packed: impl BufRead + 'static, packed_bytes: u64) -> io::Result<Box<dyn BufRead>> {
    let head = packed.fill_buf()?;
    let left = max_unpacked_bytes(packed_bytes);
    if parquet::is_parquet(head) {
        let reason = "it is Parquet under another name: call it `*.parquet`";
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    if head.starts_with(&GZIP_MAGIC) {
        return Ok(buffered(Capped { reader: MultiGzDecoder::new(packed), left }));
    }
    if head.starts_with(&ZSTD_MAGIC) {
        return Ok(buffered(Capped { reader: Decoder::with_buffer(packed)?, left }));
    }
    Ok(Box::new(packed))
}

fn buffered(reader: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(READ_BYTES, reader))
}

/// Bytes that a file of `packed_bytes` may unpack to.
#[must_use]
pub fn max_unpacked_bytes(packed_bytes: u64) -> u64 {
    packed_bytes.saturating_mul(MAX_RATIO).clamp(FREE_BYTES, MAX_BYTES)
}

/// Ends with an error, not with the end of the file, when there is more than `left`.
struct Capped<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(out)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::FileTooLarge,
                format!("it unpacks to more than {MAX_RATIO} times its size or 10 GiB"),
            )
        })?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(packed: Vec<u8>) -> io::Result<Vec<u8>> {
        let len = packed.len() as u64;
        let mut out = Vec::new();
        unpack(io::Cursor::new(packed), len)?.read_to_end(&mut out)?;
        Ok(out)
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        flate2::bufread::GzEncoder::new(text, flate2::Compression::fast())
            .read_to_end(&mut out)
            .expect("packs");
        out
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 1).expect("packs")
    }

    #[test]
    fn the_same_bytes_come_out_of_every_packing() {
        let text = b"{\"type\":\"header\"}\n";
        for packed in [text.to_vec(), gzip(text), zstd(text)] {
            assert_eq!(read(packed).expect("reads"), text);
        }
        let two_members = [gzip(text), gzip(text)].concat();
        assert_eq!(read(two_members).expect("reads"), [*text, *text].concat());
    }

    /// P3: an archive that was cut is an error, never a shorter file.
    #[test]
    fn a_cut_archive_is_an_error_wherever_it_was_cut() {
        let text: Vec<u8> = (0..5000_u32).flat_map(u32::to_le_bytes).collect();
        for packed in [gzip(&text), zstd(&text)] {
            for cut in [packed.len() - 1, packed.len() / 2, 5] {
                assert!(read(packed[..cut].to_vec()).is_err(), "cut at {cut}");
            }
        }
    }

    /// P3: a bomb costs bounded time and is an error.
    #[test]
    fn a_bomb_is_an_error_and_not_a_long_wait() {
        let packed = zstd(&vec![b'\n'; 100 << 20]);
        let error = read(packed).expect_err("a bomb");
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_cap_grows_with_the_file_up_to_a_bound() {
        assert_eq!(max_unpacked_bytes(10), FREE_BYTES);
        assert_eq!(max_unpacked_bytes(1 << 20), 1000 << 20);
        assert_eq!(max_unpacked_bytes(u64::MAX), MAX_BYTES);
    }
}
