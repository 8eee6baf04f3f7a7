// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which sweeps a unit is made of, and what the interval before each is worth.

use std::collections::BTreeSet;

use ibsr_proto::snapshot::{Gap, Row, Source, Sweep};

use super::{DAY_NS, SECOND_NS, Stream};

/// No interval longer than this has a rate, whatever its header says.
const LONGEST_NS: i128 = 3600 * SECOND_NS;
/// Warm-up before the day, without its ten windows.
const WARM_NS: i128 = 7200 * SECOND_NS;
const WARM_WINDOWS: i128 = 10;
/// Periods, or windows where there is no period, that an interval may last.
const LATE: i128 = 3;
const MS_NS: i128 = 1_000_000;

/// A sweep with its rows and what was known when it was read.
#[derive(Debug)]
pub struct Closed {
    sweep: Sweep,
    rows: Vec<Source>,
    period_ms: u64,
    attached_boot_ns: u64,
    gaps: Vec<Gap>,
}

/// A sweep in its unit.
#[derive(Debug)]
pub struct Placed<'a> {
    /// Its rows.
    pub rows: &'a [Source],
    /// Start of its interval, or the start of the epoch.
    pub from_ns: i128,
    /// Its own time.
    pub to_ns: i128,
    /// Whether it belongs to the day and not to the warm-up.
    pub is_booked: bool,
    /// Whether increments in it have a rate.
    pub is_timed: bool,
    /// Whether its interval is one of those that a report lists as gaps.
    pub is_gap: bool,
    /// Whether entries may have changed before it without being listed since.
    pub is_break: bool,
    /// Whether a sweep of the unit stands before it.
    pub is_first: bool,
    /// Of a first sweep: whether everything that it lists happened within the horizon.
    pub is_from_zero: bool,
}

/// Sweeps of a stream as they were written.
pub fn closed_sweeps(stream: &Stream) -> Vec<Closed> {
    let mut closed = Vec::new();
    let mut gaps = Vec::new();
    for (header, rows) in &stream.segments {
        let mut open = Vec::new();
        for row in rows {
            match row {
                Row::Source(source) => open.push(*source),
                Row::Gap(gap) => gaps.push(gap.clone()),
                Row::Sweep(sweep) => {
                    let mut rows = std::mem::take(&mut open);
                    let first = sweep.merged_from_seq.unwrap_or(sweep.seq);
                    rows.retain(|row| (first..=sweep.seq).contains(&row.seq));
                    closed.push(Closed {
                        sweep: (**sweep).clone(),
                        rows,
                        period_ms: header.period_ms,
                        attached_boot_ns: header.attached_boot_ns,
                        gaps: gaps.clone(),
                    });
                }
                _ => {}
            }
        }
    }
    closed
}

impl Closed {
    fn unix_ns(&self) -> i128 {
        i128::from(self.sweep.at_unix_ms) * MS_NS
    }

    fn at_ns(&self) -> i128 {
        self.sweep.at_boot_ns.into()
    }

    fn day(&self) -> i128 {
        self.unix_ns() / DAY_NS
    }

    fn longest_ns(&self, window_ns: u64) -> i128 {
        let step = match self.period_ms {
            0 => i128::from(window_ns),
            ms => i128::from(ms) * MS_NS,
        };
        (LATE * step).min(LONGEST_NS)
    }

    /// What makes an interval that ends here untimed, whatever stands before it.
    fn is_doubtful(&self, from_ns: i128, window_ns: u64) -> bool {
        !self.sweep.attached
            || self.is_incomplete()
            || self.at_ns() - from_ns > self.longest_ns(window_ns)
            || self.is_in_gap(from_ns)
    }

    /// Whether a gap row that was read before reaches into the interval.
    fn is_in_gap(&self, from_ns: i128) -> bool {
        self.gaps.iter().any(|gap| {
            i128::from(gap.from_boot_ns) < self.at_ns() && i128::from(gap.to_boot_ns) > from_ns
        })
    }

    const fn is_incomplete(&self) -> bool {
        self.rows.len() as u64 != self.sweep.rows
    }
}

/// Days that have a sweep.
pub fn days(sweeps: &[Closed]) -> BTreeSet<i128> {
    sweeps.iter().map(Closed::day).collect()
}

/// The sweeps of a unit, in order: its day's and its warm-up's.
pub fn unit_of(sweeps: &[Closed], day: i128, window_ns: u64) -> Vec<Placed<'_>> {
    let horizon_ns = day * DAY_NS - WARM_NS - WARM_WINDOWS * i128::from(window_ns);
    let mut placed = Vec::new();
    let mut last: Option<&Closed> = None;
    for closed in sweeps {
        if closed.unix_ns() < horizon_ns || closed.unix_ns() >= (day + 1) * DAY_NS {
            continue;
        }
        let is_booked = closed.day() == day;
        match last {
            None => placed.push(first(closed, is_booked, horizon_ns, window_ns)),
            Some(last) if closed.sweep.seq <= last.sweep.seq => continue,
            Some(last) if closed.at_ns() <= last.at_ns() => continue,
            Some(last) => placed.push(next(last, closed, is_booked, window_ns)),
        }
        last = Some(closed);
    }
    placed
}

fn first(closed: &Closed, is_booked: bool, horizon_ns: i128, window_ns: u64) -> Placed<'_> {
    let attached_ns = i128::from(closed.attached_boot_ns);
    let attached_unix_ns = closed.unix_ns() - (closed.at_ns() - attached_ns);
    let is_from_zero = attached_unix_ns >= horizon_ns;
    let is_full = closed.sweep.since_boot_ns == 0;
    let since_ns = if is_full { attached_ns } else { closed.sweep.since_boot_ns.into() };
    Placed {
        rows: &closed.rows,
        from_ns: since_ns,
        to_ns: closed.at_ns(),
        is_booked,
        is_timed: is_from_zero && is_full && !closed.is_doubtful(since_ns, window_ns),
        is_gap: !closed.sweep.attached || closed.is_in_gap(since_ns),
        is_break: true,
        is_first: true,
        is_from_zero,
    }
}

fn next<'a>(last: &Closed, closed: &'a Closed, is_booked: bool, window_ns: u64) -> Placed<'a> {
    let sweep = &closed.sweep;
    let from_ns = last.at_ns();
    let has_hole = sweep.merged_from_seq.unwrap_or(sweep.seq) > last.sweep.seq + 1;
    let may_lack = i128::from(sweep.since_boot_ns) > from_ns;
    let is_timed = !has_hole && !may_lack && !closed.is_doubtful(from_ns, window_ns);
    Placed {
        rows: &closed.rows,
        from_ns,
        to_ns: closed.at_ns(),
        is_booked,
        is_timed,
        is_gap: !is_timed,
        is_break: may_lack || closed.is_incomplete(),
        is_first: false,
        is_from_zero: false,
    }
}
