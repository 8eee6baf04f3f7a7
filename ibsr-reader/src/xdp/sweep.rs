// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over the maps of an interface: totals, every entry, totals again. Rows go out one by one, so a
//! table of any size needs no memory here, and nothing is kept from one sweep to the next:
//! counters are cumulative, and whoever reads the files takes the differences.
//!
//! Reads maps and clocks; writes nothing.

use std::time::Duration;

use ibsr_proto::abi::{SourceCounts, SourceKey};
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::{ConservationError, Totals};
use ibsr_proto::snapshot::{LossOfPort, Source, Sweep};
use zerocopy::FromBytes as _;

use super::pinned::{Pinned, Sources};
use crate::batch::{WalkError, Walker};
use crate::clock::boot_ns;
use crate::sweep::{Plan, SweepError};

/// What was counted over all entries, listed or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    rows: u64,
    entries: u64,
    attributed: u64,
}

impl Tally {
    /// Takes one entry; its row when the plan lists it.
    fn take(
        &mut self,
        plan: &Plan,
        key: SourceKey,
        counts: &SourceCounts,
        is_proven: bool,
    ) -> Option<Source> {
        self.entries += 1;
        self.attributed = self.attributed.saturating_add(counts.packets);
        if !plan.lists(counts.last_boot_ns) {
            return None;
        }
        self.rows += 1;
        Some(source_row(plan.seq, key, counts, is_proven))
    }
}

fn source_row(seq: u64, key: SourceKey, counts: &SourceCounts, is_proven: bool) -> Source {
    let &SourceCounts {
        syn,
        ack,
        handshakes,
        fin,
        rst,
        packets,
        bytes,
        born_boot_ns,
        last_boot_ns,
        awaited: _,
    } = counts;
    Source {
        seq,
        src: SourceAddr::from_bytes(key.addr),
        dst_port: key.dst_port,
        syn,
        ack,
        handshakes,
        fin,
        rst,
        packets,
        bytes,
        proven: Some(is_proven),
        born_boot_ns,
        last_boot_ns,
    }
}

/// What one pass over the maps found.
#[derive(Debug, Clone)]
pub struct Reading {
    tally: Tally,
    before: Totals,
    /// Totals, read after the sources.
    pub after: Totals,
    losses: Vec<LossOfPort>,
    in_flight: u64,
    max_entries: u64,
    took: Duration,
}

/// Reads the maps once and calls `each` with every row that `plan` lists.
///
/// # Errors
/// [`SweepError`]: the rows until then are not a sweep and must be discarded.
///
/// # Cost
/// About 0.3 us an entry, and the time that `each` takes for a row.
pub fn read(
    pinned: &Pinned,
    walker: &mut Walker,
    plan: &Plan,
    mut each: impl FnMut(&Source),
) -> Result<Reading, SweepError> {
    let start = boot_ns();
    let (before, _) = pinned.totals()?;
    let mut tally = Tally::default();
    walk(&pinned.sources, walker, |key, counts, is_proven| {
        if let Some(row) = tally.take(plan, key, counts, is_proven) {
            each(&row);
        }
    })?;
    let losses = pinned.losses()?;
    // After the sources: the program counts a packet in the totals first, so these can only
    // be ahead of the sources, never behind.
    let (after, in_flight) = pinned.totals()?;
    let max_entries = pinned.sources.max_entries();
    let took = Duration::from_nanos(boot_ns().saturating_sub(start));
    Ok(Reading { tally, before, after, losses, in_flight, max_entries, took })
}

/// Every source, and whether it is proven; returns how many there were.
///
/// # Errors
/// [`WalkError`]; a mapped table can always be read.
pub fn walk(
    sources: &Sources,
    walker: &mut Walker,
    mut each: impl FnMut(SourceKey, &SourceCounts, bool),
) -> Result<u64, WalkError> {
    let (proven, unproven) = match sources {
        Sources::Sets(sets) => return Ok(sets.walk(each).entries),
        Sources::Lru { proven, unproven } => (proven, unproven),
    };
    let mut entries = 0;
    // In this order: a source that becomes proven in between is listed with both its lives.
    for (table, is_proven) in [(unproven, false), (proven, true)] {
        entries += walker.walk(table, |key, value| {
            let key = SourceKey::read_from_bytes(key).expect("the key size was checked");
            let counts = SourceCounts::read_from_bytes(value).expect("the value size was checked");
            each(key, &counts, is_proven);
        })?;
    }
    Ok(entries)
}

/// What was seen of the interface beside the maps.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings {
    /// Whether the program was attached.
    pub attached: bool,
    /// The interface's receive counter.
    pub rx_packets: Option<u64>,
}

impl Reading {
    /// Entries in the table, listed or not.
    #[must_use]
    pub const fn entries(&self) -> u64 {
        self.tally.entries
    }

