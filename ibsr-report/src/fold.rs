// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge of the fold: finds and verifies segments, folds each day of each stream on a
//! few threads, keeps the memory in its bounds.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Context as _;
use ibsr_proto::snapshot::Row;
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::facts::{FoldedUnit, UnitId};
use ibsr_replay::fold::horizon::{DAY_MS, Partition};
use ibsr_replay::fold::unit::UnitFold;
use ibsr_replay::rules::text::to_toml;

use crate::cli::InputArgs;
use crate::ingest::lines::{Line, Lines, MAX_LINE_BYTES};
use crate::ingest::plan::{Plan, Unit, plan};
use crate::ingest::remote::gather;
use crate::ingest::scan::{Contents, Segment};
use crate::ingest::verify::{Verified, verify};
use crate::parallel;
use crate::partial::runs::{Run, Source};
use crate::partial::{Facts, Partial, SegmentFact, Terms};
use crate::progress::Progress;
use crate::talk;

/// Memory of an entry while its day is folded: entry, state, keys, spare room of the tables.
const ENTRY_BYTES: u64 = 448;
/// Memory of a source when its day is folded.
const SOURCE_BYTES: u64 = 248;
/// A day is read at most so many times.
const MAX_PARTITIONS: u64 = 4096;

/// How to fold.
#[derive(Debug, Clone)]
pub struct Folding {
    /// With these rules.
    pub rules: Compiled,
    /// Only these days; empty: all.
    pub days: BTreeSet<u32>,
    /// Only these days of these streams; none: all.
    pub only: Option<BTreeSet<UnitId>>,
    /// Memory for sources, all threads together.
    pub memory_bytes: u64,
    /// Whether what entries held before the first sweep of a stream is counted.
    pub is_history_counted: bool,
    /// Whether to show no progress.
    pub is_quiet: bool,
}

impl Folding {
    /// Whether this day of this stream is wanted.
    #[must_use]
    pub fn wants(&self, id: &UnitId) -> bool {
        (self.days.is_empty() || self.days.contains(&id.day))
            && self.only.as_ref().is_none_or(|only| only.contains(id))
    }
}

/// Memory that folded sources hold, all threads together.
#[derive(Debug)]
pub struct Held {
    bytes: AtomicU64,
    limit_bytes: u64,
}

impl Held {
    /// Half of the memory; the other half is for what is being folded.
    fn new(folding: &Folding) -> Self {
        Self { bytes: AtomicU64::new(0), limit_bytes: folding.memory_bytes / 2 }
    }

