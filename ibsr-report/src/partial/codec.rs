// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of a partial: a magic line, the length and bytes of the facts, the sorted
//! sources, and the SHA-256 of all that. It is checked whole before any of it is used.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::runs::{Run, Writer, merge};
use super::{Facts, Partial};

const MAGIC: &[u8] = b"ibsr-partial/3\n";
const HASH_BYTES: u64 = 32;
const BUFFER_BYTES: usize = 256 << 10;
/// Facts of a thousand hosts over a year are far below.
const MAX_FACTS_BYTES: u64 = 4 << 30;

/// Hashes what passes.
struct Hashed<T> {
    inner: T,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    #[expect(clippy::disallowed_methods, reason = "it passes on how much was written")]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes `partial` to `path`, whole or not at all.
///
/// # Errors
/// When the directory cannot be written, or a source cannot be read.
pub fn write(partial: Partial, path: &Path) -> anyhow::Result<()> {
    let writing = || format!("failed to write `{}`", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let file = NamedTempFile::new_in(dir).with_context(writing)?;
    let inner = BufWriter::with_capacity(BUFFER_BYTES, file);
    let mut out = Hashed { inner, hash: Sha256::new() };
    let facts = postcard::to_stdvec(&partial.facts).with_context(writing)?;
    out.write_all(MAGIC).with_context(writing)?;
    out.write_all(&(facts.len() as u64).to_le_bytes()).with_context(writing)?;
    out.write_all(&facts).with_context(writing)?;
    let mut writer = Writer::new(out);
    merge(partial.runs, |addr, facts| Ok(writer.write(addr, &facts)?)).with_context(writing)?;
    let Hashed { mut inner, hash } = writer.finish().with_context(writing)?;
    inner.write_all(&hash.finalize()).with_context(writing)?;
    let file = inner.into_inner().map_err(io::IntoInnerError::into_error).with_context(writing)?;
    file.as_file().sync_all().with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}

/// Opens the partial at `path`; its sources stay in the file.
///
/// # Errors
/// When it cannot be read, is no partial of this version, or was changed.
pub fn open(path: &Path) -> anyhow::Result<Partial> {
    let file = File::open(path).with_context(|| format!("failed to open `{}`", path.display()))?;
    read(file, path).with_context(|| format!("failed to use the partial `{}`", path.display()))
}

fn read(file: File, path: &Path) -> anyhow::Result<Partial> {
    let len = file.metadata()?.len();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, file);
    check(&mut reader, len)?;
    let file = reader.into_inner();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, rewound(file)?);
    let mut magic = [0; MAGIC.len()];
    reader.read_exact(&mut magic)?;
    let mut size = [0; 8];
    reader.read_exact(&mut size)?;
    let size = u64::from_le_bytes(size);
    ensure!(size <= MAX_FACTS_BYTES.min(len), "its facts are longer than the file");
    let mut facts = Vec::new();
    reader.take(size).read_to_end(&mut facts)?;
    let facts: Facts = postcard::from_bytes(&facts)
        .map_err(|_| anyhow::anyhow!("its facts are of another version of this program"))?;
    let from = (MAGIC.len() + 8) as u64 + size;
    Ok(Partial { facts, runs: vec![Run::Partial(path.to_owned(), from)] })
}

fn rewound(mut file: File) -> io::Result<File> {
    io::Seek::rewind(&mut file)?;
    Ok(file)
}

/// The whole file against the hash at its end.
fn check(reader: &mut impl Read, len: u64) -> anyhow::Result<()> {
    let mut magic = [0; MAGIC.len()];
    if reader.read_exact(&mut magic).is_err() || magic != MAGIC {
        bail!("it is no partial of this version: it does not begin with `ibsr-partial/3`");
    }
    let body = len.saturating_sub(HASH_BYTES + MAGIC.len() as u64);
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut body = reader.take(body);
    loop {
        match body.read(&mut buffer)? {
            0 => break,
            read => hash.update(&buffer[..read]),
        }
    }
    let mut said = Vec::new();
    body.into_inner().read_to_end(&mut said)?;
    ensure!(said == hash.finalize().as_slice(), "its bytes do not match the SHA-256 at its end");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partial::Terms;

    #[test]
    fn a_partial_reads_back_and_any_changed_byte_is_seen() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("p");
        let facts = Facts::new(Terms { window_ns: 7, rules: "r".into() });
        write(Partial { facts: facts.clone(), runs: Vec::new() }, &path).expect("written");
        assert_eq!(open(&path).expect("read").facts, facts);
        let bytes = std::fs::read(&path).expect("readable");
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).expect("written");
            assert!(open(&path).is_err(), "byte {at}");
            std::fs::write(&path, &bytes[..at]).expect("written");
            assert!(open(&path).is_err(), "cut at {at}");
        }
    }
}