    /// The row that closes the sweep, and how the law is broken if it is.
    #[must_use]
    pub fn close(&self, plan: &Plan, around: Surroundings) -> (Sweep, Option<ConservationError>) {
        let Self { tally, before, after, in_flight, max_entries, took, .. } = *self;
        let evicted = after.evicted(tally.attributed);
        let broken = after.check_classes(in_flight).err().or(evicted.err());
        let sweep = Sweep {
            seq: plan.seq,
            merged_from_seq: None,
            since_boot_ns: plan.since_boot_ns.unwrap_or(0),
            at_boot_ns: plan.at.boot_ns,
            at_unix_ms: plan.at.unix_ms,
            rows: tally.rows,
            entries: tally.entries,
            max_entries,
            attributed: tally.attributed,
            evicted: evicted.unwrap_or(0),
            during_read: after.tracked.saturating_sub(before.tracked),
            conserved: broken.is_none(),
            totals: after,
            losses: self.losses.clone(),
            rx_packets: around.rx_packets,
            attached: around.attached,
            read_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        };
        (sweep, broken)
    }
}

#[cfg(test)]
mod tests {
    use ibsr_proto::abi::TICK_BOUND_NS;

    use super::*;
    use crate::clock::Moment;

    const AT: Moment = Moment { boot_ns: 5_000_000_000, unix_ms: 1_700_000_000_000 };

    fn plan(since_boot_ns: Option<u64>) -> Plan {
        Plan { seq: 3, since_boot_ns, at: AT, is_over: false }
    }

    fn counts(packets: u64, last_boot_ns: u64) -> SourceCounts {
        SourceCounts { packets, last_boot_ns, ..SourceCounts::default() }
    }

    fn reading(tracked: u64, attributed: u64) -> Reading {
        let after = Totals {
            received: tracked + 2,
            passed: tracked + 2,
            non_ip: 2,
            tracked,
            ..Totals::default()
        };
        Reading {
            tally: Tally { rows: 1, entries: 9, attributed },
            before: Totals { tracked: tracked - 1, ..after },
            after,
            losses: Vec::new(),
            in_flight: 0,
            max_entries: 100,
            took: Duration::from_micros(70),
        }
    }

    const AROUND: Surroundings = Surroundings { attached: true, rx_packets: Some(12) };

    /// The time of a packet is stamped up to a tick too early: one that came right after
    /// the last sweep may carry a time before it.
    #[test]
    fn a_source_is_listed_when_it_may_have_been_seen_since() {
        let mut tally = Tally::default();
        let since = 1_000_000_000;
        let mut is_listed = |last| {
            let (plan, counts) = (plan(Some(since)), counts(1, last));
            tally.take(&plan, SourceKey::default(), &counts, true).is_some()
        };
        assert!(is_listed(since));
        assert!(is_listed(since - TICK_BOUND_NS));
        assert!(!is_listed(since - TICK_BOUND_NS - 1));
        assert!(is_listed(u64::MAX));
        assert_eq!(tally, Tally { rows: 3, entries: 4, attributed: 4 });
    }

    #[test]
    fn a_full_sweep_lists_every_entry_and_says_since_zero() {
        let mut tally = Tally::default();
        assert!(tally.take(&plan(None), SourceKey::default(), &counts(5, 0), false).is_some());
        let (sweep, _) = reading(10, 10).close(&plan(None), AROUND);
        assert_eq!((sweep.since_boot_ns, sweep.at_boot_ns), (0, AT.boot_ns));
    }

    #[test]
    fn an_entry_becomes_a_row_field_by_field() {
        let key = SourceKey { addr: [7; 16], dst_port: 443, pad: 0 };
        let counts = SourceCounts {
            syn: 1,
            ack: 2,
            handshakes: 3,
            fin: 4,
            rst: 5,
            packets: 6,
            bytes: 7,
            born_boot_ns: 8,
            last_boot_ns: 9,
            awaited: 10,
        };
        let row = source_row(17, key, &counts, true);
        let text = serde_json::to_string(&row).expect("serializes");
        assert_eq!(
            text,
            concat!(
                r#"{"seq":17,"src":"707:707:707:707:707:707:707:707","dst_port":443,"syn":1,"#,
                r#""ack":2,"handshakes":3,"fin":4,"rst":5,"packets":6,"bytes":7,"proven":true,"#,
                r#""born_boot_ns":8,"last_boot_ns":9}"#
            )
        );
    }

    #[test]
    fn what_the_entries_lack_was_evicted() {
        let (sweep, broken) = reading(10, 7).close(&plan(None), AROUND);
        assert_eq!((sweep.evicted, sweep.during_read, sweep.conserved), (3, 1, true));
        assert_eq!((sweep.rx_packets, sweep.attached, sweep.read_us), (Some(12), true, 70));
        assert_eq!(broken, None);
    }

    /// A broken law must never look like a sweep without loss.
    #[test]
    fn a_broken_law_is_told_in_the_row_and_to_the_caller() {
        let (sweep, broken) = reading(10, 11).close(&plan(None), AROUND);
        assert!(!sweep.conserved);
        assert_eq!(broken, Some(ConservationError::Negative { tracked: 10, accounted: 11 }));

        let mut torn = reading(10, 10);
        torn.after.passed += 3;
        let (sweep, broken) = torn.close(&plan(None), AROUND);
        assert!(!sweep.conserved && broken.is_some());
        torn.in_flight = 3;
        assert!(torn.close(&plan(None), AROUND).0.conserved);
    }
}
