// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fold leaves behind, and how two of them become one. Adding is associative and
//! commutative, so streams may be folded in any order, on any thread, on any machine.

use std::collections::HashMap;

use ibsr_proto::addr::SourceAddr;

use super::counts::Counts;
use super::stream::StreamFacts;

/// What was counted of one source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceTotals {
    /// Everything, timed or not.
    pub counts: Counts,
    /// SYN of these without a rate.
    pub untimed_syn: u64,
    /// Packets of these without a rate.
    pub untimed_packets: u64,
    /// Ports that it sent to, at most on any one host.
    pub ports: u32,
    /// Its busiest complete window.
    pub peak: Option<Peak>,
    /// What the rule would have done to it.
    pub acted: Acted,
}

/// The busiest complete window of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peak {
    /// SYN in it.
    pub syn: u64,
    /// Wall clock at its start.
    pub at_unix_ms: u64,
}

/// What the rule would have done to a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Acted {
    /// Windows in which it sent something while it was acted on.
    pub windows: u64,
    /// SYN that would have been dropped.
    pub syn: u64,
    /// Handshakes that it completed in these windows.
    pub handshakes: u64,
    /// Start of the first and end of the last of these windows, wall clock.
    pub span_unix_ms: Option<(u64, u64)>,
}

impl Peak {
    /// The busier one; of equals the earlier.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let is_other = (other.syn, self.at_unix_ms) > (self.syn, other.at_unix_ms);
        if is_other { other } else { self }
    }
}

impl Acted {
    /// Adds a window.
    pub fn add_window(&mut self, counts: &Counts, from_unix_ms: u64, to_unix_ms: u64) {
        let one = Self {
            windows: 1,
            syn: counts.syn,
            handshakes: counts.handshakes,
            span_unix_ms: Some((from_unix_ms, to_unix_ms)),
        };
        *self = self.plus(one);
    }

    fn plus(self, other: Self) -> Self {
        Self {
            windows: self.windows.saturating_add(other.windows),
            syn: self.syn.saturating_add(other.syn),
            handshakes: self.handshakes.saturating_add(other.handshakes),
            span_unix_ms: match (self.span_unix_ms, other.span_unix_ms) {
                (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
                (a, b) => a.or(b),
            },
        }
    }
}

impl SourceTotals {
    /// Takes note of an increment without a rate.
    pub const fn add_untimed(&mut self, increment: &Counts) {
        self.untimed_syn = self.untimed_syn.saturating_add(increment.syn);
        self.untimed_packets = self.untimed_packets.saturating_add(increment.packets);
    }

    /// Takes note of a complete window.
    pub fn add_peak(&mut self, syn: u64, at_unix_ms: u64) {
        if syn > 0 {
            let peak = Peak { syn, at_unix_ms };
            self.peak = Some(self.peak.map_or(peak, |known| known.or(peak)));
        }
    }

    /// Sum.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            counts: self.counts.plus(other.counts),
            untimed_syn: self.untimed_syn.saturating_add(other.untimed_syn),
            untimed_packets: self.untimed_packets.saturating_add(other.untimed_packets),
            ports: self.ports.max(other.ports),
            peak: match (self.peak, other.peak) {
                (Some(a), Some(b)) => Some(a.or(b)),
                (a, b) => a.or(b),
            },
            acted: self.acted.plus(other.acted),
        }
    }
}

/// Lines that are no rows, with a few examples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rejects {
    /// All of them.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<Reject>,
}

/// A line that is no row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reject {
    /// Segment.
    pub segment: String,
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// Examples that a report keeps of anything that may be many.
pub const MAX_EXAMPLES: usize = 20;

impl Rejects {
    /// Adds one.
    pub fn add(&mut self, segment: &str, line: u64, reason: impl Into<String>) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(Reject { segment: segment.to_owned(), line, reason: reason.into() });
        }
    }

    fn append(&mut self, mut other: Self) {
        self.count += other.count;
        self.examples.append(&mut other.examples);
        self.examples.sort();
        self.examples.truncate(MAX_EXAMPLES);
    }
}

/// Everything that folds leave behind.
#[derive(Debug, Default)]
pub struct Partial {
    /// One for each stream.
    pub streams: Vec<StreamFacts>,
    /// Sources over all streams.
    pub sources: HashMap<SourceAddr, SourceTotals>,
    /// Lines that were not used.
    pub rejects: Rejects,
}

impl Partial {
    /// Adds another one. The streams stay in the order in which they are added.
    pub fn append(&mut self, mut other: Self) {
        self.streams.append(&mut other.streams);
        if self.sources.is_empty() {
            self.sources = other.sources;
        } else {
            for (addr, totals) in other.sources {
                let sum = self.sources.entry(addr).or_default();
                *sum = sum.plus(totals);
            }
        }
        self.rejects.append(other.rejects);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(syn: u64, peak: u64, at_unix_ms: u64) -> SourceTotals {
        let mut totals = SourceTotals { ports: 1, ..SourceTotals::default() };
        totals.counts.syn = syn;
        totals.add_peak(peak, at_unix_ms);
        totals.acted.add_window(&totals.counts.clone(), at_unix_ms, at_unix_ms + 10);
        totals
    }

    #[test]
    fn adding_is_the_same_in_any_order() {
        let all = [totals(1, 5, 70), totals(2, 5, 30), totals(3, 4, 10)];
        let [a, b, c] = all;
        let sum = a.plus(b).plus(c);
        assert_eq!(sum, c.plus(b).plus(a));
        assert_eq!(sum, a.plus(b.plus(c)));
        assert_eq!(sum.counts.syn, 6);
        assert_eq!(sum.peak, Some(Peak { syn: 5, at_unix_ms: 30 }));
        assert_eq!(sum.acted.span_unix_ms, Some((10, 80)));
        assert_eq!(sum.plus(SourceTotals::default()), sum);
    }

    #[test]
    fn examples_are_bounded_and_the_count_is_not() {
        let mut rejects = Rejects::default();
        (0..100).for_each(|line| rejects.add("a", line, "no"));
        let mut other = Rejects::default();
        other.add("A", 1, "no");
        rejects.append(other);
        assert_eq!((rejects.count, rejects.examples.len()), (101, MAX_EXAMPLES));
        assert_eq!(rejects.examples[0].segment, "A");
    }
}
