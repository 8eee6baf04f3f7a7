// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what the fold left behind to the report. Pure: it sorts, labels and adds up.

use std::collections::HashMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use jiff::Timestamp;

use crate::v1::fold::counts::Counts;
use crate::v1::fold::gaps::{GapFact, between};
use crate::v1::fold::merge::{MAX_EXAMPLES, Partial, SourceTotals};
use crate::v1::fold::stream::{Settings, StreamFacts};
use crate::v1::label::Label;
use crate::v1::model::{
    ActedRow, Coverage, GapRow, Input, Law, Loss, MAX_ROWS, Period, Population, Rejected, Report,
    RuleOutcome, RuleText, SCHEMA, SourceRow, StreamRow, ViolationRow, WindowRow,
};

const NS_PER_MS: u64 = 1_000_000;
const PPM: u128 = 1_000_000;

/// Order of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// SYN without ACK.
    Syn,
    /// Frames.
    Packets,
    /// Frame bytes.
    Bytes,
    /// Completed handshakes.
    Handshakes,
}

/// What the caller asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Settings of the fold.
    pub settings: Settings,
    /// Sources to list.
    pub top: usize,
    /// Their order.
    pub by: By,
    /// When the report is made.
    pub now: Timestamp,
}

/// Makes the report. `input` knows about files; the rest is filled in from `partial`.
#[must_use]
pub fn assemble(mut input: Input, partial: Partial, wanted: &Wanted) -> Report {
    let streams = &partial.streams;
    input.sweeps = sum(streams, |s| s.sweeps);
    input.sweeps_duplicate = sum(streams, |s| s.duplicates);
    input.rows = sum(streams, |s| s.rows);
    input.rows_unknown = sum(streams, |s| s.unknown);
    input.rows_rejected = partial.rejects.count;
    input.rejected = rejected(&partial);
    let law = law(streams);
    let is_usable = input.segments_refused == 0 && input.rows_rejected == 0;
    Report {
        schema: SCHEMA,
        tool: concat!("ibsr-report ", env!("CARGO_PKG_VERSION")).to_owned(),
        generated_at: wanted.now.to_string(),
        is_whole: input.sweeps > 0 && is_usable && law.violations == 0,
        period: period(streams),
        totals: totals(streams),
        loss: loss(&partial),
        coverage: coverage(streams),
        law,
        population: population(&partial.sources),
        sources: sources(&partial.sources, wanted),
        shown: wanted.top,
        rule: rule(&partial, wanted.settings),
        gaps: gaps(streams),
        streams: partial.streams.iter().map(stream_row).collect(),
        input,
    }
}

fn sum(streams: &[StreamFacts], of: impl Fn(&StreamFacts) -> u64) -> u64 {
    streams.iter().map(of).fold(0, u64::saturating_add)
}

/// Absent where there is no whole.
fn ppm(part: u64, whole: u64) -> Option<u64> {
    let share = (u128::from(part) * PPM).checked_div(u128::from(whole))?;
    Some(u64::try_from(share).unwrap_or(u64::MAX))
}

fn rejected(partial: &Partial) -> Vec<Rejected> {
    let row = |reject: &crate::v1::fold::merge::Reject| Rejected {
        segment: reject.segment.clone(),
        line: reject.line,
        reason: reject.reason.clone(),
    };
    partial.rejects.examples.iter().map(row).collect()
}

fn period(streams: &[StreamFacts]) -> Period {
    let spans = || streams.iter().filter_map(|stream| stream.span_unix_ms);
    Period {
        from_unix_ms: spans().map(|(from, _)| from).min(),
        to_unix_ms: spans().map(|(_, to)| to).max(),
        timed_ms: sum(streams, |s| s.timed_ns) / NS_PER_MS,
        untimed_ms: sum(streams, |s| s.untimed_ns) / NS_PER_MS,
    }
}

fn totals(streams: &[StreamFacts]) -> Totals {
    let add = u64::saturating_add;
    streams.iter().map(|stream| stream.settled.totals).fold(Totals::default(), |a, b| Totals {
        received: add(a.received, b.received),
        passed: add(a.passed, b.passed),
        non_ip: add(a.non_ip, b.non_ip),
        malformed: add(a.malformed, b.malformed),
        fragments: add(a.fragments, b.fragments),
        other_l4: add(a.other_l4, b.other_l4),
        other_port: add(a.other_port, b.other_port),
        tracked: add(a.tracked, b.tracked),
        tracked_bytes: add(a.tracked_bytes, b.tracked_bytes),
        insert_failed: add(a.insert_failed, b.insert_failed),
        unattributed: add(a.unattributed, b.unattributed),
        inserted: add(a.inserted, b.inserted),
        pending_lost: add(a.pending_lost, b.pending_lost),
    })
}

