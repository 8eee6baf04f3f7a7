// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge of what a guard said: reads its segments, each once.

use std::collections::BTreeSet;

use anyhow::Context as _;
use ibsr_proto::snapshot::guard::Row;
use ibsr_replay::egress::rehearsal::{RehearsalFold, Rehearsed, Wanted};

use crate::ingest::lines::{Line, Lines};
use crate::ingest::scan::VerdictSegment;
use crate::progress::Progress;

/// What guards said that judged by the `wanted` policy; none where none did.
///
/// # Errors
/// When a segment changed while it was read, or there are more records than can be held.
pub fn read(
    segments: &[VerdictSegment],
    wanted: Wanted,
    progress: &Progress,
) -> anyhow::Result<Option<Rehearsed>> {
    let mut fold = RehearsalFold::new(wanted);
    let mut seen = BTreeSet::new();
    for segment in segments.iter().filter(|it| seen.insert(&it.contents.sha256)) {
        read_segment(&mut fold, segment, progress)
            .with_context(|| format!("failed to read `{}` again", segment.origin))?;
    }
    Ok(fold.finish())
}

/// A row that cannot be read is a record that nobody has: it counts as lost.
fn read_segment(
    fold: &mut RehearsalFold,
    segment: &VerdictSegment,
    progress: &Progress,
) -> anyhow::Result<()> {
    fold.begin(&segment.contents.header);
    let mut lines = Lines::new(segment.place.open()?);
    while let Some(line) = lines.next()? {
        match line {
            Line::Whole(text) => match Row::from_line(text) {
                Ok(Row::Verdict(row)) => fold.verdict(&row)?,
                Ok(Row::Sweep(row)) => fold.sweep(&row),
                Ok(_) => {}
                Err(_) => fold.reject(),
            },
            Line::Part { is_first: true, .. } => fold.reject(),
            Line::Part { .. } => {}
        }
        progress.line(lines.number());
    }
    progress.file(lines.number());
    Ok(())
}
