// SPDX-License-Identifier: MIT OR Apache-2.0
//! A whole segment: its lines, read and folded.

use std::collections::BTreeSet;

use ibsr_proto::snapshot::{Header, Row};
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::facts::{FoldedUnit, UnitId};
use ibsr_replay::fold::horizon::{DAY_MS, Partition};
use ibsr_replay::fold::unit::UnitFold;
use ibsr_replay::rules::family::family;

const WINDOW_NS: u64 = 10_000_000_000;
/// Days that are folded of one input: more are more of the same.
const MAX_DAYS: usize = 3;

/// Folding never panics, gives the same twice, and counts no packet twice.
///
/// # Panics
/// When that is not so.
pub fn run(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split_inclusive(|byte| *byte == b'\n').collect();
    let Some((first, rows)) = lines.split_first() else { return };
    let Ok(Row::Header(header)) = Row::from_line(first) else { return };
    let rules = Compiled::new(family(), WINDOW_NS);
    for day in days(rows) {
        let one = fold(&header, rows, day, &rules, Partition::WHOLE);
        let again = fold(&header, rows, day, &rules, Partition::WHOLE);
        assert_eq!(format!("{one:?}"), format!("{again:?}"));
        check(&one);
        let shares: usize = (0..2)
            .map(|index| fold(&header, rows, day, &rules, Partition { index, of: 2 }).sources.len())
            .sum();
        assert_eq!(shares, one.sources.len());
    }
}

fn days(rows: &[&[u8]]) -> BTreeSet<u32> {
    let sweeps = rows.iter().filter_map(|line| match Row::from_line(line) {
        Ok(Row::Sweep(sweep)) => u32::try_from(sweep.at_unix_ms / DAY_MS).ok(),
        _ => None,
    });
    sweeps.take(MAX_DAYS).collect()
}

fn fold(
    header: &Header,
    rows: &[&[u8]],
    day: u32,
    rules: &Compiled,
    partition: Partition,
) -> FoldedUnit {
    let mut fold = UnitFold::new(UnitId { stream: header.into(), day }, rules, partition);
    fold.begin("fuzzed", header);
    for (at, line) in rows.iter().enumerate() {
        let number = at as u64 + 2;
        match Row::from_line(line) {
            Ok(row) => fold.add(number, row),
            Err(error) => fold.reject(number, error.to_string()),
        }
    }
    fold.end();
    fold.finish()
}

fn check(unit: &FoldedUnit) {
    assert!(unit.sources.is_sorted_by(|(one, _), (other, _)| one < other), "sorted, each once");
    for (_, facts) in &unit.sources {
        assert!(facts.untimed_packets <= facts.counts.packets);
        let acted = facts.acted.iter().flat_map(|acted| &acted.by);
        let sum = acted.fold(0_u64, |sum, (_, booked)| sum.saturating_add(booked.packets));
        assert!(sum <= facts.counts.packets - facts.untimed_packets);
    }
}
