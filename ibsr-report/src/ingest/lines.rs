// SPDX-License-Identifier: MIT OR Apache-2.0
//! Lines of a file with a cap on their length, through one reused buffer.
//!
//! A longer line is handed out in parts, so that its bytes can be hashed and its place be
//! named, and is never held in memory.

use std::io::{self, BufRead, Read as _};

/// Longest line that is a row. Ours have about 200 bytes; a header with every second port
/// selected has 200 KiB.
pub const MAX_LINE_BYTES: u64 = 1 << 20;

/// A line, or a piece of one that is too long.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A whole line with its line feed; the last one of a torn file may lack it.
    Whole(&'a [u8]),
    /// A piece of a line beyond the cap, [`MAX_LINE_BYTES`] if no other was asked for.
    Part {
        /// Whether it is the first piece: say it once.
        is_first: bool,
        /// The piece.
        bytes: &'a [u8],
    },
}

/// Reads [`Line`]s.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    cap: u64,
    buffer: Vec<u8>,
    number: u64,
    is_inside: bool,
}

impl<R: BufRead> Lines<R> {
    /// From the start of a file.
    pub const fn new(reader: R) -> Self {
        Self::with_cap(reader, MAX_LINE_BYTES)
    }

    /// The same with lines of up to `cap` bytes.
    pub const fn with_cap(reader: R, cap: u64) -> Self {
        Self { reader, cap, buffer: Vec::new(), number: 0, is_inside: false }
    }

    /// Number of the line that [`Self::next`] returned last, from 1.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// The next line or piece; `None` at the end.
    ///
    /// # Errors
    /// What reading the file said; a cut archive ends here.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.buffer.clear();
        self.reader.by_ref().take(self.cap).read_until(b'\n', &mut self.buffer)?;
        if self.buffer.is_empty() {
            return Ok(None);
        }
        let is_first = !self.is_inside;
        self.number += u64::from(is_first);
        let is_cut = !self.buffer.ends_with(b"\n") && self.buffer.len() as u64 == self.cap;
        self.is_inside = is_cut;
        let bytes = self.buffer.as_slice();
        Ok(Some(match is_first && !is_cut {
            true => Line::Whole(bytes),
            false => Line::Part { is_first, bytes },
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &[u8]) -> Vec<(u64, bool, usize)> {
        let mut lines = Lines::new(text);
        let mut shape = Vec::new();
        while let Some(line) = lines.next().expect("memory can be read") {
            let (is_whole, len) = match line {
                Line::Whole(bytes) => (true, bytes.len()),
                Line::Part { bytes, .. } => (false, bytes.len()),
            };
            shape.push((lines.number(), is_whole, len));
        }
        shape
    }

    #[test]
    fn lines_are_numbered_from_one_and_the_last_may_be_torn() {
        assert_eq!(shape(b"a\n\nbc"), [(1, true, 2), (2, true, 1), (3, true, 2)]);
        assert_eq!(shape(b""), []);
    }

    /// P1: a line of any length costs one buffer, and the line behind it keeps its number.
    #[test]
    fn a_line_that_is_too_long_comes_in_parts_under_one_number() {
        let cap = usize::try_from(MAX_LINE_BYTES).expect("fits");
        let mut text = vec![b'x'; 2 * cap + 5];
        text.extend_from_slice(b"\nnext\n");
        assert_eq!(shape(&text), [(1, false, cap), (1, false, cap), (1, false, 6), (2, true, 5)]);
    }

    #[test]
    fn a_line_of_exactly_the_cap_is_whole() {
        let cap = usize::try_from(MAX_LINE_BYTES).expect("fits");
        let mut text = vec![b'x'; cap - 1];
        text.push(b'\n');
        assert_eq!(shape(&text), [(1, true, cap)]);
    }
}
