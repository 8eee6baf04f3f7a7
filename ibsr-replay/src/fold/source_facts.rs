// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was counted of one source, and what rules would have done to it.

use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::vector::Vector;

/// Times for which an action might last, in seconds; the last one stands for "always": what
/// a rule remembers ends there.
pub const TTL_GRID_S: [u64; 5] = [60, 300, 600, 1800, 3600];

/// One source, over any number of days and streams.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFacts {
    /// Everything, timed or not.
    pub counts: Counts,
    /// SYN of these without a rate.
    pub untimed_syn: u64,
    /// Packets of these without a rate.
    pub untimed_packets: u64,
    /// Ports that it sent to, at most in one day of one stream.
    pub ports: u32,
    /// Its busiest complete window.
    pub peak: Option<Peak>,
    /// Days on which it sent something, ascending, with the handshakes completed.
    pub days: Vec<(u32, u64)>,
    /// Hosts that saw it, as [`StreamId::host_bit`](super::id::StreamId::host_bit) numbers them.
    pub hosts: u64,
    /// Connections that the sensor of a cgroup saw of it, on any host. A source of which nothing
    /// else is known has no day: no interface saw it, and no rule could have acted on it.
    pub connected: Connected,
    /// What rules would have done; absent for nearly every source.
    pub acted: Option<Box<Acted>>,
}

/// Connections of a source that were accepted by sockets under a cgroup. Lower bounds: a flow
/// that was evicted before a sweep listed it is in none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connected {
    /// Handshakes that a socket completed.
    pub established: u64,
    /// Of these, with payload in both directions.
    pub both_ways: u64,
}

impl Connected {
    /// Adds others.
    pub const fn join(&mut self, other: Self) {
        self.established = self.established.saturating_add(other.established);
        self.both_ways = self.both_ways.saturating_add(other.both_ways);
    }

    /// What came since `before`, of the same connections.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            established: self.established.saturating_sub(before.established),
            both_ways: self.both_ways.saturating_sub(before.both_ways),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.established == 0 && self.both_ways == 0
    }
}

/// The busiest complete window of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peak {
    /// SYN in it.
    pub syn: u64,
    /// Wall clock at its start.
    pub at_unix_ms: u64,
}

/// What rules would have done to a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// By day and vector, ascending.
    pub by: Vec<((u32, Vector), Booked)>,
    /// By rule and level, ascending.
    pub marks: Vec<((u8, u8), Mark)>,
}

/// What a source sent while rules act on it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Booked {
    /// SYN.
    pub syn: u64,
    /// Frames.
    pub packets: u64,
    /// Frame bytes.
    pub bytes: u64,
    /// Completed handshakes.
    pub handshakes: u64,
    /// Frames beyond what the most generous acting limit lets pass.
    pub excess: u64,
}

/// How a rule at a level fared with a source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// From the start of the first window that counted to the start of the first in which
    /// it acted, least of all decisions.
    pub delay_ms: u64,
    /// Longest time between the start of an action and the next decision.
    pub again_s: u64,
    /// Frames by time since the latest decision began to act: below each of [`TTL_GRID_S`]
    /// and not below the one before.
    pub packets_by_age: [u64; TTL_GRID_S.len()],
}

impl Peak {
    /// The busier one; of equals the earlier.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let is_other = (other.syn, self.at_unix_ms) > (self.syn, other.at_unix_ms);
        if is_other { other } else { self }
    }
}

impl Booked {
    /// From a share of an increment.
    #[must_use]
    pub const fn of(counts: &Counts) -> Self {
        let Counts { syn, packets, bytes, handshakes, .. } = *counts;
        Self { syn, packets, bytes, handshakes, excess: 0 }
    }

    /// Adds another one.
    pub const fn add(&mut self, other: &Self) {
        self.syn = self.syn.saturating_add(other.syn);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.handshakes = self.handshakes.saturating_add(other.handshakes);
        self.excess = self.excess.saturating_add(other.excess);
    }
}

impl Mark {
    fn join(&mut self, other: &Self) {
        self.delay_ms = self.delay_ms.min(other.delay_ms);
        self.again_s = self.again_s.max(other.again_s);
        for (own, other) in self.packets_by_age.iter_mut().zip(other.packets_by_age) {
            *own = own.saturating_add(other);
        }
    }
}

impl Acted {
    /// Books a share of an increment.
    pub fn book(&mut self, day: u32, vector: Vector, booked: &Booked) {
        entry(&mut self.by, (day, vector), Booked::default()).add(booked);
    }

