// SPDX-License-Identifier: MIT OR Apache-2.0
//! What units say about time, loss and each other.

use std::collections::BTreeMap;

use ibsr_proto::conservation::Totals;

use crate::fold::facts::{MAX_EXAMPLES, UnitFacts, UnitId};
use crate::fold::gaps::GapFact;
use crate::fold::id::StreamId;
use crate::fold::timeline::Why;
use crate::model::{
    Coverage, GapRow, Law, Loss, MAX_ROWS, Period, Rejected, StreamRow, ViolationRow,
};

/// Two boots of one host may overlap by this much, because a clock was set right after the
/// boot; more than that is two hosts.
const CLOCK_SLACK_MS: u64 = 60_000;
const NS_PER_MS: u64 = 1_000_000;
const PPM: u128 = 1_000_000;

/// Everything that was folded, by stream and day.
pub type Units = BTreeMap<UnitId, UnitFacts>;

/// Two boots of one host at the same time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "refusing to mix two hosts with one name: `{host}` recorded `{scope}` under boot {first} and boot \
     {second} at the same time\nhint: name the files of one boot as inputs, and give each host a name of its own"
)]
pub struct TwoHosts {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot that began first.
    pub first: String,
    /// Boot that overlaps it.
    pub second: String,
}

/// The days of one stream in order.
#[derive(Debug)]
pub struct StreamUnits<'a> {
    /// Whose.
    pub id: &'a StreamId,
    /// At least one.
    pub days: Vec<&'a UnitFacts>,
}

impl StreamUnits<'_> {
    /// Wall clock of its first and last sweep.
    #[must_use]
    pub fn span_unix_ms(&self) -> Option<(u64, u64)> {
        let spans = || self.days.iter().filter_map(|day| day.span_unix_ms);
        Some((spans().map(|(from, _)| from).min()?, spans().map(|(_, to)| to).max()?))
    }
}

/// Streams by host, scope and start.
#[must_use]
pub fn streams(units: &Units) -> Vec<StreamUnits<'_>> {
    let mut streams: Vec<StreamUnits<'_>> = Vec::new();
    for (id, facts) in units {
        match streams.last_mut().filter(|stream| *stream.id == id.stream) {
            Some(stream) => stream.days.push(facts),
            None => streams.push(StreamUnits { id: &id.stream, days: vec![facts] }),
        }
    }
    streams.sort_by_key(|stream| {
        let id = stream.id;
        (&id.host, &id.scope, stream.span_unix_ms(), &id.boot_id, &id.epoch)
    });
    streams
}

/// Refuses two boots of one host that overlap: they are two hosts with one name.
///
/// # Errors
/// [`TwoHosts`].
pub fn check_hosts(units: &Units) -> Result<(), TwoHosts> {
    let mut longest: Option<(&StreamId, u64)> = None;
    for stream in &streams(units) {
        let Some((first, last)) = stream.span_unix_ms() else { continue };
        let id = stream.id;
        let same = longest.filter(|(open, _)| (&open.host, &open.scope) == (&id.host, &id.scope));
        if let Some((open, until)) = same
            && open.boot_id != id.boot_id
            && until.min(last).saturating_sub(first) > CLOCK_SLACK_MS
        {
            return Err(TwoHosts {
                host: id.host.clone(),
                scope: id.scope.clone(),
                first: open.boot_id.clone(),
                second: id.boot_id.clone(),
            });
        }
        longest = match same {
            Some((open, until)) if until >= last => Some((open, until)),
            _ => Some((id, last)),
        };
    }
    Ok(())
}

/// Absent where there is no whole.
#[must_use]
pub fn ppm(part: u64, whole: u64) -> Option<u64> {
    let share = (u128::from(part) * PPM).checked_div(u128::from(whole))?;
    Some(u64::try_from(share).unwrap_or(u64::MAX))
}

/// Sum over all units.
#[must_use]
pub fn sum(units: &Units, of: impl Fn(&UnitFacts) -> u64) -> u64 {
    units.values().map(of).fold(0, u64::saturating_add)
}

/// When it was observed.
#[must_use]
pub fn period(units: &Units) -> Period {
    let spans = || units.values().filter_map(|unit| unit.span_unix_ms);
    Period {
        from_unix_ms: spans().map(|(from, _)| from).min(),
        to_unix_ms: spans().map(|(_, to)| to).max(),
        timed_ms: sum(units, |unit| unit.timed_ns) / NS_PER_MS,
        untimed_ms: sum(units, |unit| unit.untimed_ns) / NS_PER_MS,
    }
}

/// Frames by outcome.
#[must_use]
pub fn totals<'a>(units: impl Iterator<Item = &'a UnitFacts>) -> Totals {
    units.map(|unit| unit.totals).fold(Totals::default(), |a, b| a.zip(b, u64::saturating_add))
}

