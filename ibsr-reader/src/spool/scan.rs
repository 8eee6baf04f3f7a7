// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a segment as far as it obeys the grammar: header, sweeps, gap rows between them,
//! footer. Used on files that a crash left behind and before sweeps are merged.
//!
//! Streaming: memory is one line, whatever the file holds. Never panics on any bytes.

use std::io::{self, BufRead, Read as _};

use ibsr_proto::snapshot::Footer;

use super::closing::{Close, Closing as _, SweepHead};
use super::digest::Extent;
use super::rows::{Head, Seen};

/// The longest line that we write is a header that lists 32,768 single ports; a line beyond
/// this bound is no line of ours, for example a tail of NUL bytes after a power loss.
pub(super) const MAX_LINE_BYTES: u64 = 1 << 20;

/// Reads the next line with its line feed into `line`; false at the end of the file and at a
/// line that is torn or too long.
pub(super) fn next_line(input: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    input.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', line)?;
    Ok(line.ends_with(b"\n"))
}

/// The sweeps of a segment.
#[derive(Debug, Clone)]
pub(super) struct Sweeps {
    pub(super) first: SweepHead,
    pub(super) last: Close,
    pub(super) count: u64,
    /// Rows of counters in all of them.
    pub(super) rows: u64,
    /// Whether the conservation law held in each.
    pub(super) conserved: bool,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) header: Head,
    /// `None`: not one whole sweep.
    pub(super) sweeps: Option<Sweeps>,
    /// Up to the last whole sweep and the gap rows that follow it.
    pub(super) whole: Extent,
    /// Present when the footer is right and nothing follows it.
    pub(super) footer: Option<Footer>,
    /// Rows of a type that this build does not know.
    pub(super) unknown: u64,
}

/// Reads `input` up to its end or to the first line that does not belong there. `None`: it
/// does not begin with a header of this schema.
pub(super) fn scan(input: &mut impl BufRead) -> io::Result<Option<Scan>> {
    let mut line = Vec::new();
    if !next_line(input, &mut line)? {
        return Ok(None);
    }
    let Some(mut walk) = Walk::begin(&line) else { return Ok(None) };
    while next_line(input, &mut line)? {
        match walk.step(&line) {
            Step::On => {}
            Step::Wrong => break,
            Step::Footer(footer) => {
                // One byte more and the footer is not the end.
                let is_end = !next_line(input, &mut line)? && line.is_empty();
                walk.scan.footer = is_end.then_some(footer);
                break;
            }
        }
    }
    Ok(Some(walk.scan))
}

enum Step {
    On,
    Footer(Footer),
    Wrong,
}

struct Walk {
    scan: Scan,
    read: Extent,
    /// Rows of counters since the last sweep row, and the sweep they name.
    open_rows: u64,
    open_seq: Option<u64>,
}

impl Walk {
    fn begin(line: &[u8]) -> Option<Self> {
        let header = Head::from_line(line)?;
        let mut read = Extent::default();
        read.add(line, 1);
        let whole = read.clone();
        let scan = Scan { header, sweeps: None, whole, footer: None, unknown: 0 };
        Some(Self { scan, read, open_rows: 0, open_seq: None })
    }

    fn step(&mut self, line: &[u8]) -> Step {
        let Some(row) = self.scan.header.read(line) else { return Step::Wrong };
        if let Seen::Footer(footer) = row {
            let is_right = self.open_rows == 0
                && footer.lines == self.read.lines
                && footer.sha256 == self.read.sha256();
            return if is_right { Step::Footer(footer) } else { Step::Wrong };
        }
        self.read.add(line, 1);
        let is_in_place = match row {
            Seen::Counted(seq) => self.counted(seq),
            Seen::Sweep(sweep) => self.sweep(sweep),
            Seen::Gap => self.gap(),
            Seen::Unknown => {
                self.scan.unknown += 1;
                true
            }
            Seen::Header | Seen::Footer(_) => false,
        };
        if is_in_place { Step::On } else { Step::Wrong }
    }

    fn counted(&mut self, seq: u64) -> bool {
        self.open_rows += 1;
        *self.open_seq.get_or_insert(seq) == seq
    }

    fn sweep(&mut self, sweep: Close) -> bool {
        let head = sweep.head();
        let is_next = self.scan.sweeps.as_ref().is_none_or(|seen| seen.last.head().seq < head.seq);
        let is_closing =
            head.rows == self.open_rows && self.open_seq.is_none_or(|seq| seq == head.seq);
        if !is_next || !is_closing {
            return false;
        }
        let rows = std::mem::take(&mut self.open_rows);
        self.open_seq = None;
        self.scan.whole = self.read.clone();
        match &mut self.scan.sweeps {
            Some(seen) => seen.add(sweep, rows),
            none => *none = Some(Sweeps::begin(sweep, rows)),
        }
        true
    }

    fn gap(&mut self) -> bool {
        if self.open_rows == 0 {
            self.scan.whole = self.read.clone();
        }
        self.open_rows == 0
    }
}

impl Sweeps {
    fn begin(sweep: Close, rows: u64) -> Self {
        let first = sweep.head();
        Self { first, last: sweep, count: 1, rows, conserved: first.conserved }
    }

    fn add(&mut self, sweep: Close, rows: u64) {
        self.conserved &= sweep.head().conserved;
        self.count += 1;
        self.rows += rows;
        self.last = sweep;
    }
}
