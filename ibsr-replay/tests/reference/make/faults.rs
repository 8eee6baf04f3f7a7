// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can happen to a recording between the table and whoever reads it.

use ibsr_proto::snapshot::{Gap, GapReason, Source, Sweep};

use super::host::Record;
use super::{Rng, Scale};

/// Injures a perfect recording. A third of them stay perfect.
pub fn injure(rng: &mut Rng, scale: &Scale, records: &mut Vec<Record>) {
    let percent = rng.pick(&[0, 3, 10]);
    let mut at = 0;
    while at < records.len() {
        if rng.chance(percent) {
            injure_one(rng, scale, records, at);
        }
        at += 1;
    }
}

fn injure_one(rng: &mut Rng, scale: &Scale, records: &mut Vec<Record>, at: usize) {
    match rng.between(0, 11) {
        0 => {
            records.remove(at);
        }
        1 => lose_row(rng, &mut records[at]),
        2 => records[at].sweep.attached = false,
        3 | 4 => state_gap(rng, scale, &mut records[at]),
        5 | 6 if at + 1 < records.len() => merge(records, at),
        7 => {
            let again = records[at].clone();
            let behind =
                (at + 1 + usize::try_from(rng.between(0, 2)).expect("small")).min(records.len());
            records.insert(behind, again);
        }
        8 if at > 0 => {
            let before_ns = records[at - 1].sweep.at_boot_ns;
            records[at].sweep.at_boot_ns = before_ns - rng.between(0, 2);
        }
        9 => fall(rng, &mut records[at]),
        10 => older_life(rng, &mut records[at]),
        _ => stray_row(rng, &mut records[at]),
    }
}

fn any_row(rng: &mut Rng, record: &Record) -> Option<usize> {
    let last = u64::try_from(record.rows.len()).expect("few rows").checked_sub(1)?;
    Some(usize::try_from(rng.between(0, last)).expect("few rows"))
}

fn lose_row(rng: &mut Rng, record: &mut Record) {
    if let Some(row) = any_row(rng, record) {
        record.rows.remove(row);
    }
}

/// A row with the number of another sweep is none of this one's.
fn stray_row(rng: &mut Rng, record: &mut Record) {
    if let Some(row) = any_row(rng, record) {
        record.rows[row].seq += 1;
    }
}

/// Counters that fall without a new life.
fn fall(rng: &mut Rng, record: &mut Record) {
    if let Some(row) = any_row(rng, record) {
        let row = &mut record.rows[row];
        row.packets /= 2;
        row.bytes = row.bytes.saturating_sub(rng.between(0, 1));
    }
}

fn older_life(rng: &mut Rng, record: &mut Record) {
    if let Some(row) = any_row(rng, record) {
        record.rows[row].born_boot_ns -= 1;
    }
}

/// A gap row that reaches into the interval before the record, or just does not.
fn state_gap(rng: &mut Rng, scale: &Scale, record: &mut Record) {
    let at_ns = record.sweep.at_boot_ns;
    let start_ns = at_ns - rng.between(0, scale.period_ns * 2);
    let mut from_boot_ns = rng.pick(&[start_ns, record.sweep.since_boot_ns, at_ns]);
    let mut to_boot_ns = from_boot_ns + rng.between(1, scale.period_ns);
    if rng.chance(25) && start_ns < record.sweep.since_boot_ns {
        // It ends where the interval begins.
        (from_boot_ns, to_boot_ns) = (start_ns, record.sweep.since_boot_ns);
    }
    let reason = rng.pick(&[GapReason::Disk, GapReason::Retention, GapReason::Detached]);
    record.gaps.push(Gap { from_boot_ns, to_boot_ns, reason, segment: None });
}

/// What the spool does to two sweeps when it is full: the newest row of each life stays.
fn merge(records: &mut Vec<Record>, at: usize) {
    let second = records.remove(at + 1);
    let first = &mut records[at];
    let first_seq = first.sweep.merged_from_seq.unwrap_or(first.sweep.seq);
    if second.sweep.seq <= first.sweep.seq {
        records.insert(at + 1, second);
        return;
    }
    let mut rows = std::mem::take(&mut first.rows);
    rows.retain(|old| {
        let is_same = |new: &&Source| {
            (new.src, new.dst_port, new.born_boot_ns) == (old.src, old.dst_port, old.born_boot_ns)
        };
        second.rows.iter().find(is_same).is_none()
    });
    rows.extend(second.rows);
    if second.sweep.seq.is_multiple_of(2) {
        for row in &mut rows {
            row.seq = second.sweep.seq;
        }
    }
    let mut gaps = std::mem::take(&mut first.gaps);
    gaps.extend(second.gaps);
    let sweep = Sweep {
        merged_from_seq: Some(first_seq),
        since_boot_ns: first.sweep.since_boot_ns.min(second.sweep.since_boot_ns),
        rows: rows.len() as u64,
        ..second.sweep
    };
    records[at] = Record { gaps, rows, sweep };
}