/// What is in no row of a source.
#[must_use]
pub fn loss(units: &Units, untimed_packets: u64) -> Loss {
    let evicted_packets = sum(units, |unit| unit.evicted);
    let unseen_packets = sum(units, |unit| {
        let listed = unit.seen_packets.saturating_add(unit.pending_packets);
        unit.accountable_packets.saturating_sub(listed)
    });
    Loss {
        seen_packets: sum(units, |unit| unit.seen_packets),
        untimed_packets,
        unseen_packets,
        unseen_ppm: ppm(unseen_packets, sum(units, |unit| unit.totals.tracked)),
        before_packets: sum(units, |unit| unit.before_packets),
        evicted_packets,
        evicted_ppm: ppm(evicted_packets, sum(units, |unit| unit.totals.tracked)),
    }
}

/// Against the interfaces' own counters.
#[must_use]
pub fn coverage(units: &Units) -> Coverage {
    let passed_packets = sum(units, |unit| unit.coverage.passed);
    let received_packets = sum(units, |unit| unit.coverage.received);
    Coverage { passed_packets, received_packets, ppm: ppm(passed_packets, received_packets) }
}

/// Whether every packet is accounted for: in each sweep, and over each day.
#[must_use]
pub fn law(units: &Units) -> Law {
    let mut law = Law { sweeps_checked: sum(units, |unit| unit.sweeps), ..Law::default() };
    for (id, unit) in units {
        let row = |seq, reason| ViolationRow {
            host: id.stream.host.clone(),
            scope: id.stream.scope.clone(),
            seq,
            reason,
        };
        law.violations += unit.violated;
        law.examples.extend(unit.violations.iter().map(|v| row(v.seq, v.reason.clone())));
        if unit.seen_packets > unit.accountable_packets {
            let (seen, most) = (unit.seen_packets, unit.accountable_packets);
            let last = unit.violations.last().map_or(0, |violation| violation.seq);
            law.violations += 1;
            law.examples.push(row(
                last,
                format!("sources hold {seen} packets of a day in which {most} were tracked"),
            ));
        }
    }
    law.examples.truncate(MAX_EXAMPLES);
    law
}

/// The first lines that could not be used.
#[must_use]
pub fn rejected(units: &Units) -> Vec<Rejected> {
    let mut all: Vec<_> = units.values().flat_map(|unit| &unit.rejects.examples).collect();
    all.sort();
    all.dedup();
    let row = |reject: &&crate::fold::facts::Reject| Rejected {
        segment: reject.segment.clone(),
        line: reject.line,
        reason: reject.reason.clone(),
    };
    all.iter().take(MAX_EXAMPLES).map(row).collect()
}

/// Each set of maps.
#[must_use]
pub fn stream_rows(streams: &[StreamUnits<'_>]) -> Vec<StreamRow> {
    let row = |stream: &StreamUnits<'_>| {
        let span = stream.span_unix_ms();
        let texts = |of: fn(&UnitFacts) -> &std::collections::BTreeSet<String>| {
            let mut all: Vec<String> =
                stream.days.iter().flat_map(|day| of(day)).cloned().collect();
            all.sort();
            all.dedup();
            all
        };
        StreamRow {
            host: stream.id.host.clone(),
            scope: stream.id.scope.clone(),
            boot_id: stream.id.boot_id.clone(),
            epoch: stream.id.epoch.clone(),
            program_sha256: texts(|day| &day.programs),
            evidence: texts(|day| &day.evidence),
            sweeps: stream.days.iter().map(|day| day.sweeps).sum(),
            from_unix_ms: span.map(|(from, _)| from),
            to_unix_ms: span.map(|(_, to)| to),
            totals: totals(stream.days.iter().copied()),
        }
    };
    streams.iter().map(row).collect()
}

