// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fold of one stream of a cgroup scope. Rows are cumulative, so of each life of a flow
//! the last row of a day counts, less what it had at the end of the day before.
//!
//! A life stays in memory until the end, because any full sweep may list it again; memory is
//! bounded by folding the stream once for each share of its lives.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::Gap;
use ibsr_proto::snapshot::cgroup::words::Direction;
use ibsr_proto::snapshot::cgroup::{self, Flow, FlowLife, Owner};
use serde::{Deserialize, Serialize};

use super::connections::{Payload, connected};
use super::counters::Counters;
use super::cover::{CoverFold, unite};
use super::facts::{App, Peer, Program, Talk, Tally};
use super::findings::{Findings, Place};
use crate::fold::horizon::{DAY_MS, Partition};
use crate::fold::source_facts::{Connected, SourceFacts};
use crate::fold::window::Stretch;

const INCOMING: Direction = Direction(2);
const OWN: Direction = Direction(3);

/// When a sweep was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepTime {
    /// Boot clock.
    pub at_boot_ns: u64,
    /// Wall clock.
    pub at_unix_ms: u64,
}

/// What a day of a stream came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TalkFacts {
    /// Who talked to whom.
    pub talk: Talk,
    /// Rows of flows that were read.
    pub rows: u64,
    /// Rows that cannot be true, or cannot be read.
    pub rejected: u64,
    /// Packets of flows that the kernel evicted, and so are in no row any more; at least so many.
    pub evicted_packets: u64,
    /// What passed a limit.
    pub findings: Findings,
    /// Digests of the programs that counted, sorted.
    pub programs: BTreeSet<String>,
    /// How strongly the maps are bound to them.
    pub evidence: BTreeSet<String>,
    /// When the sensor ran, on the boot clock of the stream, in order.
    pub cover: Vec<Stretch>,
}

/// A day of a stream.
#[derive(Debug, Default)]
pub struct FoldedTalk {
    /// What is known of it.
    pub facts: TalkFacts,
    /// What is known of the sources of its connections, sorted, each once.
    pub sources: Vec<(SourceAddr, SourceFacts)>,
}

impl TalkFacts {
    /// Adds another, of other lives or of another day.
    pub fn join(&mut self, other: &Self) {
        self.talk.join(&other.talk);
        self.rows = self.rows.saturating_add(other.rows);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.evicted_packets = self.evicted_packets.saturating_add(other.evicted_packets);
        self.findings.join(&other.findings);
        self.programs.extend(other.programs.iter().cloned());
        self.evidence.extend(other.evidence.iter().cloned());
        let mut cover = std::mem::take(&mut self.cover);
        cover.extend(&other.cover);
        self.cover = unite(cover);
    }
}

/// A life of a flow.
#[derive(Debug)]
struct Life {
    app: u32,
    peer: Peer,
    day: u32,
    seq: u64,
    is_counted: bool,
    error: u16,
    born_unix_ms: u64,
    last_boot_ns: u64,
    last_unix_ms: u64,
    now: Counters,
    before: Counters,
    payload: Payload,
    /// What of it was booked.
    connected: Connected,
}

/// Folds the rows of a stream, in the order of its sweeps.
#[derive(Debug)]
pub struct LivesFold {
    host: String,
    partition: Partition,
    apps: Vec<App>,
    numbers: HashMap<App, u32>,
    lives: HashMap<FlowLife, Life>,
    days: BTreeMap<u32, TalkFacts>,
    sources: Sources,
    cover: CoverFold,
    vouched: (String, String),
    evicted_packets: u64,
}

/// Connections by day and source.
type Sources = HashMap<(u32, SourceAddr), Connected>;

impl LivesFold {
    /// Of one stream of `host`, only lives of this share of all.
    #[must_use]
    pub fn new(host: &str, partition: Partition) -> Self {
        Self {
            host: host.to_owned(),
            partition,
            apps: Vec::new(),
            numbers: HashMap::new(),
            lives: HashMap::new(),
            days: BTreeMap::new(),
            sources: HashMap::new(),
            cover: CoverFold::default(),
            vouched: Default::default(),
            evicted_packets: 0,
        }
    }

    /// Begins a segment.
    pub fn begin(&mut self, header: &cgroup::Header) {
        self.cover.begin(header);
        self.vouched = (header.programs_sha256.clone(), header.evidence.clone());
    }

