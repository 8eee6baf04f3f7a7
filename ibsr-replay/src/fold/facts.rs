// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fold leaves behind, and how two of them become one. Adding is associative and
//! commutative, so days may be folded in any order, on any thread, on any machine.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use serde::{Deserialize, Serialize};

use super::counts::Counts;
use super::gaps::GapFact;
use super::id::StreamId;
use super::law::{Coverage, Violation};
use super::source_facts::SourceFacts;
use super::vector::Vector;
use super::window::Stretch;

/// Length of a bucket of time: short enough for a peak, long enough for a year.
pub const BUCKET_MS: u64 = 300_000;
/// Examples that a report keeps of anything that may be many.
pub const MAX_EXAMPLES: usize = 20;

/// A day of a stream: what one fold is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    /// Whose.
    pub stream: StreamId,
    /// Days since 1970-01-01, UTC, by the wall clock of its sweeps.
    pub day: u32,
}

/// What a day of a stream left behind, without its sources.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitFacts {
    /// Digests of the programs that counted, sorted.
    pub programs: BTreeSet<String>,
    /// How strongly the maps are bound to them.
    pub evidence: BTreeSet<String>,
    /// Sweeps used.
    pub sweeps: u64,
    /// Sweeps that another file had already.
    pub duplicates: u64,
    /// Source rows used.
    pub rows: u64,
    /// Rows of unknown types.
    pub unknown: u64,
    /// Lines that were not used.
    pub rejects: Rejects,
    /// Wall clock at the start of the first and the end of the last interval.
    pub span_unix_ms: Option<(u64, u64)>,
    /// The same on the boot clock, without what the first sweep found there.
    pub span_boot: Option<Stretch>,
    /// Whether nothing was known before its first sweep.
    pub is_cold: bool,
    /// Time with rates.
    pub timed_ns: u64,
    /// Time between sweeps without.
    pub untimed_ns: u64,
    /// Frames by outcome that were counted in it.
    pub totals: Totals,
    /// Packets of entries that left the table in it.
    pub evicted: u64,
    /// Packets in source rows.
    pub seen_packets: u64,
    /// Packets that rows can hold at most; what none holds of them was never seen.
    pub accountable_packets: u64,
    /// Packets that only the next sweep can list.
    pub pending_packets: u64,
    /// Packets that sources had before the first sweep.
    pub before_packets: u64,
    /// Against the interface's own counter.
    pub coverage: Coverage,
    /// Broken laws: how many.
    pub violated: u64,
    /// The first ones.
    pub violations: Vec<Violation>,
    /// Gaps in order.
    pub gaps: Vec<GapFact>,
    /// By time: number of [`BUCKET_MS`] since 1970.
    pub buckets: BTreeMap<u64, Bucket>,
    /// By destination port and who would have acted.
    pub ports: BTreeMap<(u16, Vector), Load>,
}

/// What all sources sent in a bucket of time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Everything with a rate.
    pub all: Load,
    /// What would have been acted on, by whom.
    pub acted: BTreeMap<Vector, Load>,
}

/// SYN and frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    /// SYN without ACK.
    pub syn: u64,
    /// Frames.
    pub packets: u64,
}

impl Load {
    /// Adds another one.
    pub const fn add(&mut self, other: Self) {
        self.syn = self.syn.saturating_add(other.syn);
        self.packets = self.packets.saturating_add(other.packets);
    }
}

impl From<&Counts> for Load {
    fn from(counts: &Counts) -> Self {
        Self { syn: counts.syn, packets: counts.packets }
    }
}

/// Lines that are no rows, with a few examples.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejects {
    /// All of them.
    pub count: u64,
    /// The first ones.
    pub examples: Vec<Reject>,
}

/// A line that is no row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// Segment.
    pub segment: String,
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

impl Rejects {
    /// Adds one.
    pub fn add(&mut self, segment: &str, line: u64, reason: impl Into<String>) {
        self.count += 1;
        if self.examples.len() < MAX_EXAMPLES {
            self.examples.push(Reject { segment: segment.to_owned(), line, reason: reason.into() });
        }
    }

    /// Adds those of another one; the examples stay the first ones in order.
    pub fn append(&mut self, mut other: Self) {
        self.count += other.count;
        self.examples.append(&mut other.examples);
        self.examples.sort();
        self.examples.truncate(MAX_EXAMPLES);
    }
}

impl UnitFacts {
    /// Adds what another share of the same day's sources left behind. What is known from
    /// sweeps alone is the same in both; what was counted from sources is added.
    pub fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.rejects.append(other.rejects);
        self.seen_packets = self.seen_packets.saturating_add(other.seen_packets);
        self.before_packets = self.before_packets.saturating_add(other.before_packets);
        for (at, bucket) in other.buckets {
            let own = self.buckets.entry(at).or_default();
            own.all.add(bucket.all);
            for (vector, load) in bucket.acted {
                own.acted.entry(vector).or_default().add(load);
            }
        }
        for (key, load) in other.ports {
            self.ports.entry(key).or_default().add(load);
        }
    }
}

/// A folded day: its facts, and its sources sorted by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoldedUnit {
    /// Which.
    pub id: UnitId,
    /// What is known of it.
    pub facts: UnitFacts,
    /// Its sources, sorted, each once.
    pub sources: Vec<(SourceAddr, SourceFacts)>,
}
