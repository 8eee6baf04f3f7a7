// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first and the last sweep of a sealed segment, without reading what lies between where
//! that can be avoided; and from it, where the numbering goes on after a restart.

use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};

use ibsr_proto::snapshot::SegmentName;

use super::closing::{Closing as _, SweepHead};
use super::dir::Dir;
use super::error::SpoolError;
use super::scan::{next_line, scan};

/// Holds the last sweep row, the gap rows behind it (at most [`super::backlog::MAX_GAPS`] of
/// some 150 bytes) and the footer.
const TAIL_BYTES: u64 = 64 * 1024;
/// How we write a sweep row; a million rows are passed over without being parsed.
const SWEEP_PREFIX: &[u8] = br#"{"type":"sweep","#;

/// The highest sequence number in the sealed segments of a boot. What cannot be read is
/// passed over with a warning.
pub(super) fn newest_seq(dir: &Dir, scope: &str, boot8: &str) -> Option<u64> {
    let parse = |name: &str| SegmentName::parse(name, scope).filter(|it| it.boot8 == boot8);
    let listed = dir.list(|name| parse(name).is_some());
    let entries = listed.map_err(|error| warn(&error)).unwrap_or_default();
    let ours = entries.iter().filter(|entry| entry.facts.is_our_file(dir.uid()));
    let newest = ours.filter_map(|entry| parse(&entry.name)).max_by_key(|name| name.first_seq)?;
    let last = last_sweep(dir, &newest).map_err(|error| warn(&error)).ok().flatten();
    let in_file = last.map_or(newest.first_seq, |sweep| sweep.seq);
    Some(in_file.max(newest.merged_to.unwrap_or(0)))
}

/// The last sweep row of a sealed segment.
pub(super) fn last_sweep(dir: &Dir, name: &SegmentName) -> Result<Option<SweepHead>, SpoolError> {
    let name = name.to_string();
    let mut file = dir.open_file(&name)?;
    let found = in_tail(&mut file).and_then(|found| match found {
        Some(sweep) => Ok(Some(sweep)),
        None => in_whole(&mut file),
    });
    found.map_err(|error| dir.failed("read", &name, error))
}

/// The first sweep row of a sealed segment.
pub(super) fn first_sweep(dir: &Dir, name: &SegmentName) -> Result<Option<SweepHead>, SpoolError> {
    let name = name.to_string();
    let mut input = BufReader::new(dir.open_file(&name)?);
    let mut line = Vec::new();
    loop {
        match next_line(&mut input, &mut line) {
            Err(error) => return Err(dir.failed("read", &name, error)),
            Ok(false) => return Ok(None),
            Ok(true) if line.starts_with(SWEEP_PREFIX) => break,
            Ok(true) => {}
        }
    }
    Ok(sweep_of(&line))
}

fn sweep_of(line: &[u8]) -> Option<SweepHead> {
    line.starts_with(SWEEP_PREFIX).then(|| serde_json::from_slice(line).ok())?
}

fn in_tail(file: &mut File) -> io::Result<Option<SweepHead>> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
    let mut tail = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut tail)?;
    Ok(tail.rsplit(|byte| *byte == b'\n').find_map(sweep_of))
}

fn in_whole(file: &mut File) -> io::Result<Option<SweepHead>> {
    file.rewind()?;
    let found = scan(&mut BufReader::new(file))?;
    Ok(found.and_then(|found| found.sweeps).map(|sweeps| sweeps.last.head()))
}

fn warn(error: &SpoolError) {
    tracing::warn!(%error, "newest segment not read");
}
