// SPDX-License-Identifier: MIT OR Apache-2.0
//! What all flows came to: applications, destinations and fates, and what is known of each
//! stream. Adding is commutative, so parts may be folded anywhere and in any order.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_proto::addr::SourceAddr;

use super::rehearsal::Compared;
use super::twin::Fate;
use crate::fold::id::StreamId;
use crate::fold::window::Stretch;
use crate::talk::facts::{App, Tally};
use crate::talk::findings::Findings;

/// Pairs that are held: some 500 bytes each. A host has thousands; beyond this the recording has
/// to be cut.
pub const MAX_PAIRS: usize = 1 << 20;

/// An application, the other end, and what the policy says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    /// Who.
    pub app: App,
    /// Number of [`ibsr_proto::snapshot::cgroup::words::Direction`].
    pub direction: u8,
    /// As IANA numbers it.
    pub protocol: u16,
    /// Port of the service: the remote one, the local one of what came in.
    pub port: u16,
    /// Remote address; of what came in the first one of its cluster.
    pub addr: SourceAddr,
    /// Name by which it was reached.
    pub name: Option<Box<str>>,
    /// What the guard would have done.
    pub fate: Fate,
}

/// What passed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Sums.
    pub tally: Tally,
    /// Handshakes completed; of UDP, flows with datagrams both ways.
    pub completed: u64,
    /// Flows begun and completed, by the day of their beginning.
    pub days: BTreeMap<u32, (u64, u64)>,
}

impl Counted {
    /// Adds another.
    pub fn join(&mut self, other: &Self) {
        self.tally.join(&other.tally);
        self.completed = self.completed.saturating_add(other.completed);
        for (day, (flows, completed)) in &other.days {
            let own = self.days.entry(*day).or_default();
            own.0 = own.0.saturating_add(*flows);
            own.1 = own.1.saturating_add(*completed);
        }
    }
}

/// What is known of a stream besides its flows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamFacts {
    /// Path of the cgroup that the sensor is attached to.
    pub cgroup: String,
    /// Rows of flows that were read.
    pub rows: u64,
    /// Rows that cannot be true or cannot be read.
    pub rejected: u64,
    /// Sweeps.
    pub sweeps: u64,
    /// Sweeps whose law did not hold.
    pub violations: u64,
    /// Days with a sweep.
    pub days: BTreeSet<u32>,
    /// When the sensor ran, on the boot clock, in order.
    pub cover: Vec<Stretch>,
    /// First sweep's and last sweep's boot clock.
    pub span: Option<Stretch>,
    /// The same moments on the wall clock.
    pub span_unix_ms: Option<(u64, u64)>,
    /// Packets that were tracked.
    pub tracked_packets: u64,
    /// Packets of flows that the kernel evicted, or that never got an entry.
    pub evicted_packets: u64,
    /// Packets of other protocols, which are in no flow.
    pub other_packets: u64,
    /// Entries that the kernel made.
    pub flows_made: u64,
    /// Entries that were read.
    pub flows_read: u64,
    /// Programs that counted.
    pub programs: BTreeSet<String>,
    /// How strongly the maps are bound to them.
    pub evidence: BTreeSet<String>,
}

impl StreamFacts {
    /// Adds what another share of the same stream found. All but the first have rows only.
    fn join(&mut self, other: Self) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.flows_read += other.flows_read;
        if other.sweeps > 0 {
            let (rows, rejected, flows_read) = (self.rows, self.rejected, self.flows_read);
            *self = Self { rows, rejected, flows_read, ..other };
        }
    }

    /// Entries that nobody read.
    #[must_use]
    pub const fn flows_lost(&self) -> u64 {
        self.flows_made.saturating_sub(self.flows_read)
    }

    /// Whether proven programs counted into maps that nobody else could write.
    #[must_use]
    pub fn is_proven(&self) -> bool {
        let is_digest = |text: &String| text.len() == 64 && text.bytes().any(|byte| byte != b'0');
        let is_bound = |text: &String| matches!(text.as_str(), "frozen" | "exclusive");
        !self.programs.is_empty()
            && self.programs.iter().all(is_digest)
            && self.evidence.iter().all(is_bound)
    }
}

/// Everything that was folded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Each pair.
    pub pairs: BTreeMap<Pair, Counted>,
    /// Each stream.
    pub streams: BTreeMap<StreamId, StreamFacts>,
    /// Measurements of behaviour that passed a limit.
    pub findings: Findings,
    /// Flows that a guard has judged too.
    pub compared: Compared,
}

/// More pairs than are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "more than {MAX_PAIRS} pairs of an application and a destination\nhint: name fewer segments, or a cgroup with fewer applications, `--cgroup`"
)]
pub struct TooManyPairs;

impl Facts {
    /// Adds others.
    ///
    /// # Errors
    /// [`TooManyPairs`].
    pub fn join(&mut self, other: Self) -> Result<(), TooManyPairs> {
        for (pair, counted) in other.pairs {
            self.pairs.entry(pair).or_default().join(&counted);
        }
        for (id, stream) in other.streams {
            self.streams.entry(id).or_default().join(stream);
        }
        self.findings.join(&other.findings);
        self.compared.join(other.compared);
        if self.pairs.len() > MAX_PAIRS { Err(TooManyPairs) } else { Ok(()) }
    }
}