/// Every gap: inside days, between days, between streams of one scope.
#[must_use]
pub fn gaps(streams: &[StreamUnits<'_>]) -> Vec<GapRow> {
    let mut rows = Vec::new();
    for (at, stream) in streams.iter().enumerate() {
        let row = |gap: &GapFact| GapRow {
            host: stream.id.host.clone(),
            scope: stream.id.scope.clone(),
            from_unix_ms: gap.span_unix_ms.0,
            to_unix_ms: gap.span_unix_ms.1,
            from_boot_ns: gap.over.map(|over| over.from_ns),
            to_boot_ns: gap.over.map(|over| over.to_ns),
            reason: gap.why,
            segment: gap.segment.clone(),
        };
        let before = at.checked_sub(1).and_then(|at| between(&streams[at], stream));
        rows.extend(before.as_ref().map(row));
        for (number, day) in stream.days.iter().enumerate() {
            let before = number.checked_sub(1).map(|before| stream.days[before]);
            rows.extend(before.and_then(|before| overnight(before, day)).as_ref().map(row));
            rows.extend(day.gaps.iter().map(row));
        }
    }
    rows.truncate(MAX_ROWS);
    rows
}

/// A day that began without knowing the one before it.
fn overnight(before: &UnitFacts, day: &UnitFacts) -> Option<GapFact> {
    let span_unix_ms = (before.span_unix_ms?.1, day.span_unix_ms?.0);
    let gap = GapFact { over: None, span_unix_ms, why: Why::Missing, segment: None };
    (day.is_cold && span_unix_ms.0 < span_unix_ms.1).then_some(gap)
}

/// The gap between two streams of one scope, the earlier one first; none when they are of
/// different scopes or overlap, or when the second states it itself.
fn between(first: &StreamUnits<'_>, second: &StreamUnits<'_>) -> Option<GapFact> {
    if (&first.id.host, &first.id.scope) != (&second.id.host, &second.id.scope) {
        return None;
    }
    let (from, to) = (first.span_unix_ms()?.1, second.span_unix_ms()?.0);
    let is_boot = first.id.boot_id != second.id.boot_id;
    let why = if is_boot { Why::Boot } else { Why::Epoch };
    let is_stated = second.days.iter().flat_map(|day| &day.gaps).any(|gap| {
        let (stated_from, stated_to) = gap.span_unix_ms;
        stated_from < to && stated_to > from
    });
    let gap = GapFact { over: None, span_unix_ms: (from, to), why, segment: None };
    (from < to && !is_stated).then_some(gap)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boot(host: &str, boot_id: &str, from_ms: u64, to_ms: u64) -> (UnitId, UnitFacts) {
        let stream = StreamId {
            host: host.into(),
            scope: "xdp-eth0".into(),
            boot_id: boot_id.into(),
            epoch: "e".into(),
        };
        let facts = UnitFacts { span_unix_ms: Some((from_ms, to_ms)), ..UnitFacts::default() };
        (UnitId { stream, day: 0 }, facts)
    }

    fn check(boots: &[(UnitId, UnitFacts)]) -> Result<(), TwoHosts> {
        check_hosts(&boots.iter().cloned().collect())
    }

    #[test]
    fn a_share_of_nothing_is_absent_and_a_share_of_anything_fits() {
        assert_eq!(ppm(0, 0), None);
        assert_eq!(ppm(1, 3), Some(333_333));
        assert_eq!(ppm(u64::MAX, 1), Some(u64::MAX));
    }

    /// P2: two hosts with one name must not be added up as if they were one.
    #[test]
    fn two_boots_of_one_host_at_the_same_time_are_refused() {
        let error = check(&[boot("h1", "b2", 100_000, 300_000), boot("h1", "b1", 1_000, 200_000)]);
        let text = error.expect_err("refused").to_string();
        assert!(text.contains("`h1`") && text.contains("b1") && text.contains("b2"), "{text}");
        assert!(text.contains("hint:"), "{text}");
    }

    #[test]
    fn a_long_boot_that_spans_two_others_is_refused_with_the_later_one_too() {
        let long = boot("h1", "b1", 1_000, 1_000_000);
        let short = boot("h1", "b2", 2_000, 3_000);
        let late = boot("h1", "b3", 500_000, 700_000);
        assert!(check(&[long.clone(), short.clone()]).is_ok(), "within the slack");
        assert!(check(&[long, short, late]).is_err());
    }

    #[test]
    fn a_reboot_and_other_hosts_are_no_conflict() {
        let all = [
            boot("h1", "b1", 1_000, 200_000),
            boot("h2", "b2", 1_000, 200_000),
            boot("h1", "b3", 190_000, 400_000),
        ];
        assert!(check(&all).is_ok());
        let units: Units = all.into_iter().collect();
        let streams = streams(&units);
        let boots: Vec<_> = streams.iter().map(|stream| stream.id.boot_id.as_str()).collect();
        assert_eq!(boots, ["b1", "b3", "b2"], "by host, then by time");
    }

    /// A day that did not see the one before it must not hide the night between them.
    #[test]
    fn a_cold_day_has_a_gap_before_it() {
        let first = boot("h1", "b1", 1_000, 2_000);
        let mut second = boot("h1", "b1", 90_000_000, 91_000_000);
        second.0.day = 1;
        second.1.is_cold = true;
        let units: Units = [first, second].into_iter().collect();
        let gaps = gaps(&streams(&units));
        let spans: Vec<_> = gaps.iter().map(|gap| (gap.from_unix_ms, gap.to_unix_ms)).collect();
        assert_eq!(spans, [(2_000, 90_000_000)]);
    }
}
