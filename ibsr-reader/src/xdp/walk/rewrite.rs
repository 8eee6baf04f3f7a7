// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of a segment, written again in several ways: what text costs beside the copy of
//! as many bytes, and beside a writer that derives it.

use std::hint::black_box;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_proto::snapshot::{RowRef, Source};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::BUFFER_BYTES;
use crate::clock::cpu_ns;

/// One way. All of them produce or take the same bytes.
#[derive(Debug, Serialize)]
struct Written {
    name: &'static str,
    rows: u64,
    bytes: u64,
    cpu_ns: u64,
}

/// Writes the source rows of `segment` in each way; one line of JSON.
///
/// # Errors
/// When the segment cannot be read.
pub fn rewrite(segment: &Path) -> Result<String> {
    let text = std::fs::read(segment)
        .with_context(|| format!("failed to read `{}`", segment.display()))?;
    let is_source = |line: &&[u8]| Source::from_canonical(line).is_some();
    let lines: Vec<&[u8]> = text.split_inclusive(|&byte| byte == b'\n').filter(is_source).collect();
    let rows: Vec<Source> = lines.iter().filter_map(|line| Source::from_canonical(line)).collect();
    let ways = [
        timed("copy of the text", &lines, |buffer, line| buffer.extend_from_slice(line)),
        timed("the reader's writer", &rows, |buffer, row| RowRef::Source(row).write_to(buffer)),
        timed("serde into a reused buffer", &rows, |buffer, row| {
            serde_json::to_writer(&mut *buffer, &RowRef::Source(row)).expect("it is a row");
            buffer.push(b'\n');
        }),
        timed("serde to a string for each row", &rows, |buffer, row| {
            let line = serde_json::to_string(&RowRef::Source(row)).expect("it is a row");
            buffer.extend_from_slice(line.as_bytes());
            buffer.push(b'\n');
        }),
        hashed(&lines),
    ];
    Ok(serde_json::to_string(&ways)?)
}

/// Writes every row into one buffer, which is emptied when it holds as much as a segment
/// writes at once.
fn timed<R>(name: &'static str, rows: &[R], mut write: impl FnMut(&mut Vec<u8>, &R)) -> Written {
    let mut buffer = Vec::with_capacity(2 * BUFFER_BYTES);
    let mut bytes = 0;
    let start = cpu_ns();
    for row in rows {
        write(&mut buffer, row);
        if buffer.len() >= BUFFER_BYTES {
            bytes += black_box(&buffer).len();
            buffer.clear();
        }
    }
    bytes += black_box(&buffer).len();
    Written { name, rows: rows.len() as u64, bytes: bytes as u64, cpu_ns: cpu_ns() - start }
}

/// What follows upon writing, of the same bytes.
fn hashed(lines: &[&[u8]]) -> Written {
    let text = lines.concat();
    let mut hasher = Sha256::new();
    let start = cpu_ns();
    for part in text.chunks(BUFFER_BYTES) {
        hasher.update(part);
    }
    black_box(hasher.finalize());
    let (rows, bytes) = (lines.len() as u64, text.len() as u64);
    Written { name: "SHA-256 of the text", rows, bytes, cpu_ns: cpu_ns() - start }
}
