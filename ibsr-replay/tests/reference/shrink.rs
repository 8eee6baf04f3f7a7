// SPDX-License-Identifier: MIT OR Apache-2.0
//! From an input on which the replays differ to a small one on which they still do.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::Row;

use super::flat::{Reached, by_engine, by_reference};
use super::make::Input;

/// The name of the first number that differs, with both values.
pub fn difference(input: &Input, shares: u32, reached: &mut Reached) -> Option<String> {
    let (slow, engine) = (by_reference(input, reached), by_engine(input, shares));
    let names: BTreeSet<&String> = slow.keys().chain(engine.keys()).collect();
    names.into_iter().find_map(|name| {
        let [slow, engine] = [&slow, &engine].map(|flat| flat.get(name).copied().unwrap_or(0));
        (slow != engine).then(|| format!("`{name}`: reference {slow}, engine {engine}"))
    })
}

/// Takes away what can be taken away, one thing at a time.
pub fn shrink(mut input: Input) -> Input {
    loop {
        let differs = |one: &Input| difference(one, 1, &mut Reached::default()).is_some();
        let smaller = candidates(&input).into_iter().find(differs);
        match smaller {
            Some(smaller) => input = smaller,
            None => return input,
        }
    }
}

fn candidates(input: &Input) -> Vec<Input> {
    let mut found = Vec::new();
    let mut change = |f: &dyn Fn(&mut Input)| {
        let mut other = input.clone();
        f(&mut other);
        found.push(other);
    };
    if input.streams.len() > 1 {
        for at in 0..input.streams.len() {
            change(&|other| drop(other.streams.remove(at)));
        }
    }
    for at in 0..input.settings.rules.rules.len() {
        let rule = &input.settings.rules.rules[at];
        if input.settings.rules.rules.len() > 1 {
            change(&|other| drop(other.settings.rules.rules.remove(at)));
        }
        for guard in 0..rule.unless.len() {
            change(&|other| drop(other.settings.rules.rules[at].unless.remove(guard)));
        }
        if rule.grid.is_some() {
            change(&|other| other.settings.rules.rules[at].grid = None);
        }
    }
    let sweeps = rows(input, |row| matches!(row, Row::Sweep(_)));
    for cut in [sweeps / 2, sweeps / 8, 1].into_iter().filter(|cut| *cut > 0) {
        change(&|other| cut_end(other, cut));
        change(&|other| cut_start(other, cut));
    }
    for src in sources(input) {
        change(&|other| retain(other, |row| !matches!(row, Row::Source(row) if row.src == src)));
    }
    found.retain(|other| rows(other, |_| true) < rows(input, |_| true) || !is_same(other, input));
    found
}

fn is_same(one: &Input, other: &Input) -> bool {
    one.settings.rules == other.settings.rules && rows(one, |_| true) == rows(other, |_| true)
}

fn rows(input: &Input, is_counted: impl Fn(&Row) -> bool) -> usize {
    let segments = input.streams.iter().flat_map(|stream| &stream.segments);
    segments.flat_map(|(_, rows)| rows).filter(|row| is_counted(row)).count()
}

/// A source's rows go, and with them the sweeps' claims to have them.
fn retain(input: &mut Input, is_kept: impl Fn(&Row) -> bool) {
    for (_, rows) in input.streams.iter_mut().flat_map(|stream| &mut stream.segments) {
        let mut lost = 0;
        rows.retain_mut(|row| {
            if let Row::Sweep(sweep) = row {
                sweep.rows = sweep.rows.saturating_sub(std::mem::take(&mut lost));
            }
            lost += u64::from(!is_kept(row));
            is_kept(row)
        });
    }
}

fn sources(input: &Input) -> BTreeSet<SourceAddr> {
    let segments = input.streams.iter().flat_map(|stream| &stream.segments);
    segments
        .flat_map(|(_, rows)| rows)
        .filter_map(|row| if let Row::Source(row) = row { Some(row.src) } else { None })
        .collect()
}

fn cut_end(input: &mut Input, mut sweeps: usize) {
    for (_, rows) in input.streams.iter_mut().flat_map(|stream| stream.segments.iter_mut().rev()) {
        while sweeps > 0 && rows.pop().is_some() {
            sweeps -= usize::from(matches!(rows.last(), Some(Row::Sweep(_))));
        }
    }
}

fn cut_start(input: &mut Input, mut sweeps: usize) {
    for (_, rows) in input.streams.iter_mut().flat_map(|stream| &mut stream.segments) {
        while sweeps > 0 && !rows.is_empty() {
            sweeps -= usize::from(matches!(rows.remove(0), Row::Sweep(_)));
        }
    }
}

/// The input for a person.
pub fn describe(input: &Input) -> String {
    let mut text = format!("{:#?}\n", input.settings);
    for (header, rows) in input.streams.iter().flat_map(|stream| &stream.segments) {
        let _ = writeln!(text, "attached {} period {}", header.attached_boot_ns, header.period_ms);
        for row in rows.iter().take(400) {
            let _ = match row {
                Row::Source(row) => writeln!(
                    text,
                    "  {} {} {} syn {} ack {} hs {} rst {} packets {} born {} last {}",
                    row.seq,
                    row.src,
                    row.dst_port,
                    row.syn,
                    row.ack,
                    row.handshakes,
                    row.rst,
                    row.packets,
                    row.born_boot_ns,
                    row.last_boot_ns
                ),
                Row::Sweep(sweep) => writeln!(
                    text,
                    "sweep {} merged {:?} since {} at {} unix {} rows {} attached {}",
                    sweep.seq,
                    sweep.merged_from_seq,
                    sweep.since_boot_ns,
                    sweep.at_boot_ns,
                    sweep.at_unix_ms,
                    sweep.rows,
                    sweep.attached
                ),
                other => writeln!(text, "{other:?}"),
            };
        }
    }
    text
}
