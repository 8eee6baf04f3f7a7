// SPDX-License-Identifier: MIT OR Apache-2.0
//! The conservation law over files: of each sweep, and of the sum of all increments.

use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::Sweep;
use serde::{Deserialize, Serialize};

use super::facts::MAX_EXAMPLES;

/// Packets that may be between two counters while totals are read: one a CPU, and no host
/// has more CPUs than this.
const MAX_IN_FLIGHT: u64 = 1024;

/// What was received and what of it was seen, over sweeps that know both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Packets that the program passed.
    pub passed: u64,
    /// Packets that the interface received.
    pub received: u64,
}

/// A broken law.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Violation {
    /// Sweep, or the last one where the sum is wrong.
    pub seq: u64,
    /// What does not add up.
    pub reason: String,
}

/// The law over one stream.
#[derive(Debug, Clone, Default)]
pub struct Law {
    last: Option<Reading>,
    base: Base,
    /// Coverage so far.
    pub coverage: Coverage,
    /// Sweeps checked.
    pub checked: u64,
    /// All violations.
    pub violated: u64,
    /// The first ones.
    pub violations: Vec<Violation>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    seq: u64,
    totals: Totals,
    evicted: u64,
    rx_packets: Option<u64>,
    during_read: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Base {
    totals: Totals,
    evicted: u64,
    during_read: u64,
}

/// Rows of a sweep, as far as the law asks.
#[derive(Debug, Clone, Copy)]
pub struct Rows {
    /// Sum of `packets` over the rows.
    pub packets: u64,
    /// Whether every row of the sweep was read.
    pub is_whole: bool,
}

impl Law {
    /// Checks a sweep and takes it as the last one.
    pub fn observe(&mut self, sweep: &Sweep, rows: Rows) {
        self.checked += 1;
        if !sweep.conserved {
            self.violate(sweep.seq, "the reader found it broken".to_owned());
        }
        if let Err(error) = sweep.totals.check_classes(MAX_IN_FLIGHT) {
            self.violate(sweep.seq, error.to_string());
        }
        let evicted = sweep.totals.evicted(sweep.attributed).unwrap_or_else(|error| {
            self.violate(sweep.seq, error.to_string());
            0
        });
        let is_full = sweep.since_boot_ns == 0 && sweep.merged_from_seq.is_none();
        if is_full && rows.is_whole && rows.packets != sweep.attributed {
            let (found, said) = (rows.packets, sweep.attributed);
            self.violate(
                sweep.seq,
                format!("its rows hold {found} packets but it attributes {said}"),
            );
        }
        self.follow(sweep);
        let (seq, totals, rx_packets) = (sweep.seq, sweep.totals, sweep.rx_packets);
        let during_read = sweep.during_read;
        self.last = Some(Reading { seq, totals, evicted, rx_packets, during_read });
    }

    fn follow(&mut self, sweep: &Sweep) {
        let Some(last) = self.last else { return };
        if is_less(&sweep.totals, &last.totals) {
            self.violate(sweep.seq, format!("a total fell since sweep {}", last.seq));
        }
        // An interface that was made again counts from zero: nothing can be said there.
        if let (Some(before), Some(now)) = (last.rx_packets, sweep.rx_packets)
            && let Some(received) = now.checked_sub(before)
        {
            let passed = sweep.totals.passed.saturating_sub(last.totals.passed);
            self.coverage.passed = self.coverage.passed.saturating_add(passed);
            self.coverage.received = self.coverage.received.saturating_add(received);
        }
    }

    fn violate(&mut self, seq: u64, reason: String) {
        self.violated += 1;
        if self.violations.len() < MAX_EXAMPLES {
            self.violations.push(Violation { seq, reason });
        }
    }

    /// Takes `sweep` as the one before the first that is checked.
    pub fn begin(&mut self, sweep: &Sweep) {
        let (seq, totals, rx_packets) = (sweep.seq, sweep.totals, sweep.rx_packets);
        let evicted = totals.evicted(sweep.attributed).unwrap_or(0);
        let during_read = sweep.during_read;
        self.last = Some(Reading { seq, totals, evicted, rx_packets, during_read });
        self.base = Base { totals, evicted, during_read };
    }

