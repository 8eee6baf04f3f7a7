// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts verified segments in order: for each day of each set of maps, the segments by
//! sequence. The order in which files were named or found changes nothing.
//!
//! Copies are dropped. Recordings that contradict each other are refused as a whole: which
//! of them is true cannot be known from files. Pure; nothing here does I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use ibsr_replay::fold::facts::UnitId;
use ibsr_replay::fold::horizon::{DAY_MS, Horizon};
use ibsr_replay::fold::id::StreamId;

use super::scan::{Segment, SweepSpan};

/// What one fold reads: a day of a stream, and the hours before it.
#[derive(Debug, Clone)]
pub struct Unit {
    /// Which.
    pub id: UnitId,
    /// At least one, by sequence; indices of [`Plan::segments`].
    pub segments: Vec<usize>,
    /// Whether it is the earliest day of its stream.
    pub is_first: bool,
    /// Entries that its sweeps can list at most.
    pub entries: u64,
}

/// What to fold.
#[derive(Debug, Default)]
pub struct Plan {
    /// Every segment that was found whole, by content; copies are left out.
    pub segments: Vec<Segment>,
    /// By host, scope, boot, epoch, day.
    pub units: Vec<Unit>,
}

/// Why the inputs cannot be folded together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Two files disagree about one sweep or about the maps.
    #[error(
        "refusing to mix recordings that contradict each other: `{first}` and `{second}` say different \
         things about {what} of one boot and epoch\nhint: leave out the one that is not from this host"
    )]
    Contradiction {
        /// One segment.
        first: String,
        /// The other.
        second: String,
        /// What they disagree about.
        what: String,
    },
}

/// Orders `segments` and says what each fold reads. A fold sees no segment outside of its own
/// hours, so that the same segments in front of it give the same result in any company.
///
/// # Errors
/// [`PlanError`] when two of them cannot both be true.
pub fn plan(mut segments: Vec<Segment>, warm_ms: u64) -> Result<Plan, PlanError> {
    segments.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    let mut seen = HashSet::new();
    segments.retain(|segment| seen.insert(segment.contents.sha256.clone()));

    let mut by_stream: BTreeMap<StreamId, Vec<usize>> = BTreeMap::new();
    for (at, segment) in segments.iter().enumerate() {
        by_stream.entry(StreamId::from(&segment.contents.header)).or_default().push(at);
    }
    let mut units = Vec::new();
    for (stream, all) in by_stream {
        check_agreement(&segments, &all)?;
        let days = all.iter().flat_map(|at| &segments[*at].contents.sweeps).map(day);
        let days: BTreeSet<u32> = days.collect();
        for (number, day) in days.into_iter().enumerate() {
            let id = UnitId { stream: stream.clone(), day };
            units.push(unit(id, &segments, &all, warm_ms, number == 0));
        }
    }
    Ok(Plan { segments, units })
}

fn day(sweep: &SweepSpan) -> u32 {
    u32::try_from(sweep.at_unix_ms / DAY_MS).unwrap_or(u32::MAX)
}

fn unit(id: UnitId, segments: &[Segment], all: &[usize], warm_ms: u64, is_first: bool) -> Unit {
    let horizon = Horizon::of(id.day, warm_ms);
    let is_inside = |sweep: &&SweepSpan| horizon.holds(sweep.at_unix_ms);
    let has_any = |at: &usize| segments[*at].contents.sweeps.iter().any(|s| is_inside(&s));
    let inside: Vec<usize> = all.iter().copied().filter(has_any).collect();
    let segments_of_it = without_redundant(segments, inside);
    let sweeps = || {
        let sweeps = segments_of_it.iter().flat_map(|at| &segments[*at].contents.sweeps);
        sweeps.filter(is_inside)
    };
    let first = sweeps().next().copied();
    let last = sweeps().next_back().copied();
    let entries = first.zip(last).map_or(0, |(first, last)| {
        first.entries.saturating_add(last.inserted.saturating_sub(first.inserted))
    });
    Unit { id, segments: segments_of_it, is_first, entries }
}

type SegmentKey<'a> = (Option<(u64, u64)>, &'a str, &'a str);

/// By content; a name decides only between segments without sweeps.
fn sort_key(segment: &Segment) -> SegmentKey<'_> {
    let first = segment.contents.sweeps.first().map(|sweep| (sweep.first_seq, sweep.seq));
    (first, &segment.contents.footer.sha256, &segment.name)
}

fn sweeps<'a>(
    segments: &'a [Segment],
    of: &'a [usize],
) -> impl Iterator<Item = (&'a Segment, &'a SweepSpan)> {
    let of = of.iter().map(|at| &segments[*at]);
    of.flat_map(|segment| segment.contents.sweeps.iter().map(move |sweep| (segment, sweep)))
}

fn check_agreement(segments: &[Segment], of: &[usize]) -> Result<(), PlanError> {
    let contradiction = |first: &Segment, second: &Segment, what: String| {
        let (first, second) = (first.name.clone(), second.name.clone());
        PlanError::Contradiction { first, second, what }
    };
    let facts = |segment: &Segment| {
        let header = &segment.contents.header;
        (header.attached_boot_ns, header.max_sources)
    };
    if let [first, rest @ ..] = of
        && let Some(second) =
            rest.iter().find(|at| facts(&segments[**at]) != facts(&segments[*first]))
    {
        return Err(contradiction(&segments[*first], &segments[*second], "the maps".to_owned()));
    }
    let mut ends: HashMap<u64, (&Segment, u64)> = HashMap::new();
    for (segment, sweep) in sweeps(segments, of) {
        let (first, at) = *ends.entry(sweep.seq).or_insert((segment, sweep.at_boot_ns));
        if at != sweep.at_boot_ns {
            return Err(contradiction(first, segment, format!("sweep {}", sweep.seq)));
        }
    }
    Ok(())
}

/// A merged segment whose originals are all here would only blur them; an original whose
/// every sweep stands in an earlier file adds nothing.
fn without_redundant(segments: &[Segment], of: Vec<usize>) -> Vec<usize> {
    let fine: HashSet<u64> = sweeps(segments, &of)
        .filter(|(_, sweep)| sweep.first_seq == sweep.seq)
        .map(|(_, sweep)| sweep.seq)
        .collect();
    let is_blurred = |sweep: &SweepSpan| {
        let len = sweep.seq - sweep.first_seq;
        len > 0
            && len < fine.len() as u64
            && (sweep.first_seq..=sweep.seq).all(|s| fine.contains(&s))
    };
    let mut seen = HashSet::new();
    let mut is_new = |sweep: &SweepSpan| !is_blurred(sweep) && seen.insert(sweep.seq);
    of.into_iter()
        .filter(|at| {
            let sweeps = &segments[*at].contents.sweeps;
            sweeps.iter().filter(|sweep| is_new(sweep)).count() > 0
        })
        .collect()
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
