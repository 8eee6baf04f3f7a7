// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was read and what was seen: files, time, frames, losses, streams, gaps.

use ibsr_proto::conservation::Totals;
use serde::Serialize;

use crate::fold::counts::Counts;
use crate::fold::source_facts::SourceFacts;
use crate::fold::timeline::Why;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Input {
    /// Files found.
    pub segments_found: u64,
    /// Files whose rows were used.
    pub segments_used: u64,
    /// Files that say nothing that another does not say.
    pub segments_copied: u64,
    /// Files that could not be used.
    pub segments_refused: u64,
    /// Why, for the first ones.
    pub refused: Vec<Refused>,
    /// Unpacked bytes of the files that were used.
    pub bytes: u64,
    /// Sweeps used.
    pub sweeps: u64,
    /// Sweeps that another file had already.
    pub sweeps_duplicate: u64,
    /// Source rows used.
    pub rows: u64,
    /// Rows of types that this version does not know.
    pub rows_unknown: u64,
    /// Lines that are no rows, or contradict others.
    pub rows_rejected: u64,
    /// Why, for the first ones.
    pub rejected: Vec<Rejected>,
}

/// A file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Refused {
    /// Its name.
    pub segment: String,
    /// Why.
    pub reason: String,
}

/// A line that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Name of the file.
    pub segment: String,
    /// Line, from 1.
    pub line: u64,
    /// Why.
    pub reason: String,
}

/// When it was observed. Times of several streams are added up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Start of the first interval, wall clock.
    pub from_unix_ms: Option<u64>,
    /// End of the last one.
    pub to_unix_ms: Option<u64>,
    /// Time with rates.
    pub timed_ms: u64,
    /// Time between sweeps without rates.
    pub untimed_ms: u64,
}

/// Tracked packets that are in no row of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Loss {
    /// Packets in source rows.
    pub seen_packets: u64,
    /// Of these without a rate: counted before the first sweep, or over a gap.
    pub untimed_packets: u64,
    /// Evicted before any sweep saw them, or in files that are not here.
    pub unseen_packets: u64,
    /// Share of `unseen_packets` in the tracked ones.
    pub unseen_ppm: Option<u64>,
    /// Counted by entries that were there before anything else that was read: of an earlier
    /// time, and in no other number.
    pub before_packets: u64,
    /// Evicted at some time, seen or not.
    pub evicted_packets: u64,
    /// Share of `evicted_packets` in the tracked ones.
    pub evicted_ppm: Option<u64>,
}

/// Packets that the program passed, of those that the interface received.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// Passed, between sweeps that know both.
    pub passed_packets: u64,
    /// Received.
    pub received_packets: u64,
    /// The share; absent where nothing is known.
    pub ppm: Option<u64>,
}

/// The conservation law.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Law {
    /// Sweeps checked.
    pub sweeps_checked: u64,
    /// Violations.
    pub violations: u64,
    /// The first ones.
    pub examples: Vec<ViolationRow>,
}

/// A broken law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ViolationRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Sweep.
    pub seq: u64,
    /// What does not add up.
    pub reason: String,
}

/// All sources together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Population {
    /// Remote addresses.
    pub count: u64,
    /// Of these, by label.
    pub legitimate: u64,
    /// Of these, by label.
    pub abusive: u64,
    /// Of these, by label.
    pub spoofable: u64,
    /// Of these, by label.
    pub unknown: u64,
    /// Sum over all.
    pub counts: Counts,
}

/// What labels rest on. Those by connections need both sensors beside each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LabelBasis {
    /// Days of streams of interfaces.
    pub stream_days: u64,
    /// Of these, with the sensor of a cgroup beside them.
    pub stream_days_covered: u64,
    /// Sources that are labelled by connections.
    pub sources: u64,
    /// Handshakes of these, as the sensor of the interface counted them.
    pub handshakes: u64,
    /// Of these, with a connection that the other sensor knows: at most as many of each source.
    pub handshakes_known: u64,
    /// Connections of these sources that were established.
    pub connections: u64,
    /// Of these, with payload in both directions.
    pub connections_both_ways: u64,
}

impl LabelBasis {
    /// Adds a source that is labelled by connections.
    pub const fn add(&mut self, facts: &SourceFacts) {
        let (handshakes, connected) = (facts.counts.handshakes, facts.connected);
        let known =
            if handshakes < connected.established { handshakes } else { connected.established };
        self.sources += 1;
        self.handshakes = self.handshakes.saturating_add(handshakes);
        self.handshakes_known = self.handshakes_known.saturating_add(known);
        self.connections = self.connections.saturating_add(connected.established);
        self.connections_both_ways = self.connections_both_ways.saturating_add(connected.both_ways);
    }
}

/// One set of maps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StreamRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
    /// Digests of the programs that counted: more than one after an upgrade.
    pub program_sha256: Vec<String>,
    /// How strongly the maps are bound to them.
    pub evidence: Vec<String>,
    /// Sweeps used.
    pub sweeps: u64,
    /// Start of the first interval, wall clock.
    pub from_unix_ms: Option<u64>,
    /// End of the last one.
    pub to_unix_ms: Option<u64>,
    /// Frames by outcome since the epoch began.
    pub totals: Totals,
}

/// A stretch without rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GapRow {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Start, wall clock.
    pub from_unix_ms: u64,
    /// End, wall clock.
    pub to_unix_ms: u64,
    /// Start on the boot clock; absent between two boots or epochs.
    pub from_boot_ns: Option<u64>,
    /// End on the boot clock.
    pub to_boot_ns: Option<u64>,
    /// Why.
    pub reason: Why,
    /// Segment that was dropped or damaged.
    pub segment: Option<String>,
}