    /// What was counted since [`Law::begin`], or since the epoch began.
    #[must_use]
    pub fn settle(&self) -> Settled {
        let Some(last) = self.last else { return Settled::default() };
        let Base { totals: base, evicted, during_read } = self.base;
        let totals = last.totals.zip(base, u64::saturating_sub);
        let held = totals.tracked.saturating_sub(totals.missed());
        let held = held.saturating_sub(totals.insert_failed);
        Settled {
            totals,
            accountable: held.saturating_add(during_read),
            pending: last.during_read,
            evicted: last.evicted.saturating_sub(evicted),
        }
    }
}

/// How the sum ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settled {
    /// Frames by outcome.
    pub totals: Totals,
    /// Packets that rows of sources can hold at most: those tracked and not refused, and those
    /// that were tracked while the sweep before was being read. What no row holds of them was
    /// evicted before any sweep saw it.
    pub accountable: u64,
    /// Packets that were tracked while the last sweep was being read: they are in the next.
    pub pending: u64,
    /// Packets of entries that left the table.
    pub evicted: u64,
}

fn is_less(now: &Totals, before: &Totals) -> bool {
    let is_less = std::cell::Cell::new(false);
    let _ = now.zip(*before, |now, before| {
        is_less.set(is_less.get() || now < before);
        0
    });
    is_less.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sweep(seq: u64, tracked: u64, attributed: u64) -> Sweep {
        let totals = Totals { received: tracked, passed: tracked, tracked, ..Totals::default() };
        Sweep {
            seq,
            merged_from_seq: None,
            since_boot_ns: 0,
            at_boot_ns: seq,
            at_unix_ms: seq,
            rows: 0,
            entries: 0,
            max_entries: 0,
            attributed,
            evicted: tracked.saturating_sub(attributed),
            during_read: 0,
            conserved: true,
            totals,
            losses: Vec::new(),
            rx_packets: Some(tracked),
            attached: true,
            read_us: 0,
        }
    }

    fn rows(packets: u64) -> Rows {
        Rows { packets, is_whole: true }
    }

    #[test]
    fn a_law_that_holds_says_what_was_evicted_unseen() {
        let mut law = Law::default();
        law.observe(&sweep(1, 10, 10), rows(10));
        law.observe(&sweep(2, 25, 12), rows(12));
        assert_eq!((law.violated, law.checked), (0, 2));
        assert_eq!(law.coverage, Coverage { passed: 15, received: 15 });
        let settled = law.settle();
        assert_eq!((settled.accountable, settled.evicted), (25, 13));
    }

    /// One fault at a time; each must be seen, or the check proves nothing.
    #[test]
    fn each_way_to_break_it_is_seen() {
        type Change = fn(&mut Sweep);
        let broken: [(&str, Change); 5] = [
            ("reader", |s| s.conserved = false),
            ("classes", |s| s.totals.non_ip += MAX_IN_FLIGHT + 1),
            ("only 25 were tracked", |s| s.attributed = 26),
            ("rows hold", |s| s.attributed = 11),
            ("fell", |s| {
                s.totals.tracked = 9;
                s.totals.passed = 9;
                s.totals.received = 9;
                s.attributed = 9;
                s.since_boot_ns = 1;
            }),
        ];
        for (word, change) in broken {
            let mut law = Law::default();
            law.observe(&sweep(1, 10, 10), rows(10));
            let mut second = sweep(2, 25, 12);
            change(&mut second);
            law.observe(&second, rows(12));
            assert!(
                law.violations.iter().any(|v| v.seq == 2 && v.reason.contains(word)),
                "{word}: {:?}",
                law.violations
            );
        }
    }

    /// What was tracked while the sweep before was being read is in a row only now.
    #[test]
    fn a_day_begins_where_the_sweep_before_it_ended() {
        let mut law = Law::default();
        law.begin(&Sweep { during_read: 2, ..sweep(1, 10, 8) });
        law.observe(&sweep(2, 25, 12), rows(12));
        let settled = law.settle();
        assert_eq!((settled.totals.tracked, settled.accountable, settled.evicted), (15, 17, 11));
        assert_eq!(law.checked, 1);
    }

    #[test]
    fn an_interface_that_counts_from_zero_again_has_no_coverage_there() {
        let mut law = Law::default();
        law.observe(&sweep(1, 10, 10), rows(10));
        law.observe(&Sweep { rx_packets: Some(3), ..sweep(2, 20, 20) }, rows(20));
        law.observe(&Sweep { rx_packets: None, ..sweep(3, 30, 30) }, rows(30));
        assert_eq!(law.coverage, Coverage::default());
    }
}