    /// The mark of a rule at a level, made with `delay_ms` when it is new.
    pub fn mark(&mut self, rule: u8, level: u8, delay_ms: u64) -> &mut Mark {
        let new = Mark { delay_ms, ..Mark::default() };
        entry(&mut self.marks, (rule, level), new)
    }

    fn join(&mut self, other: &Self) {
        for (key, booked) in &other.by {
            entry(&mut self.by, *key, Booked::default()).add(booked);
        }
        for (key, mark) in &other.marks {
            match self.marks.binary_search_by_key(key, |(key, _)| *key) {
                Ok(at) => self.marks[at].1.join(mark),
                Err(at) => self.marks.insert(at, (*key, *mark)),
            }
        }
    }
}

/// The value at `key` of a sorted list, put there when it is missing. The lists are short.
fn entry<K: Ord + Copy, V>(list: &mut Vec<(K, V)>, key: K, new: V) -> &mut V {
    let at = match list.binary_search_by_key(&key, |(key, _)| *key) {
        Ok(at) => at,
        Err(at) => {
            list.insert(at, (key, new));
            at
        }
    };
    &mut list[at].1
}

impl SourceFacts {
    /// Adds what another day or stream says of the same source.
    pub fn join(&mut self, other: &Self) {
        self.counts = self.counts.plus(other.counts);
        self.untimed_syn = self.untimed_syn.saturating_add(other.untimed_syn);
        self.untimed_packets = self.untimed_packets.saturating_add(other.untimed_packets);
        self.ports = self.ports.max(other.ports);
        self.peak = match (self.peak, other.peak) {
            (Some(a), Some(b)) => Some(a.or(b)),
            (a, b) => a.or(b),
        };
        for (day, handshakes) in &other.days {
            let own = entry(&mut self.days, *day, 0);
            *own = own.saturating_add(*handshakes);
        }
        self.hosts |= other.hosts;
        self.connected.join(other.connected);
        if let Some(acted) = &other.acted {
            self.acted.get_or_insert_default().join(acted);
        }
    }

    /// Of a source of which only connections are known.
    #[must_use]
    pub fn of_connections(connected: Connected) -> Self {
        Self { connected, ..Self::default() }
    }

    /// Whether the sensor of an interface saw it.
    #[must_use]
    pub const fn is_seen(&self) -> bool {
        !self.days.is_empty()
    }

    /// Takes note of a complete window.
    pub fn add_peak(&mut self, syn: u64, at_unix_ms: u64) {
        if syn > 0 {
            let peak = Peak { syn, at_unix_ms };
            self.peak = Some(self.peak.map_or(peak, |known| known.or(peak)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(day: u32, syn: u64, delay_ms: u64) -> SourceFacts {
        let counts = Counts { syn, packets: syn, ..Counts::default() };
        let mut facts = SourceFacts { counts, days: vec![(day, syn)], ..SourceFacts::default() };
        facts.add_peak(syn, u64::from(day));
        facts.hosts = 1 << day;
        facts.connected = Connected { established: syn, both_ways: delay_ms };
        let mut acted = Acted::default();
        acted.book(day, Vector::default().with(0, 1), &Booked::of(&counts));
        acted.mark(0, 1, delay_ms).packets_by_age[2] += syn;
        facts.acted = Some(Box::new(acted));
        facts
    }

    fn sum(all: &[&SourceFacts]) -> SourceFacts {
        let mut sum = SourceFacts::default();
        all.iter().for_each(|facts| sum.join(facts));
        sum
    }

    #[test]
    fn adding_is_the_same_in_any_order() {
        let (a, b, c) = (facts(3, 5, 70), facts(1, 5, 30), facts(3, 4, 10));
        let all = sum(&[&a, &b, &c]);
        assert_eq!(all, sum(&[&c, &b, &a]));
        assert_eq!(all, sum(&[&sum(&[&b, &c]), &a]));
        assert_eq!(all.days, [(1, 5), (3, 9)]);
        assert_eq!(all.peak, Some(Peak { syn: 5, at_unix_ms: 1 }));
        assert_eq!((all.hosts, all.connected.established, all.connected.both_ways), (10, 14, 110));
        let acted = all.acted.expect("acted on");
        assert_eq!(acted.by.len(), 2);
        assert_eq!(acted.marks[0].1.delay_ms, 10);
        assert_eq!(acted.marks[0].1.packets_by_age, [0, 0, 14, 0, 0]);
    }

    #[test]
    fn nothing_added_changes_nothing() {
        let one = facts(3, 5, 70);
        assert_eq!(sum(&[&one, &SourceFacts::default()]), one);
    }
}
