// SPDX-License-Identifier: MIT OR Apache-2.0
//! Puts verified segments in order: one stream for each set of maps, in each the segments
//! by sequence. The order in which files were named or found changes nothing.
//!
//! Copies are dropped. Recordings that contradict each other are refused as a whole: which
//! of them is true cannot be known from files. Pure; nothing here does I/O.

use std::collections::{BTreeMap, HashMap, HashSet};

use ibsr_replay::v1::fold::id::StreamId;

use super::scan::{Segment, SweepSpan};

/// Two boots of one host may overlap by this much, because a clock was set right after the
/// boot; more than that is two hosts.
const CLOCK_SLACK_MS: u64 = 60_000;

/// The segments of one stream in order.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Whose they are.
    pub id: StreamId,
    /// At least one, by sequence.
    pub segments: Vec<Segment>,
}

/// What to fold.
#[derive(Debug, Default)]
pub struct Plan {
    /// By host, scope, time.
    pub streams: Vec<Stream>,
    /// Segments that say nothing that another does not say.
    pub copies: u64,
}

/// Why the inputs cannot be folded together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Two boots of one host at the same time.
    #[error(
        "refusing to mix two hosts with one name: `{host}` recorded `{scope}` under boot {first} and boot \
         {second} at the same time\nhint: name the files of one boot as inputs, and give each host a name of its own"
    )]
    TwoHosts {
        /// Host label.
        host: String,
        /// Scope.
        scope: String,
        /// Boot that began first.
        first: String,
        /// Boot that overlaps it.
        second: String,
    },
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

/// Orders `segments`.
///
/// # Errors
/// [`PlanError`] when two of them cannot both be true.
pub fn plan(mut segments: Vec<Segment>) -> Result<Plan, PlanError> {
    let total = segments.len();
    segments.sort_by(|a, b| sort_key(a).cmp(&sort_key(b)));
    let mut seen = HashSet::new();
    segments.retain(|segment| seen.insert(segment.contents.footer.sha256.clone()));

    let mut by_stream: BTreeMap<StreamId, Vec<Segment>> = BTreeMap::new();
    for segment in segments {
        by_stream.entry(StreamId::from(&segment.contents.header)).or_default().push(segment);
    }
    let mut streams = Vec::new();
    for (id, segments) in by_stream {
        check_agreement(&segments)?;
        streams.push(Stream { id, segments: without_redundant(segments) });
    }
    streams.sort_by(|a, b| stream_key(a).cmp(&stream_key(b)));
    check_hosts(&streams)?;
    let kept: usize = streams.iter().map(|stream| stream.segments.len()).sum();
    Ok(Plan { streams, copies: (total - kept) as u64 })
}

type SegmentKey<'a> = (Option<(u64, u64)>, &'a str, &'a str);

/// By content; a name decides only between segments without sweeps.
fn sort_key(segment: &Segment) -> SegmentKey<'_> {
    let first = segment.contents.sweeps.first().map(|sweep| (sweep.first_seq, sweep.seq));
    (first, &segment.contents.footer.sha256, &segment.name)
}

fn stream_key(stream: &Stream) -> (&str, &str, Option<u64>, &StreamId) {
    let first = wall_range(stream).map(|(first, _)| first);
    (&stream.id.host, &stream.id.scope, first, &stream.id)
}

fn sweeps(segments: &[Segment]) -> impl Iterator<Item = (&Segment, &SweepSpan)> {
    segments.iter().flat_map(|segment| segment.contents.sweeps.iter().map(move |s| (segment, s)))
}

fn check_agreement(segments: &[Segment]) -> Result<(), PlanError> {
    let contradiction = |first: &Segment, second: &Segment, what: String| {
        let (first, second) = (first.name.clone(), second.name.clone());
        PlanError::Contradiction { first, second, what }
    };
    let facts = |segment: &Segment| {
        let header = &segment.contents.header;
        (header.attached_boot_ns, header.max_sources)
    };
    if let [first, rest @ ..] = segments
        && let Some(second) = rest.iter().find(|other| facts(other) != facts(first))
    {
        return Err(contradiction(first, second, "the maps".to_owned()));
    }
    let mut ends: HashMap<u64, (&Segment, u64)> = HashMap::new();
    for (segment, sweep) in sweeps(segments) {
        let (first, at) = *ends.entry(sweep.seq).or_insert((segment, sweep.at_boot_ns));
        if at != sweep.at_boot_ns {
            return Err(contradiction(first, segment, format!("sweep {}", sweep.seq)));
        }
    }
    Ok(())
}

/// A merged segment whose originals are all here would only blur them; an original whose
/// every sweep stands in an earlier file adds nothing.
fn without_redundant(segments: Vec<Segment>) -> Vec<Segment> {
    let fine: HashSet<u64> = sweeps(&segments)
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
    segments
        .into_iter()
        .filter(|segment| {
            let sweeps = &segment.contents.sweeps;
            let new = sweeps.iter().filter(|sweep| is_new(sweep)).count();
            sweeps.is_empty() || new > 0
        })
        .collect()
}

fn wall_range(stream: &Stream) -> Option<(u64, u64)> {
    let times = || sweeps(&stream.segments).map(|(_, sweep)| sweep.at_unix_ms);
    Some((times().min()?, times().max()?))
}

/// Streams are sorted by host, scope and start, so only those that are still open when the
/// next one starts can overlap it; the longest of them stands for all.
fn check_hosts(streams: &[Stream]) -> Result<(), PlanError> {
    let mut longest: Option<(&Stream, u64)> = None;
    for stream in streams {
        let Some((first, last)) = wall_range(stream) else { continue };
        let same = longest
            .filter(|(open, _)| open.id.host == stream.id.host && open.id.scope == stream.id.scope);
        if let Some((open, until)) = same
            && open.id.boot_id != stream.id.boot_id
            && until.min(last).saturating_sub(first) > CLOCK_SLACK_MS
        {
            return Err(PlanError::TwoHosts {
                host: stream.id.host.clone(),
                scope: stream.id.scope.clone(),
                first: open.id.boot_id.clone(),
                second: stream.id.boot_id.clone(),
            });
        }
        longest = match same {
            Some((open, until)) if until >= last => Some((open, until)),
            _ => Some((stream, last)),
        };
    }
    Ok(())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
