// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle as one file: a tar of its files, packed with zstd. The same bundle gives
//! the same tar, so that a reader can demand it to the byte: there is no room in it for a
//! link, a path, an owner or anything else that was not signed.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use jiff::Timestamp;
use tar::{Archive, Builder, EntryType, Header};
use zstd::stream::read::Decoder;

use super::{ALL_NAMES, Fault, MAX_BUNDLE_BYTES, MAX_FILE_BYTES};

const MODE: u32 = 0o644;
/// A bundle is text, written once and kept.
const LEVEL: i32 = 19;
/// Entries that are looked at: twice what a bundle has, so that what is too much is named.
const MAX_ENTRIES: usize = 2 * ALL_NAMES.len();

/// Name and bytes of each file.
pub type Files = BTreeMap<&'static str, Vec<u8>>;

/// The tar of `files`, in the order of their names.
pub fn tar(files: &Files, made_at: Timestamp) -> io::Result<Vec<u8>> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = Header::new_ustar();
        header.set_path(name)?;
        header.set_entry_type(EntryType::Regular);
        header.set_mode(MODE);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(u64::try_from(made_at.as_second()).unwrap_or(0));
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        builder.append(&header, bytes.as_slice())?;
    }
    builder.into_inner()
}

/// Packs a tar.
pub fn pack(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), LEVEL)?;
    encoder.include_checksum(true)?;
    encoder.set_pledged_src_size(Some(tar.len() as u64))?;
    io::Write::write_all(&mut encoder, tar)?;
    encoder.finish()
}

/// Unpacks to a tar: one frame and nothing behind it.
pub fn unpack(reader: impl Read) -> io::Result<Vec<u8>> {
    let mut decoder = Decoder::new(reader)?.single_frame();
    let mut tar = Vec::new();
    decoder.by_ref().take(MAX_BUNDLE_BYTES + 1).read_to_end(&mut tar)?;
    if tar.len() as u64 > MAX_BUNDLE_BYTES {
        return Err(invalid(format!("it unpacks to more than {MAX_BUNDLE_BYTES} bytes")));
    }
    let mut rest: BufReader<_> = decoder.finish();
    if rest.fill_buf()?.is_empty() { Ok(tar) } else { Err(invalid("bytes stand behind its end")) }
}

/// The files of a tar, and what else is in it. Nothing is written anywhere.
pub fn list(tar: &[u8]) -> (Files, Vec<Fault>) {
    let (mut files, mut faults) = (Files::new(), Vec::new());
    if let Err(error) = collect(tar, &mut files, &mut faults) {
        faults.push(Fault::new("the archive", format!("failed to read it: {error}")));
    }
    (files, faults)
}

fn collect(tar: &[u8], files: &mut Files, faults: &mut Vec<Fault>) -> io::Result<()> {
    let mut archive = Archive::new(tar);
    // Raw: an extended header is an entry of its own here, and no regular file.
    for (number, entry) in archive.entries()?.raw(true).enumerate() {
        let entry = entry?;
        if number == MAX_ENTRIES {
            return Err(invalid("it holds more files than a bundle"));
        }
        let path = entry.path_bytes();
        let Some(name) = ALL_NAMES.iter().find(|name| name.as_bytes() == &*path) else {
            let path = String::from_utf8_lossy(&path).into_owned();
            faults.push(Fault::new(path, "it is no file of a bundle"));
            continue;
        };
        if entry.header().entry_type() != EntryType::Regular {
            faults.push(Fault::new(*name, "it is no regular file"));
        } else if entry.size() > MAX_FILE_BYTES {
            faults.push(Fault::new(*name, "it is larger than any file of a bundle"));
        } else if files.contains_key(name) {
            faults.push(Fault::new(*name, "it is there twice"));
        } else {
            let mut bytes = Vec::new();
            entry.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
            files.insert(name, bytes);
        }
    }
    Ok(())
}

fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