    /// Sorted sources, in memory as long as there is room.
    ///
    /// # Errors
    /// When a temporary file cannot be written.
    pub fn run(&self, sources: Vec<Source>) -> anyhow::Result<Run> {
        let bytes = sources.len() as u64 * SOURCE_BYTES;
        if self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit_bytes {
            return Ok(Run::Memory(sources));
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        Run::spill(sources)
    }
}

/// Folds everything that `input` names.
///
/// # Errors
/// When an input cannot be found or fetched, recordings contradict each other, or a segment
/// changed while it was read.
pub fn fold(input: &InputArgs, folding: &Folding) -> anyhow::Result<Partial> {
    let threads = input
        .threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let gathered = gather(&input.inputs, &input.s3, input.input_format)?;
    let verified = verify(&gathered.files, threads);
    fold_verified(verified, folding, threads)
}

/// Folds segments that were verified.
///
/// # Errors
/// As [`fold`].
pub fn fold_verified(
    verified: Verified,
    folding: &Folding,
    threads: usize,
) -> anyhow::Result<Partial> {
    let terms = Terms { window_ns: folding.rules.window_ns(), rules: to_toml(folding.rules.set()) };
    let mut facts = Facts::new(terms);
    for file in verified.refused {
        facts.refused.insert(file.origin, (file.name, file.reason));
    }
    note_origins(&mut facts, &verified.segments, |contents| contents.sweeps.is_empty());
    note_origins(&mut facts, &verified.flows, |contents| talk::is_used(contents, folding));
    let plan = plan(verified.segments, folding.rules.warm_ns() / 1_000_000)?;
    let units: Vec<&Unit> = plan.units.iter().filter(|unit| folding.wants(&unit.id)).collect();
    for at in units.iter().flat_map(|unit| &unit.segments) {
        if let Some(segment) = facts.segments.get_mut(&plan.segments[*at].contents.sha256) {
            segment.is_used = true;
        }
    }
    let lines = units.iter().flat_map(|unit| &unit.segments);
    let lines: u64 = lines.map(|at| plan.segments[*at].contents.footer.lines).sum();
    let flows: u64 = verified.flows.iter().map(|flows| flows.contents.footer.lines).sum();
    let progress = Progress::new(lines + flows, folding.is_quiet);
    let held = Held::new(folding);
    let folded = parallel::map(&units, threads, |unit| {
        fold_unit(unit, &plan, folding, threads, &held, &progress)
    });
    let mut runs = Vec::new();
    for unit in folded {
        let (unit, sources) = unit?;
        facts.units.insert(unit.id, unit.facts);
        runs.extend(sources);
    }
    let (talks, connections) = talk::fold(&verified.flows, folding, threads, &held, &progress)?;
    facts.talks = talks;
    runs.extend(connections);
    progress.end();
    Ok(Partial { facts, runs })
}

/// A segment without sweeps says nothing; nothing of it was left out either.
pub fn note_origins<H>(
    facts: &mut Facts,
    segments: &[Segment<H>],
    is_used: impl Fn(&Contents<H>) -> bool,
) {
    for Segment { origin, name, contents, .. } in segments {
        let own = facts.segments.entry(contents.sha256.clone()).or_insert_with(|| SegmentFact {
            name: name.clone(),
            bytes: contents.bytes,
            lines: contents.footer.lines,
            origins: BTreeSet::new(),
            is_used: is_used(contents),
        });
        own.origins.insert(origin.clone());
        if *name < own.name {
            own.name.clone_from(name);
        }
    }
}

/// Folds one day, in as many shares of its sources as the memory asks for. Reading it again
/// for each share costs time where writing rows to disk first would cost time and disk.
fn fold_unit(
    unit: &Unit,
    plan: &Plan,
    folding: &Folding,
    threads: usize,
    held: &Held,
    progress: &Progress,
) -> anyhow::Result<(FoldedUnit, Vec<Run>)> {
    let budget = (folding.memory_bytes / 2 / threads as u64).max(1);
    let of = unit.entries.saturating_mul(ENTRY_BYTES).div_ceil(budget).clamp(1, MAX_PARTITIONS);
    let of = u32::try_from(of).expect("a bounded number");
    let mut all: Option<FoldedUnit> = None;
    let mut runs = Vec::new();
    for index in 0..of {
        let mut share = fold_share(unit, plan, folding, Partition { index, of }, progress)?;
        runs.push(held.run(std::mem::take(&mut share.sources))?);
        match &mut all {
            Some(all) => all.facts.join(share.facts),
            None => all = Some(share),
        }
    }
    Ok((all.expect("there is at least one share"), runs))
}

fn fold_share(
    unit: &Unit,
    plan: &Plan,
    folding: &Folding,
    partition: Partition,
    progress: &Progress,
) -> anyhow::Result<FoldedUnit> {
    let mut fold = UnitFold::new(unit.id.clone(), &folding.rules, partition);
    if folding.is_history_counted && unit.is_first {
        fold = fold.with_history();
    }
    for at in &unit.segments {
        let segment = &plan.segments[*at];
        let sweeps = &segment.contents.sweeps;
        let is_of_day = |at_unix_ms: u64| at_unix_ms / DAY_MS == u64::from(unit.id.day);
        if sweeps.iter().any(|sweep| is_of_day(sweep.at_unix_ms)) {
            fold.vouch(&segment.contents.header);
        }
        fold_segment(&mut fold, segment, progress)
            .with_context(|| format!("failed to read `{}` again", segment.origin))?;
    }
    Ok(fold.finish())
}

fn fold_segment(
    fold: &mut UnitFold<'_>,
    segment: &Segment,
    progress: &Progress,
) -> anyhow::Result<()> {
    fold.begin(&segment.name, &segment.contents.header);
    let mut lines = Lines::new(segment.place.open()?);
    while let Some(line) = lines.next()? {
        match line {
            Line::Whole(text) => {
                let row = Row::from_line(text);
                let number = lines.number();
                progress.line(number);
                match row {
                    Ok(Row::Header(_)) if number == 1 => {}
                    Ok(row) => fold.add(number, row),
                    Err(error) => fold.reject(number, error.to_string()),
                }
            }
            Line::Part { is_first: true, .. } => {
                let number = lines.number();
                fold.reject(number, format!("longer than {MAX_LINE_BYTES} bytes"));
            }
            Line::Part { .. } => {}
        }
    }
    progress.file(lines.number());
    fold.end();
    Ok(())
}