fn loss(partial: &Partial) -> Loss {
    let streams = &partial.streams;
    let evicted_packets = sum(streams, |s| s.settled.evicted);
    let untimed = partial.sources.values().map(|source| source.untimed_packets);
    Loss {
        seen_packets: sum(streams, |s| s.seen_packets),
        untimed_packets: untimed.fold(0, u64::saturating_add),
        unseen_packets: sum(streams, |s| s.settled.unseen),
        evicted_packets,
        evicted_ppm: ppm(evicted_packets, sum(streams, |s| s.settled.totals.tracked)),
    }
}

fn coverage(streams: &[StreamFacts]) -> Coverage {
    let passed_packets = sum(streams, |s| s.coverage.passed);
    let received_packets = sum(streams, |s| s.coverage.received);
    Coverage { passed_packets, received_packets, ppm: ppm(passed_packets, received_packets) }
}

fn law(streams: &[StreamFacts]) -> Law {
    let examples = streams.iter().flat_map(|stream| {
        stream.violations.1.iter().map(|violation| ViolationRow {
            host: stream.id.host.clone(),
            scope: stream.id.scope.clone(),
            seq: violation.seq,
            reason: violation.reason.clone(),
        })
    });
    Law {
        sweeps_checked: sum(streams, |s| s.sweeps),
        violations: sum(streams, |s| s.violations.0),
        examples: examples.take(MAX_EXAMPLES).collect(),
    }
}

type ByAddr = HashMap<SourceAddr, SourceTotals>;

fn label(totals: &SourceTotals) -> Label {
    Label::of(&totals.counts, totals.ports)
}

fn population(by_addr: &ByAddr) -> Population {
    let mut all = Population { count: by_addr.len() as u64, ..Population::default() };
    for totals in by_addr.values() {
        all.counts = all.counts.plus(totals.counts);
        *match label(totals) {
            Label::Legitimate => &mut all.legitimate,
            Label::Abusive => &mut all.abusive,
            Label::Spoofable => &mut all.spoofable,
            Label::Unknown => &mut all.unknown,
        } += 1;
    }
    all
}

fn sources(by_addr: &ByAddr, wanted: &Wanted) -> Vec<SourceRow> {
    let window_ms = wanted.settings.window_ns / NS_PER_MS;
    let busiest = largest(by_addr.iter(), wanted.top.max(MAX_ROWS), |(addr, totals)| {
        (std::cmp::Reverse(busy(&totals.counts, wanted.by)), **addr)
    });
    busiest.into_iter().map(|(addr, totals)| source_row(*addr, totals, window_ms)).collect()
}

/// The first `count` items by `key`, sorted by it, without sorting the rest.
fn largest<T, K: Ord>(
    items: impl Iterator<Item = T>,
    count: usize,
    key: impl Fn(&T) -> K,
) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    if count < items.len() {
        items.select_nth_unstable_by_key(count, &key);
        items.truncate(count);
    }
    items.sort_by_key(key);
    items
}

const fn busy(counts: &Counts, by: By) -> u64 {
    match by {
        By::Syn => counts.syn,
        By::Packets => counts.packets,
        By::Bytes => counts.bytes,
        By::Handshakes => counts.handshakes,
    }
}

fn source_row(src: SourceAddr, totals: &SourceTotals, window_ms: u64) -> SourceRow {
    SourceRow {
        src,
        label: label(totals),
        counts: totals.counts,
        ports: totals.ports,
        untimed_syn: totals.untimed_syn,
        peak_window_syn: totals.peak.map(|peak| peak.syn),
        peak_syn_ps: totals.peak.map(|peak| peak.syn.saturating_mul(1000) / window_ms),
        peak_at_unix_ms: totals.peak.map(|peak| peak.at_unix_ms),
    }
}

