// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sorted sources, in memory or in a file, and one pass over many of them in the order of
//! addresses. Never more than one record of each run is held.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek as _, SeekFrom, Write};
use std::path::PathBuf;

use anyhow::Context as _;
use ibsr_proto::addr::SourceAddr;
use ibsr_replay::fold::source_facts::SourceFacts;

/// Longest record: a source on every day of ten years, acted on in every way on each.
const MAX_RECORD_BYTES: u32 = 16 << 20;
const BUFFER_BYTES: usize = 64 << 10;

/// A source.
pub type Source = (SourceAddr, SourceFacts);

/// Sorted sources.
#[derive(Debug)]
pub enum Run {
    /// In memory.
    Memory(Vec<Source>),
    /// In a file without a name, from its start.
    Spilled(File),
    /// In a partial, from this byte on.
    Partial(PathBuf, u64),
}

/// Writes sources one by one.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// To `out`.
    pub const fn new(out: W) -> Self {
        Self { out, buffer: Vec::new() }
    }

    /// Writes a source.
    ///
    /// # Errors
    /// What writing said.
    pub fn write(&mut self, addr: SourceAddr, facts: &SourceFacts) -> io::Result<()> {
        self.buffer.clear();
        self.buffer = postcard::to_extend(facts, std::mem::take(&mut self.buffer))
            .map_err(|error| io::Error::other(error.to_string()))?;
        let len = u32::try_from(self.buffer.len()).map_err(io::Error::other)?;
        self.out.write_all(&addr.to_bytes())?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&self.buffer)
    }

    /// Ends the run.
    ///
    /// # Errors
    /// What writing said.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&[0; 16])?;
        self.out.write_all(&u32::MAX.to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

/// Reads a source; `None` at the end of the run.
///
/// # Errors
/// When the bytes are no run.
pub fn read(from: &mut impl Read) -> io::Result<Option<Source>> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
    let mut head = [0; 20];
    from.read_exact(&mut head)?;
    let (addr, len) = head.split_at(16);
    let addr = SourceAddr::from_bytes(addr.try_into().expect("16 bytes"));
    let len = u32::from_le_bytes(len.try_into().expect("4 bytes"));
    if len == u32::MAX {
        return Ok(None);
    }
    if len > MAX_RECORD_BYTES {
        return Err(invalid("a record is longer than any source"));
    }
    let mut bytes = Vec::new();
    from.by_ref().take(len.into()).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != u64::from(len) {
        return Err(invalid("a record is cut"));
    }
    let facts = postcard::from_bytes(&bytes).map_err(|_| invalid("a record is no source"))?;
    Ok(Some((addr, facts)))
}

impl Run {
    /// Puts `sources` into a file without a name.
    ///
    /// # Errors
    /// When the directory for temporary files cannot be written.
    pub fn spill(sources: Vec<Source>) -> anyhow::Result<Self> {
        let write = || -> io::Result<File> {
            let file = tempfile::tempfile()?;
            let mut writer = Writer::new(BufWriter::with_capacity(BUFFER_BYTES, file));
            for (addr, facts) in &sources {
                writer.write(*addr, facts)?;
            }
            let mut file = writer.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            Ok(file)
        };
        write().map(Self::Spilled).context("failed to write sources to a temporary file")
    }

    fn open(self) -> anyhow::Result<Cursor> {
        Ok(match self {
            Self::Memory(sources) => Cursor::Memory(sources.into_iter()),
            Self::Spilled(file) => Cursor::File(BufReader::with_capacity(BUFFER_BYTES, file)),
            Self::Partial(path, from) => {
                let mut file = File::open(&path)
                    .with_context(|| format!("failed to open `{}`", path.display()))?;
                file.seek(SeekFrom::Start(from))?;
                Cursor::File(BufReader::with_capacity(BUFFER_BYTES, file))
            }
        })
    }
}

enum Cursor {
    Memory(std::vec::IntoIter<Source>),
    File(BufReader<File>),
}

impl Cursor {
    fn next(&mut self) -> io::Result<Option<Source>> {
        match self {
            Self::Memory(sources) => Ok(sources.next()),
            Self::File(file) => read(file),
        }
    }
}

/// Visits every source of `runs` once, by address, with everything that any run says of it.
///
/// # Errors
/// When a run cannot be read, or is not sorted.
pub fn merge(
    runs: Vec<Run>,
    mut visit: impl FnMut(SourceAddr, SourceFacts) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut cursors = Vec::new();
    let mut heads = Vec::new();
    let mut order = BinaryHeap::new();
    for (at, run) in runs.into_iter().enumerate() {
        let mut cursor = run.open()?;
        let head = cursor.next().context("failed to read sources")?;
        order.extend(head.as_ref().map(|(addr, _)| Reverse((*addr, at))));
        heads.push(head);
        cursors.push(cursor);
    }
    let mut open: Option<Source> = None;
    while let Some(Reverse((addr, at))) = order.pop() {
        let Some((_, facts)) = heads[at].take() else { continue };
        match &mut open {
            Some((known, all)) if *known == addr => all.join(&facts),
            _ => {
                if let Some((known, all)) = open.replace((addr, facts)) {
                    visit(known, all)?;
                }
            }
        }
        heads[at] = cursors[at].next().context("failed to read sources")?;
        if let Some((next, _)) = &heads[at] {
            anyhow::ensure!(*next > addr, "sources of a partial are not sorted");
            order.push(Reverse((*next, at)));
        }
    }
    open.map_or(Ok(()), |(addr, all)| visit(addr, all))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(number: u8, syn: u64) -> Source {
        let mut facts =
            SourceFacts { days: vec![(u32::from(number), syn)], ..SourceFacts::default() };
        facts.counts.syn = syn;
        (SourceAddr::from_bytes([number; 16]), facts)
    }

    fn merged(runs: Vec<Run>) -> anyhow::Result<Vec<(u8, u64)>> {
        let mut all = Vec::new();
        merge(runs, |addr, facts| {
            all.push((addr.to_bytes()[0], facts.counts.syn));
            Ok(())
        })?;
        Ok(all)
    }

    #[test]
    fn runs_in_memory_and_in_files_are_one_sorted_run() {
        let run = || vec![source(1, 1), source(3, 2), source(9, 4)];
        let other = vec![source(0, 8), source(3, 16)];
        let expected = [(0, 8), (1, 1), (3, 18), (9, 4)];
        let spilled = Run::spill(run()).expect("spilled");
        assert_eq!(merged(vec![spilled, Run::Memory(other.clone())]).expect("merged"), expected);
        let in_memory = vec![Run::Memory(other), Run::Memory(run())];
        assert_eq!(merged(in_memory).expect("merged"), expected);
        assert!(merged(Vec::new()).expect("merged").is_empty());
    }

    #[test]
    fn bytes_that_are_no_run_are_an_error() {
        let mut writer = Writer::new(Vec::new());
        let (addr, facts) = source(1, 1);
        writer.write(addr, &facts).expect("memory takes every byte");
        let bytes = writer.finish().expect("memory takes every byte");
        assert_eq!(read(&mut bytes.as_slice()).expect("a source"), Some((addr, facts)));
        for cut in 0..20 {
            assert!(read(&mut &bytes[..cut]).is_err(), "cut at {cut}");
        }
        let mut long = bytes;
        long[16..20].copy_from_slice(&(MAX_RECORD_BYTES + 1).to_le_bytes());
        assert!(read(&mut long.as_slice()).is_err());
        let unsorted = vec![source(2, 1), source(1, 1)];
        assert!(merged(vec![Run::Memory(unsorted)]).is_err());
    }
}