    /// Takes a row of a flow, from the sweep that was made at `time`.
    pub fn flow(&mut self, flow: &Flow<'_>, time: SweepTime) {
        if flow.direction == OWN || share(flow, self.partition.of) != self.partition.index {
            return;
        }
        let Some(addr) = flow.remote_addr else { return };
        let day = day(time.at_unix_ms);
        self.facts(day).rows += 1;
        let life = FlowLife {
            socket: flow.socket,
            remote_addr: flow.remote_addr,
            remote_port: flow.remote_port,
            protocol: flow.protocol,
            holder: flow.holder,
            born_boot_ns: flow.born_boot_ns,
        };
        let (now, known) = (Counters::of(flow), self.lives.get(&life));
        if known.is_some_and(|known| flow.seq <= known.seq) {
            return; // The same sweep in another file.
        }
        let is_true = known.is_none_or(|known| now.is_from(&known.now));
        if !is_true || flow.born_boot_ns > time.at_boot_ns {
            self.facts(day).rejected += 1;
            return;
        }
        let app = self.app(flow, known.map(|known| known.app));
        let last_unix_ms = unix_ms(flow.last_boot_ns, time);
        let known = self.lives.entry(life).or_insert_with(|| Life {
            app,
            peer: peer(flow, addr),
            day,
            seq: 0,
            is_counted: false,
            error: 0,
            born_unix_ms: unix_ms(flow.born_boot_ns, time),
            last_boot_ns: 0,
            last_unix_ms,
            now: Counters::default(),
            before: Counters::default(),
            payload: Payload::default(),
            connected: Connected::default(),
        });
        if known.day != day {
            let (facts, apps) = (self.days.entry(known.day).or_default(), &self.apps);
            settle(known, &mut facts.talk, apps, &mut self.sources);
            known.day = day;
        }
        known.payload.note(now.passed(), known.now.passed());
        // Later sweeps know the same moment by a clock that may have been set meanwhile.
        if known.last_boot_ns != flow.last_boot_ns {
            known.last_unix_ms = last_unix_ms;
            known.last_boot_ns = flow.last_boot_ns;
        }
        if known.peer.name.is_none() {
            known.peer.name = name(flow);
        }
        known.app = app;
        known.seq = flow.seq;
        known.error = flow.error.0;
        known.now = now;
    }

    /// Takes what a sweep says of itself and of evicted flows, cumulative over the epoch. Only
    /// the first share keeps it.
    pub fn sweep(&mut self, sweep: &cgroup::Sweep, time: SweepTime) {
        if self.partition.index > 0 {
            return;
        }
        // The remainder of the totals also holds what was on its way while they were read.
        let evicted = sweep.evicted.saturating_sub(sweep.during_read);
        let more = evicted.saturating_sub(self.evicted_packets);
        self.evicted_packets = self.evicted_packets.max(evicted);
        let seen = self.cover.sweep(sweep);
        let facts = self.days.entry(day(time.at_unix_ms)).or_default();
        facts.evicted_packets += more;
        let (programs, evidence) = &self.vouched;
        if !facts.programs.contains(programs) || !facts.evidence.contains(evidence) {
            facts.programs.insert(programs.clone());
            facts.evidence.insert(evidence.clone());
        }
        match (seen, facts.cover.last_mut()) {
            (Some(seen), Some(last)) if last.to_ns == seen.from_ns => last.to_ns = seen.to_ns,
            (seen, _) => facts.cover.extend(seen),
        }
    }

    /// Takes a gap that the reader knows of.
    pub fn gap(&mut self, gap: &Gap) {
        self.cover.gap(Stretch { from_ns: gap.from_boot_ns, to_ns: gap.to_boot_ns });
    }

    /// Takes a row about a destination of an application. Only the first share keeps it.
    pub fn behaviour(&mut self, row: &cgroup::Behaviour<'_>, time: SweepTime, at: (&str, u64)) {
        if self.partition.index == 0 {
            let place = Place { host: &self.host, file: at.0, line: at.1 };
            let facts = self.days.entry(day(time.at_unix_ms)).or_default();
            facts.findings.behaviour(row, time, place);
        }
    }

    /// Takes a row about a zone, in the same way.
    pub fn zone(&mut self, row: &cgroup::Zone<'_>, time: SweepTime, at: (&str, u64)) {
        if self.partition.index == 0 {
            let place = Place { host: &self.host, file: at.0, line: at.1 };
            let facts = self.days.entry(day(time.at_unix_ms)).or_default();
            facts.findings.zone(row, time, place);
        }
    }

    /// Takes a row about an application, in the same way.
    pub fn application(&mut self, row: &cgroup::App, time: SweepTime, at: (&str, u64)) {
        if self.partition.index == 0 {
            let place = Place { host: &self.host, file: at.0, line: at.1 };
            let facts = self.days.entry(day(time.at_unix_ms)).or_default();
            facts.findings.app(row, time, place);
        }
    }

    /// Counts a row that cannot be read. Only the first share keeps it.
    pub fn reject(&mut self, time: SweepTime) {
        self.cover.damage();
        if self.partition.index == 0 {
            self.facts(day(time.at_unix_ms)).rejected += 1;
        }
    }