fn rule(partial: &Partial, settings: Settings) -> RuleOutcome {
    let Settings { window_ns, rule } = settings;
    let window_ms = window_ns / NS_PER_MS;
    let windows = || partial.streams.iter().flat_map(|stream| stream.windows.values());
    let syn_timed = windows().map(|window| window.syn).fold(0, u64::saturating_add);
    let syn_acted = windows().map(|window| window.acted).fold(0, u64::saturating_add);
    let acted = || partial.sources.iter().filter(|(_, totals)| totals.acted.windows > 0);
    let count = |wanted: &[Label]| {
        let is_wanted = |totals: &SourceTotals| wanted.contains(&label(totals));
        let all = partial.sources.values().filter(|totals| is_wanted(totals)).count();
        let hit = acted().filter(|(_, totals)| is_wanted(totals)).count();
        (hit as u64, all as u64)
    };
    let (legitimate_acted, legitimate) = count(&[Label::Legitimate]);
    let (legitimate_or_unknown_acted, legitimate_or_unknown) =
        count(&[Label::Legitimate, Label::Unknown]);
    let rows =
        largest(acted(), MAX_ROWS, |(addr, totals)| (std::cmp::Reverse(totals.acted.syn), **addr));
    RuleOutcome {
        rule: RuleText {
            name: "syn_rate",
            syn_ps: rule.syn_ps,
            windows: rule.windows,
            window_ms,
            delay_windows: 1,
            ttl_ms: rule.ttl_windows.saturating_mul(window_ms),
            action: "drop_syn",
        },
        syn_timed,
        syn_acted,
        syn_acted_ppm: ppm(syn_acted, syn_timed),
        handshakes_acted: acted()
            .map(|(_, totals)| totals.acted.handshakes)
            .fold(0, u64::saturating_add),
        sources_acted: acted().count() as u64,
        legitimate_acted,
        legitimate,
        legitimate_or_unknown_acted,
        legitimate_or_unknown,
        acted: rows.into_iter().map(|(addr, totals)| acted_row(*addr, totals)).collect(),
    }
}

fn acted_row(src: SourceAddr, totals: &SourceTotals) -> ActedRow {
    let (first_unix_ms, last_unix_ms) = totals.acted.span_unix_ms.unwrap_or_default();
    ActedRow {
        src,
        label: label(totals),
        syn: totals.counts.syn,
        syn_acted: totals.acted.syn,
        handshakes_acted: totals.acted.handshakes,
        windows_acted: totals.acted.windows,
        first_unix_ms,
        last_unix_ms,
    }
}

fn stream_row(stream: &StreamFacts) -> StreamRow {
    let windows = stream.windows.values().filter(|window| window.syn > 0);
    StreamRow {
        host: stream.id.host.clone(),
        scope: stream.id.scope.clone(),
        boot_id: stream.id.boot_id.clone(),
        epoch: stream.id.epoch.clone(),
        program_sha256: stream.programs.iter().cloned().collect(),
        evidence: stream.evidence.iter().cloned().collect(),
        sweeps: stream.sweeps,
        from_unix_ms: stream.span_unix_ms.map(|(from, _)| from),
        to_unix_ms: stream.span_unix_ms.map(|(_, to)| to),
        totals: stream.settled.totals,
        windows: windows
            .map(|window| WindowRow {
                at_unix_ms: window.at_unix_ms,
                syn: window.syn,
                syn_acted: window.acted,
                is_complete: window.is_complete,
            })
            .collect(),
    }
}

fn gaps(streams: &[StreamFacts]) -> Vec<GapRow> {
    let row = |stream: &StreamFacts, gap: GapFact| GapRow {
        host: stream.id.host.clone(),
        scope: stream.id.scope.clone(),
        from_unix_ms: gap.span_unix_ms.0,
        to_unix_ms: gap.span_unix_ms.1,
        from_boot_ns: gap.over.map(|over| over.from_ns),
        to_boot_ns: gap.over.map(|over| over.to_ns),
        reason: gap.why,
        segment: gap.segment,
    };
    let mut rows = Vec::new();
    for (at, stream) in streams.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| between(&streams[at], stream));
        rows.extend(before.map(|gap| row(stream, gap)));
        rows.extend(stream.gaps.iter().map(|gap| row(stream, gap.clone())));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_nothing_is_absent_and_a_share_of_anything_fits() {
        assert_eq!(ppm(0, 0), None);
        assert_eq!(ppm(1, 3), Some(333_333));
        assert_eq!(ppm(u64::MAX, 1), Some(u64::MAX));
    }

    #[test]
    fn the_largest_are_sorted_and_ties_have_one_order() {
        let items = [(1, 'b'), (3, 'a'), (1, 'a'), (2, 'z')];
        let key = |item: &(i32, char)| (std::cmp::Reverse(item.0), item.1);
        assert_eq!(largest(items.into_iter(), 3, key), [(3, 'a'), (2, 'z'), (1, 'a')]);
        assert_eq!(largest(items.into_iter(), 9, key).len(), 4);
        assert!(largest(items.into_iter(), 0, key).is_empty());
    }
}
