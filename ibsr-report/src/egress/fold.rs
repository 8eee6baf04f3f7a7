// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge of the fold: finds the one host and the one sensor that a policy is held against,
//! reads the segments of each stream in the order of its sweeps, once for each share of its flows
//! that fits into memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::{Context as _, bail};
use ibsr_proto::snapshot::cgroup::Row;
use ibsr_replay::egress::below::is_below;
use ibsr_replay::egress::facts::Facts;
use ibsr_replay::egress::lives::EgressFold;
use ibsr_replay::egress::rehearsal::Rehearsed;
use ibsr_replay::egress::twin::Twin;
use ibsr_replay::fold::horizon::Partition;
use ibsr_replay::fold::id::StreamId;
use ibsr_replay::talk::lives::SweepTime;

use crate::ingest::lines::{Line, Lines};
use crate::ingest::scan::{FlowSegment, SweepSpan};
use crate::parallel;
use crate::progress::Progress;
use crate::talk::{LIFE_BYTES, MAX_PARTITIONS, check_agreement, lives, stream};

/// What is held against the policy.
#[derive(Debug)]
pub struct Chosen<'a> {
    /// Host label.
    pub host: String,
    /// Path of the cgroup whose processes are judged.
    pub cgroup: String,
    /// Segments of the sensor.
    pub segments: Vec<&'a FlowSegment>,
}

/// Finds the sensor.
///
/// # Errors
/// When there is none, or several: flows that two sensors saw would count twice.
pub fn choose<'a>(flows: &'a [FlowSegment], wanted: Option<&str>) -> anyhow::Result<Chosen<'a>> {
    let header = |segment: &FlowSegment| segment.contents.header.clone();
    let hosts: BTreeSet<String> = flows.iter().map(|segment| header(segment).host).collect();
    let host = match Vec::from_iter(hosts).as_slice() {
        [] => bail!(
            "failed to find a segment of a cgroup\nhint: name segments of a `cg-` scope, written by \
             `ibsr-reader run --scope cg-NAME`"
        ),
        [one] => one.clone(),
        [first, second, ..] => bail!(
            "refusing to mix hosts: `{first}` and `{second}` have executables of their own under the same \
             inodes\nhint: make a report for each host"
        ),
    };
    let is_wanted = |segment: &&FlowSegment| {
        wanted.is_none_or(|wanted| is_below(wanted, &segment.contents.header.cgroup_path))
    };
    let segments: Vec<&FlowSegment> = flows.iter().filter(is_wanted).collect();
    let sensors: BTreeSet<(String, String)> = segments
        .iter()
        .map(|segment| (header(segment).scope, header(segment).cgroup_path))
        .collect();
    match Vec::from_iter(sensors).as_slice() {
        [] => bail!(
            "failed to find a sensor of the cgroup `{}` or of one above it\nhint: `--cgroup` is a path below the \
             mount point, for example `system.slice`",
            wanted.unwrap_or_default()
        ),
        [(_, observed)] => {
            Ok(Chosen { host, cgroup: wanted.unwrap_or(observed).to_owned(), segments })
        }
        [(first, of_first), (second, of_second), ..] => bail!(
            "refusing to count flows twice: `{first}` observed `{of_first}`, `{second}` observed \
             `{of_second}`\nhint: name the segments of one scope"
        ),
    }
}

/// Folds everything that was chosen.
///
/// # Errors
/// When recordings contradict each other, a segment changed while it was read, or there are more
/// pairs than can be held.
pub fn fold(
    chosen: &Chosen<'_>,
    judges: (&Twin, Option<&Rehearsed>),
    memory_bytes: u64,
    threads: usize,
    progress: &Progress,
) -> anyhow::Result<Facts> {
    let mut streams: BTreeMap<StreamId, Vec<&FlowSegment>> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for segment in chosen.segments.iter().filter(|it| seen.insert(&it.contents.sha256)) {
        streams.entry(stream(&segment.contents.header)).or_default().push(segment);
    }
    let mut shares = Vec::new();
    for (id, mut segments) in streams {
        segments.sort_by_key(|segment| {
            let first = segment.contents.sweeps.first();
            (first.map(|sweep| (sweep.first_seq, sweep.seq)), &segment.contents.sha256)
        });
        check_agreement(&segments)?;
        let budget = (memory_bytes / threads as u64).max(1);
        let bytes = lives(&segments).saturating_mul(LIFE_BYTES);
        let of = u32::try_from(bytes.div_ceil(budget).clamp(1, MAX_PARTITIONS));
        let of = of.expect("a bounded number");
        shares.extend((0..of).map(|index| (id.clone(), segments.clone(), Partition { index, of })));
    }
    let folded = parallel::map(&shares, threads, |(id, segments, partition)| {
        let mut fold = EgressFold::new(judges, id.clone(), &chosen.cgroup, *partition);
        for segment in segments {
            fold_segment(&mut fold, segment, progress)
                .with_context(|| format!("failed to read `{}` again", segment.origin))?;
        }
        anyhow::Ok(fold.finish())
    });
    let mut facts = Facts::default();
    for part in folded {
        facts.join(part?)?;
    }
    Ok(facts)
}

fn fold_segment(
    fold: &mut EgressFold<'_>,
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
    fold.begin(&segment.contents.header);
    let mut lines = Lines::new(segment.place.open()?);
    loop {
        let at = (segment.name.as_str(), lines.number() + 1);
        let Some(line) = lines.next()? else { break };
        match line {
            Line::Whole(text) => match Row::from_line(text) {
                Ok(Row::Flow(row)) => match times.get(&row.seq) {
                    Some(time) => fold.flow(&row, *time),
                    None => fold.reject(),
                },
                Ok(Row::Behaviour(row)) => match times.get(&row.seq) {
                    Some(time) => fold.behaviour(&row, *time, at),
                    None => fold.reject(),
                },
                Ok(Row::Sweep(row)) => match times.get(&row.seq) {
                    Some(time) => fold.sweep(&row, *time),
                    None => fold.reject(),
                },
                Ok(Row::Gap(gap)) => fold.gap(&gap),
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