    /// Each day.
    #[must_use]
    pub fn finish(mut self) -> BTreeMap<u32, FoldedTalk> {
        for mut life in std::mem::take(&mut self.lives).into_values() {
            let facts = self.days.entry(life.day).or_default();
            settle(&mut life, &mut facts.talk, &self.apps, &mut self.sources);
        }
        let day = |(day, facts)| (day, FoldedTalk { facts, sources: Vec::new() });
        let mut days: BTreeMap<u32, FoldedTalk> = self.days.into_iter().map(day).collect();
        for ((day, addr), connected) in self.sources {
            let day = days.get_mut(&day).expect("what a life did stands in the facts of its day");
            day.sources.push((addr, SourceFacts::of_connections(connected)));
        }
        for day in days.values_mut() {
            day.sources.sort_unstable_by_key(|(addr, _)| *addr);
        }
        days
    }

    fn facts(&mut self, day: u32) -> &mut TalkFacts {
        self.days.entry(day).or_default()
    }

    /// The owner may be evicted and the cgroup be gone when a later row is made; what an
    /// earlier one said of them still holds.
    fn app(&mut self, flow: &Flow<'_>, known: Option<u32>) -> u32 {
        let known = known.map(|number| &self.apps[number as usize]);
        let place = match (&flow.container, &flow.cgroup_path) {
            (Some(container), _) => format!("{}:{}", container.runtime, container.id),
            (None, Some(path)) => path.to_string(),
            (None, None) => known.map_or_else(String::new, |known| known.place.clone()),
        };
        let program = flow.owner.as_ref().map(program);
        let program = program.or_else(|| known.and_then(|known| known.program.clone()));
        let app = App { host: self.host.clone(), place, program };
        if let Some(number) = self.numbers.get(&app) {
            return *number;
        }
        let number =
            u32::try_from(self.apps.len()).expect("fewer applications than rows in memory");
        self.apps.push(app.clone());
        self.numbers.insert(app, number);
        number
    }
}

fn program(owner: &Owner<'_>) -> Program {
    Program {
        comm: owner.comm.to_string(),
        exe_device: owner.exe_device.0,
        exe_inode: owner.exe_inode,
        uid: owner.uid,
    }
}

fn peer(flow: &Flow<'_>, addr: SourceAddr) -> Peer {
    let port = match flow.direction {
        INCOMING => flow.local_port,
        _ => flow.remote_port.unwrap_or(0),
    };
    Peer { direction: flow.direction.0, protocol: flow.protocol.0, port, addr, name: name(flow) }
}

fn name(flow: &Flow<'_>) -> Option<Box<str>> {
    flow.name.as_deref().map(Box::from)
}

/// Books what a life did on its day, if anything.
fn settle(life: &mut Life, talk: &mut Talk, apps: &[App], sources: &mut Sources) {
    let connected = connected(&life.peer, life.now.steps, life.payload);
    let more = connected.since(std::mem::replace(&mut life.connected, connected));
    if !more.is_zero() {
        sources.entry((life.day, life.peer.addr)).or_default().join(more);
    }
    let (now, before) = (life.now, life.before);
    if life.is_counted && now == before {
        return;
    }
    let new = |bit: u32| u64::from(now.steps & bit != 0 && before.steps & bit == 0);
    let mut failed = BTreeMap::new();
    if new(step::FAILED) > 0 {
        failed.insert(life.error, 1);
    }
    let tally = Tally {
        connections: u64::from(!life.is_counted),
        established: new(step::ESTABLISHED),
        failed,
        packets_in: now.packets_in - before.packets_in,
        bytes_in: now.bytes_in - before.bytes_in,
        packets_out: now.packets_out - before.packets_out,
        bytes_out: now.bytes_out - before.bytes_out,
        retransmits: now.retransmits - before.retransmits,
        first_unix_ms: Some(life.born_unix_ms),
        last_unix_ms: Some(life.last_unix_ms),
    };
    talk.add(&apps[life.app as usize], life.peer.clone(), &tally);
    life.is_counted = true;
    life.before = now;
}

fn day(at_unix_ms: u64) -> u32 {
    u32::try_from(at_unix_ms / DAY_MS).unwrap_or(u32::MAX)
}

/// A moment of the boot clock by the wall clock of a sweep behind it.
pub(crate) const fn unix_ms(boot_ns: u64, time: SweepTime) -> u64 {
    let ago_ms = time.at_boot_ns.saturating_sub(boot_ns) / 1_000_000;
    time.at_unix_ms.saturating_sub(ago_ms)
}

/// In which of `of` shares a life is. Not by the socket alone: one of a server of UDP has as
/// many lives as clients.
pub(crate) fn share(flow: &Flow<'_>, of: u32) -> u32 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let addr = flow.remote_addr.map_or([0; 16], SourceAddr::to_bytes);
    let port = flow.remote_port.unwrap_or(0).to_le_bytes();
    let bytes = addr.into_iter().chain(port);
    let mut hash =
        bytes.fold(flow.socket, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    hash ^= hash >> 32;
    u32::try_from(hash % u64::from(of.max(1))).expect("less than a u32")
}
