// SPDX-License-Identifier: MIT OR Apache-2.0
//! One segment as a table: its source rows, and the other lines as they stood. Made from a
//! segment's bytes, and read back as the same bytes. Nothing here knows Parquet.

use std::io::{self, BufRead, Read};

use ibsr_proto::snapshot::{Row, RowRef, Source};

use super::{MAX_ROWS, MAX_TEXT_BYTES};
use crate::ingest::lines::{Line, Lines};

/// A source row and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// Line in the segment, from 1.
    pub line: u32,
    /// Wall clock of the sweep that closes it; none does in a segment that was cut.
    pub at_unix_ms: Option<u64>,
    /// The row.
    pub source: Source,
}

/// The lines of a segment.
#[derive(Debug, Default)]
pub struct Table {
    /// Source rows in the order of their lines.
    pub rows: Vec<Placed>,
    /// All other lines in their order, each with its line feed.
    pub text: Vec<u8>,
}

/// Why a segment cannot be a table.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// It cannot be read.
    #[error("failed to read it: {0}")]
    Read(#[from] io::Error),
    /// A source row in other words than ours could not be given back to the byte.
    #[error("line {0} is a source row in another spelling than ours")]
    Spelling(u64),
    /// More than fits into memory.
    #[error("it has more than {MAX_ROWS} source rows or {MAX_TEXT_BYTES} bytes of other lines")]
    TooLarge,
}

impl Table {
    /// Reads a segment that was verified. Memory: about 120 bytes for each row.
    ///
    /// # Errors
    /// [`Unfit`]: the segment is to be kept as it is.
    pub fn of(segment: impl BufRead) -> Result<Self, Unfit> {
        let mut table = Self::default();
        let mut lines = Lines::new(segment);
        let mut open = 0;
        while let Some(line) = lines.next()? {
            let text = match line {
                Line::Whole(text) => text,
                Line::Part { bytes, .. } => bytes,
            };
            if let Some(source) = Source::from_canonical(text) {
                let line = u32::try_from(lines.number()).map_err(|_| Unfit::TooLarge)?;
                table.rows.push(Placed { line, at_unix_ms: None, source });
            } else {
                match Row::from_line(text) {
                    Ok(Row::Source(_)) => return Err(Unfit::Spelling(lines.number())),
                    Ok(Row::Sweep(sweep)) => {
                        let closed = table.rows.iter_mut().skip(open);
                        closed.for_each(|row| row.at_unix_ms = Some(sweep.at_unix_ms));
                        open = table.rows.len();
                    }
                    _ => {}
                }
                table.text.extend_from_slice(text);
            }
            if table.rows.len() > MAX_ROWS || table.text.len() > MAX_TEXT_BYTES {
                return Err(Unfit::TooLarge);
            }
        }
        Ok(table)
    }

    /// Gives the segment's bytes back.
    ///
    /// # Errors
    /// When two rows claim one line, or a line that is none.
    pub fn into_segment(self) -> io::Result<Segment> {
        let Self { rows, text } = self;
        let others = text.split_inclusive(|&byte| byte == b'\n').count();
        let mut order = vec![OTHER; rows.len() + others];
        for (at, row) in (0_u32..).zip(&rows) {
            let slot = (row.line as usize).checked_sub(1).and_then(|line| order.get_mut(line));
            match slot {
                Some(slot) if *slot == OTHER => *slot = at,
                _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "its lines overlap")),
            }
        }
        Ok(Segment { rows, text, order, line: 0, text_at: 0, spelled: Vec::new(), taken: 0 })
    }
}

const OTHER: u32 = u32::MAX;
/// Bytes that are spelled at once.
const SPELL_BYTES: usize = 64 << 10;

/// The bytes of a segment, spelled as they are read.
#[derive(Debug)]
pub struct Segment {
    rows: Vec<Placed>,
    text: Vec<u8>,
    /// For each line, which row it is.
    order: Vec<u32>,
    line: usize,
    text_at: usize,
    spelled: Vec<u8>,
    taken: usize,
}

impl Segment {
    fn spell(&mut self) {
        self.spelled.clear();
        self.taken = 0;
        while self.spelled.len() < SPELL_BYTES
            && let Some(&at) = self.order.get(self.line)
        {
            self.line += 1;
            match self.rows.get(at as usize) {
                Some(row) => RowRef::Source(&row.source).write_to(&mut self.spelled),
                None => {
                    let rest = &self.text[self.text_at..];
                    let len = rest.iter().position(|&byte| byte == b'\n');
                    let line = &rest[..len.map_or(rest.len(), |len| len + 1)];
                    self.text_at += line.len();
                    self.spelled.extend_from_slice(line);
                }
            }
        }
    }
}

impl Read for Segment {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.fill_buf()?.read(out)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Segment {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.spelled.len() {
            self.spell();
        }
        Ok(&self.spelled[self.taken..])
    }

    fn consume(&mut self, bytes: usize) {
        self.taken += bytes;
    }
}
