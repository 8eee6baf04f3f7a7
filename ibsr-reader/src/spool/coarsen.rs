// SPDX-License-Identifier: MIT OR Apache-2.0
//! Merges the sweeps of one sealed segment into one: of each life of a source or a flow only the
//! last row, which holds all that the earlier ones did, since counters are cumulative.
//!
//! The result is a new segment under a new name; the old one is removed by the caller once
//! the new one is durable. Memory: one bit a line, and [`MAX_KEYS`] keys a pass.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, BufReader};

use ibsr_proto::snapshot::SegmentName;
use rustix::fs::Timespec;

use super::closing::{Close, Closing as _};
use super::dir::Dir;
use super::error::SpoolError;
use super::part::Part;
use super::rows::{Head, Life, Seen};
use super::scan::{Scan, Sweeps, next_line, scan};

/// Keys held at a time: with 72 bytes a slot at most 36 MiB. A larger segment is read once
/// more for each multiple.
const MAX_KEYS: u64 = 1 << 18;
/// Rows of a segment that is merged at all; beyond it the passes would take too long.
const MAX_ROWS: u64 = 8 * MAX_KEYS;
/// The merged segment.
#[derive(Debug)]
pub(super) struct Merged {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
}

/// Merges the sweeps of `name` and seals the result beside it. `None`: that would not make
/// it smaller, or the file is not whole.
pub(super) fn merge(
    dir: &Dir,
    name: &SegmentName,
    bytes: u64,
    modified: Timespec,
) -> Result<Option<Merged>, SpoolError> {
    merge_with(dir, name, bytes, modified, MAX_KEYS)
}

/// [`merge`] with another number of keys a pass.
pub(super) fn merge_with(
    dir: &Dir,
    name: &SegmentName,
    bytes: u64,
    modified: Timespec,
    max_keys: u64,
) -> Result<Option<Merged>, SpoolError> {
    let Some(origin) = Origin::read(dir, name)? else { return Ok(None) };
    let last_rows = origin.last_rows(max_keys).map_err(|error| origin.failed(error))?;
    let merged = SegmentName { merged_to: Some(origin.sweeps.last.head().seq), ..name.clone() };
    let mut part = Part::create(dir, merged)?;
    let part_name = part.part_name().to_owned();
    let written = origin.write(&last_rows, &mut part);
    let smaller = written.map(|()| part.whole_bytes() < bytes);
    let sealed = match smaller {
        Ok(true) => {
            part.seal(dir, origin.was_recovered, |part| dir.set_modified(part, modified)).map(Some)
        }
        Ok(false) => Ok(None),
        Err(error) => Err(dir.failed("write", &part_name, error)),
    };
    match sealed {
        Ok(Some(name)) => {
            let bytes = dir.list(|it| it == name.to_string())?.first().map_or(0, |it| it.bytes);
            Ok(Some(Merged { name, bytes }))
        }
        other => {
            dir.remove(&part_name)?;
            other.map(|_| None)
        }
    }
}

/// The segment to merge.
struct Origin<'a> {
    dir: &'a Dir,
    name: String,
    header: Head,
    sweeps: Sweeps,
    lines: u64,
    was_recovered: bool,
}

/// One bit a line.
struct Lines(Vec<u64>);

impl Lines {
    fn set(&mut self, line: u64, is_set: bool) {
        let (word, bit) = (usize::try_from(line / 64).unwrap_or(usize::MAX), 1 << (line % 64));
        if let Some(word) = self.0.get_mut(word) {
            if is_set { *word |= bit } else { *word &= !bit }
        }
    }

    fn contains(&self, line: u64) -> bool {
        let word = usize::try_from(line / 64).ok().and_then(|word| self.0.get(word));
        word.is_some_and(|word| word & (1 << (line % 64)) != 0)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }
}

impl<'a> Origin<'a> {
    fn read(dir: &'a Dir, name: &SegmentName) -> Result<Option<Self>, SpoolError> {
        let name = name.to_string();
        let found = scan(&mut BufReader::new(dir.open_file(&name)?))
            .map_err(|error| dir.failed("read", &name, error))?;
        let Some(Scan { header, sweeps: Some(sweeps), footer: Some(footer), whole, unknown: 0 }) =
            found
        else {
            tracing::warn!(path = %dir.path_of(&name).display(), "segment is damaged, not merged");
            return Ok(None);
        };
        // Verdicts are events: no later row holds an earlier one.
        let is_of_events = matches!(header, Head::Guard(_));
        if is_of_events || sweeps.count < 2 || sweeps.rows > MAX_ROWS {
            return Ok(None);
        }
        let (lines, was_recovered) = (whole.lines, footer.recovered);
        Ok(Some(Self { dir, name, header, sweeps, lines, was_recovered }))
    }

    /// Calls `each` with the number and the bytes of every line.
    fn lines(&self, mut each: impl FnMut(u64, &[u8]) -> io::Result<()>) -> io::Result<()> {
        let file = self.dir.open_file(&self.name).map_err(io::Error::other)?;
        let mut input = BufReader::new(file);
        let mut line = Vec::new();
        for number in 0..self.lines {
            if !next_line(&mut input, &mut line)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            each(number, &line)?;
        }
        Ok(())
    }

    /// The lines that hold the last row of a life.
    fn last_rows(&self, max_keys: u64) -> io::Result<Lines> {
        let words = usize::try_from(self.lines / 64 + 1).map_err(io::Error::other)?;
        let mut last_rows = Lines(vec![0; words]);
        let passes = self.sweeps.rows.div_ceil(max_keys);
        let spread = RandomState::new();
        for pass in 0..passes {
            let mut seen: HashMap<Life, u64> = HashMap::new();
            self.lines(|number, line| {
                let Some(life) = self.header.life(line)? else { return Ok(()) };
                if spread.hash_one(life) % passes == pass {
                    if let Some(earlier) = seen.insert(life, number) {
                        last_rows.set(earlier, false);
                    }
                    last_rows.set(number, true);
                }
                Ok(())
            })?;
        }
        Ok(last_rows)
    }

    /// Header, the last rows, the one sweep, the gap rows.
    fn write(&self, last_rows: &Lines, part: &mut Part) -> io::Result<()> {
        let seq = self.sweeps.last.head().seq;
        let mut text = Vec::new();
        self.lines(|number, line| match number {
            0 => part.line(line),
            _ if last_rows.contains(number) => {
                text.clear();
                match self.header.write_as_of(line, seq, &mut text) {
                    true => part.line(&text),
                    false => Err(io::ErrorKind::InvalidData.into()),
                }
            }
            _ => Ok(()),
        })?;
        text.clear();
        self.merged_sweep(last_rows.count()).write_to(&mut text);
        part.line(&text)?;
        self.lines(|_, line| match self.header.read(line) {
            Some(Seen::Gap) => part.line(line),
            _ => Ok(()),
        })?;
        part.commit()
    }

    /// The state is that of the last sweep, the interval that of all.
    fn merged_sweep(&self, rows: u64) -> Close {
        let Sweeps { first, last, conserved, .. } = &self.sweeps;
        last.merged(*first, rows, *conserved)
    }

    fn failed(&self, error: io::Error) -> SpoolError {
        self.dir.failed("read", &self.name, error)
    }
}
