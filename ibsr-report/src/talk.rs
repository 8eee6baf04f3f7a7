// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge of the fold of flows: reads the segments of each stream of a cgroup in the order
//! of its sweeps, once for each share of its flows that fits into memory. What it says of the
//! sources of connections goes where the sources of interfaces go.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, ensure};
use ibsr_proto::snapshot::cgroup::{Header, Row};
use ibsr_replay::fold::facts::UnitId;
use ibsr_replay::fold::horizon::{DAY_MS, Partition};
use ibsr_replay::fold::id::StreamId;
use ibsr_replay::talk::lives::{LivesFold, SweepTime, TalkFacts};

use crate::fold::{Folding, Held};
use crate::ingest::lines::{Line, Lines};
use crate::ingest::scan::{Contents, FlowSegment, SweepSpan};
use crate::parallel;
use crate::partial::runs::Run;
use crate::progress::Progress;

/// Memory of a life of a flow and of its source: keys, states, spare room of the tables.
pub const LIFE_BYTES: u64 = 600;
/// A stream is read at most so many times.
pub const MAX_PARTITIONS: u64 = 4096;

/// Days of streams, and the sources of their connections.
pub type Folded = (BTreeMap<UnitId, TalkFacts>, Vec<Run>);

/// Folds every day of every stream that is wanted. `held` is the memory for sources.
///
/// # Errors
/// When recordings contradict each other, or a segment changed while it was read.
pub fn fold(
    segments: &[FlowSegment],
    folding: &Folding,
    threads: usize,
    held: &Held,
    progress: &Progress,
) -> anyhow::Result<Folded> {
    let mut streams: BTreeMap<StreamId, Vec<&FlowSegment>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for segment in segments.iter().filter(|segment| seen.insert(&segment.contents.sha256)) {
        streams.entry(stream(&segment.contents.header)).or_default().push(segment);
    }
    let mut streams: Vec<_> = streams.into_iter().collect();
    for (_, segments) in &mut streams {
        segments.sort_by_key(|segment| {
            let first = segment.contents.sweeps.first();
            (first.map(|sweep| (sweep.first_seq, sweep.seq)), &segment.contents.sha256)
        });
        check_agreement(segments)?;
    }
    let folded = parallel::map(&streams, threads, |(stream, segments)| {
        fold_stream(stream, segments, folding, (threads, held), progress)
    });
    let (mut all, mut runs) = (BTreeMap::new(), Vec::new());
    for days in folded {
        let (days, sources) = days?;
        all.extend(days);
        runs.extend(sources);
    }
    Ok((all, runs))
}

/// Whether any sweep of a segment is of a day that is wanted.
pub fn is_used(contents: &Contents<Header>, folding: &Folding) -> bool {
    let stream = stream(&contents.header);
    let day = |sweep: &SweepSpan| u32::try_from(sweep.at_unix_ms / DAY_MS).unwrap_or(u32::MAX);
    let id = |sweep| UnitId { stream: stream.clone(), day: day(sweep) };
    // One without sweeps says nothing; nothing of it was left out either.
    contents.sweeps.is_empty() || contents.sweeps.iter().any(|sweep| folding.wants(&id(sweep)))
}

/// The set of maps that a header is of.
pub fn stream(header: &Header) -> StreamId {
    StreamId {
        host: header.host.clone(),
        scope: header.scope.clone(),
        boot_id: header.boot_id.clone(),
        epoch: header.epoch.clone(),
    }
}

/// Which of two recordings of one sweep is true cannot be known from files.
///
/// # Errors
/// When two contradict each other.
pub fn check_agreement(segments: &[&FlowSegment]) -> anyhow::Result<()> {
    let mut ends: HashMap<u64, (&str, u64)> = HashMap::new();
    for segment in segments {
        for sweep in &segment.contents.sweeps {
            let (first, at) = *ends.entry(sweep.seq).or_insert((&segment.name, sweep.at_boot_ns));
            ensure!(
                at == sweep.at_boot_ns,
                "refusing to mix recordings that contradict each other: `{first}` and `{}` say different \
                 things about sweep {} of one boot and epoch\nhint: leave out the one that is not from this host",
                segment.name,
                sweep.seq
            );
        }
    }
    Ok(())
}

fn fold_stream(
    stream: &StreamId,
    segments: &[&FlowSegment],
    folding: &Folding,
    (threads, held): (usize, &Held),
    progress: &Progress,
) -> anyhow::Result<Folded> {
    let budget = (folding.memory_bytes / threads as u64).max(1);
    let of = lives(segments).saturating_mul(LIFE_BYTES).div_ceil(budget).clamp(1, MAX_PARTITIONS);
    let of = u32::try_from(of).expect("a bounded number");
    let mut days: BTreeMap<UnitId, TalkFacts> = BTreeMap::new();
    let mut runs = Vec::new();
    for index in 0..of {
        let mut fold = LivesFold::new(&stream.host, Partition { index, of });
        for segment in segments {
            fold_segment(&mut fold, segment, progress)
                .with_context(|| format!("failed to read `{}` again", segment.origin))?;
        }
        for (day, folded) in fold.finish() {
            let id = UnitId { stream: stream.clone(), day };
            if !folding.wants(&id) {
                continue;
            }
            days.entry(id).or_default().join(&folded.facts);
            if !folded.sources.is_empty() {
                runs.push(held.run(folded.sources)?);
            }
        }
    }
    Ok((days, runs))
}

/// Lives that the sweeps of a stream can list at most.
pub fn lives(segments: &[&FlowSegment]) -> u64 {
    let sweeps = || segments.iter().flat_map(|segment| &segment.contents.sweeps);
    let last = sweeps().map(|sweep| sweep.inserted).max().unwrap_or(0);
    sweeps()
        .next()
        .map_or(0, |first| first.entries.saturating_add(last.saturating_sub(first.inserted)))
}

fn fold_segment(
    fold: &mut LivesFold,
    segment: &FlowSegment,
    progress: &Progress,
) -> anyhow::Result<()> {
    let sweeps = &segment.contents.sweeps;
    let time = |sweep: &SweepSpan| SweepTime {
        at_boot_ns: sweep.at_boot_ns,
        at_unix_ms: sweep.at_unix_ms,
    };
    let times: HashMap<u64, SweepTime> =
        sweeps.iter().map(|sweep| (sweep.seq, time(sweep))).collect();
    let Some(last) = sweeps.last().map(time) else { return Ok(()) };
    fold.begin(&segment.contents.header);
    let mut lines = Lines::new(segment.place.open()?);
    loop {
        // Of a whole line; a piece of a longer one is no row.
        let at = (segment.name.as_str(), lines.number() + 1);
        let Some(line) = lines.next()? else { break };
        match line {
            Line::Whole(text) => match Row::from_line(text) {
                Ok(Row::Flow(flow)) => match times.get(&flow.seq) {
                    Some(time) => fold.flow(&flow, *time),
                    None => fold.reject(last),
                },
                Ok(Row::Behaviour(row)) => match times.get(&row.seq) {
                    Some(time) => fold.behaviour(&row, *time, at),
                    None => fold.reject(last),
                },
                Ok(Row::App(row)) => match times.get(&row.seq) {
                    Some(time) => fold.application(&row, *time, at),
                    None => fold.reject(last),
                },
                Ok(Row::Zone(row)) => match times.get(&row.seq) {
                    Some(time) => fold.zone(&row, *time, at),
                    None => fold.reject(last),
                },
                Ok(Row::Sweep(sweep)) => {
                    fold.sweep(&sweep, times.get(&sweep.seq).copied().unwrap_or(last));
                }
                Ok(Row::Gap(gap)) => fold.gap(&gap),
                Ok(_) => {}
                Err(_) => fold.reject(last),
            },
            Line::Part { is_first: true, .. } => fold.reject(last),
            Line::Part { .. } => {}
        }
        progress.line(lines.number());
    }
    progress.file(lines.number());
    Ok(())
}
