// SPDX-License-Identifier: MIT OR Apache-2.0
//! The fold of one stream of a cgroup scope for a policy. Rows are cumulative: of each life of a
//! flow the last row counts, and it is one connection, on the day on which it began.
//!
//! Lives stay in memory until the end, because any full sweep may list them again; memory is
//! bounded by folding the stream once for each share of its lives.

use std::collections::{BTreeMap, HashMap};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::{Direction as Way, step};
use ibsr_proto::guard_abi::Direction;
use ibsr_proto::snapshot::Gap;
use ibsr_proto::snapshot::cgroup::{Behaviour, Flow, FlowLife, Header, Owner, Sweep};

use super::below::is_below;
use super::facts::{Counted, Facts, Pair, StreamFacts};
use super::rehearsal::{Compared, FlowId, Rehearsed};
use super::twin::{Ask, Fate, Subject, Twin, Why};
use crate::fold::horizon::{DAY_MS, Partition};
use crate::fold::id::StreamId;
use crate::fold::window::Stretch;
use crate::judge::cluster::cluster;
use crate::talk::counters::Counters;
use crate::talk::cover::{CoverFold, unite};
use crate::talk::facts::{App, Program, Tally};
use crate::talk::findings::Place;
use crate::talk::lives::{SweepTime, share, unix_ms};

const TCP: u16 = 6;

/// A life of a flow, by its newest row.
#[derive(Debug)]
struct Life {
    direction: u8,
    protocol: u16,
    addr: SourceAddr,
    remote_port: u16,
    local_port: u16,
    name: Option<Box<str>>,
    place: String,
    cgroup_id: u64,
    program: Option<Program>,
    error: u16,
    seq: u64,
    born_unix_ms: u64,
    last_unix_ms: u64,
    now: Counters,
}

/// Folds the rows of a stream, in the order of its sweeps.
#[derive(Debug)]
pub struct EgressFold<'a> {
    twin: &'a Twin,
    rehearsed: Option<&'a Rehearsed>,
    stream: StreamId,
    /// Path of the cgroup that is asked about, without slashes at its ends.
    scope: &'a str,
    /// That of the sensor.
    observed: String,
    partition: Partition,
    lives: HashMap<FlowLife, Option<Life>>,
    paths: HashMap<u64, String>,
    facts: StreamFacts,
    findings: crate::talk::findings::Findings,
    cover: CoverFold,
}

impl<'a> EgressFold<'a> {
    /// Of one stream, only lives of this share of all and of processes in `scope` or below it.
    #[must_use]
    pub fn new(
        (twin, rehearsed): (&'a Twin, Option<&'a Rehearsed>),
        stream: StreamId,
        scope: &'a str,
        partition: Partition,
    ) -> Self {
        Self {
            twin,
            rehearsed,
            stream,
            scope: scope.trim_matches('/'),
            observed: String::new(),
            partition,
            lives: HashMap::new(),
            paths: HashMap::new(),
            facts: StreamFacts::default(),
            findings: Default::default(),
            cover: CoverFold::default(),
        }
    }

    /// Begins a segment.
    pub fn begin(&mut self, header: &Header) {
        self.cover.begin(header);
        self.observed.clone_from(&header.cgroup_path);
        if self.partition.index == 0 {
            self.facts.cgroup.clone_from(&header.cgroup_path);
            self.facts.programs.insert(header.programs_sha256.clone());
            self.facts.evidence.insert(header.evidence.clone());
        }
        self.paths.insert(header.cgroup_id, header.cgroup_path.clone());
    }

    /// Takes a row of a flow, from the sweep that was made at `time`.
    pub fn flow(&mut self, flow: &Flow<'_>, time: SweepTime) {
        self.note_paths(flow);
        if share(flow, self.partition.of) != self.partition.index {
            return;
        }
        let life = FlowLife {
            socket: flow.socket,
            remote_addr: flow.remote_addr,
            remote_port: flow.remote_port,
            protocol: flow.protocol,
            holder: flow.holder,
            born_boot_ns: flow.born_boot_ns,
        };
        let is_new = !self.lives.contains_key(&life);
        let known = self.lives.entry(life).or_default();
        self.facts.flows_read += u64::from(is_new);
        // The socket's own row: nobody is at its other end.
        let (Some(addr), true) = (flow.remote_addr, flow.direction.0 != Way::Own as u8) else {
            return;
        };
        self.facts.rows += 1;
        if known.as_ref().is_some_and(|known| flow.seq <= known.seq) {
            return; // The same sweep in another file.
        }
        let now = Counters::of(flow);
        let is_true = known.as_ref().is_none_or(|known| now.is_from(&known.now));
        if !is_true || flow.born_boot_ns > time.at_boot_ns {
            self.facts.rejected += 1;
            return;
        }
        *known = Some(life_of(flow, addr, time, now, known.take()));
    }

    /// Ids of cgroups are the same in every row of a boot; the path may be gone in some.
    fn note_paths(&mut self, flow: &Flow<'_>) {
        let owner = flow.owner.as_ref();
        let own = flow.cgroup_path.as_ref().map(|path| (flow.cgroup_id, path));
        let of_owner = owner.and_then(|owner| Some((owner.cgroup_id, owner.cgroup_path.as_ref()?)));
        for (id, path) in own.into_iter().chain(of_owner).filter(|(id, _)| *id != 0) {
            self.paths.entry(id).or_insert_with(|| path.to_string());
        }
    }

    /// Takes what a sweep says of itself. Only the first share keeps it.
    pub fn sweep(&mut self, sweep: &Sweep, time: SweepTime) {
        if self.partition.index > 0 {
            return;
        }
        let seen = self.cover.sweep(sweep);
        let facts = &mut self.facts;
        facts.sweeps += 1;
        facts.violations += u64::from(!sweep.conserved);
        facts.days.insert(day(time.at_unix_ms));
        facts.cover.extend(seen);
        let at = time.at_boot_ns;
        let span = facts.span.get_or_insert(Stretch { from_ns: at, to_ns: at });
        let wall = facts.span_unix_ms.get_or_insert((time.at_unix_ms, time.at_unix_ms));
        if let Some(seen) = seen {
            span.from_ns = span.from_ns.min(seen.from_ns);
            wall.0 = wall.0.min(unix_ms(seen.from_ns, time));
        }
        span.to_ns = span.to_ns.max(at);
        wall.1 = wall.1.max(time.at_unix_ms);
        let totals = &sweep.totals;
        let tracked = totals.tracked_in.saturating_add(totals.tracked_out);
        // The remainder of the totals also holds what was on its way while they were read.
        let evicted = sweep.evicted.saturating_sub(sweep.during_read);
        facts.tracked_packets = facts.tracked_packets.max(tracked);
        facts.evicted_packets =
            facts.evicted_packets.max(evicted.saturating_add(totals.insert_failed));
        facts.other_packets = facts.other_packets.max(totals.icmp.saturating_add(totals.other_l4));
        facts.flows_made = facts.flows_made.max(totals.flows_inserted);
    }

    /// Takes a gap that the reader knows of.
    pub fn gap(&mut self, gap: &Gap) {
        self.cover.gap(Stretch { from_ns: gap.from_boot_ns, to_ns: gap.to_boot_ns });
    }

    /// Takes a row about a destination of an application. Only the first share keeps it.
    pub fn behaviour(&mut self, row: &Behaviour<'_>, time: SweepTime, at: (&str, u64)) {
        if self.partition.index == 0 {
            let place = Place { host: &self.stream.host, file: at.0, line: at.1 };
            self.findings.behaviour(row, time, place);
        }
    }

    /// Counts a row that cannot be read. Only the first share keeps it.
    pub fn reject(&mut self) {
        self.cover.damage();
        self.facts.rejected += u64::from(self.partition.index == 0);
    }

    /// What became of each flow, and what is known of the stream.
    #[must_use]
    pub fn finish(mut self) -> Facts {
        self.facts.cover = unite(std::mem::take(&mut self.facts.cover));
        let mut fates: HashMap<Subject, Fate> = HashMap::new();
        let mut pairs: BTreeMap<Pair, Counted> = BTreeMap::new();
        let mut compared = Compared::default();
        for (id, life) in std::mem::take(&mut self.lives) {
            let Some(life) = life else { continue };
            let cgroup = self.paths.get(&life.cgroup_id);
            let Some(is_known) = self.holds(cgroup) else { continue };
            let subject = subject(&life, cgroup.cloned());
            let flow = flow_id(&self.stream, &id, &life, &subject.asks);
            let fate = match (is_known, fates.get(&subject)) {
                (false, _) => Fate::Unjudged(Why::Cgroup),
                (true, Some(fate)) => *fate,
                (true, None) => self.twin.judge(&subject),
            };
            if let Some(rehearsed) = self.rehearsed {
                compared.flow(rehearsed, flow, fate);
            }
            if is_known {
                fates.insert(subject, fate);
            }
            let (pair, counted) = book(life, &self.stream.host, fate);
            pairs.entry(pair).or_default().join(&counted);
        }
        let streams = BTreeMap::from([(self.stream, self.facts)]);
        Facts { pairs, streams, findings: self.findings, compared }
    }

    /// Whether a process of that cgroup is asked about; none when it is not, `false` when nobody
    /// knows.
    fn holds(&self, cgroup: Option<&String>) -> Option<bool> {
        let is_all = self.scope == self.observed.trim_matches('/');
        let Some(path) = cgroup else { return Some(is_all) };
        // Who was moved out after it made its socket is still under the sensor, and the guard.
        (is_all || is_below(path, self.scope)).then_some(true)
    }
}

fn life_of(
    flow: &Flow<'_>,
    addr: SourceAddr,
    time: SweepTime,
    now: Counters,
    known: Option<Life>,
) -> Life {
    let owner = flow.owner.as_ref();
    let place = match (&flow.container, &flow.cgroup_path) {
        (Some(container), _) => format!("{}:{}", container.runtime, container.id),
        (None, Some(path)) => path.to_string(),
        (None, None) => known.as_ref().map_or_else(String::new, |known| known.place.clone()),
    };
    // The owner may be evicted when a later row is made; what an earlier one said still holds.
    let (program, cgroup_id) = match (owner, &known) {
        (Some(owner), _) => (Some(program(owner)), owner.cgroup_id),
        (None, Some(known)) => (known.program.clone(), known.cgroup_id),
        (None, None) => (None, flow.cgroup_id),
    };
    let name = flow.name.as_deref().map(Box::from);
    let born_unix_ms =
        known.as_ref().map_or_else(|| unix_ms(flow.born_boot_ns, time), |known| known.born_unix_ms);
    Life {
        direction: flow.direction.0,
        protocol: flow.protocol.0,
        addr,
        remote_port: flow.remote_port.unwrap_or(0),
        local_port: flow.local_port,
        name: name.or_else(|| known.and_then(|known| known.name)),
        place,
        cgroup_id,
        program,
        error: flow.error.0,
        seq: flow.seq,
        born_unix_ms,
        last_unix_ms: unix_ms(flow.last_boot_ns, time),
        now,
    }
}

fn flow_id<'a>(stream: &'a StreamId, id: &FlowLife, life: &Life, asks: &'a [Ask]) -> FlowId<'a> {
    FlowId {
        boot_id: &stream.boot_id,
        socket: id.socket,
        addr: life.addr,
        protocol: life.protocol,
        born_boot_ns: id.born_boot_ns,
        asks,
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

/// What the guard would have been asked about a life.
fn subject(life: &Life, cgroup: Option<String>) -> Subject {
    let (asks, is_either) = asks(life);
    Subject {
        addr: life.addr,
        protocol: u8::try_from(life.protocol).unwrap_or(u8::MAX),
        name: life.name.clone(),
        exe: life.program.as_ref().map(|program| (program.exe_device, program.exe_inode)),
        uid: life.program.as_ref().map(|program| program.uid),
        cgroup,
        asks,
        is_either,
        is_older: life.protocol == TCP && life.direction == Way::Unknown as u8,
    }
}

/// The questions, and whether only one of them is the right one. As `guard/packet.bpf.h` asks: a
/// socket with one peer once, in the direction in which it was opened; any other for what it
/// sends to that peer and for what it gets from it.
fn asks(life: &Life) -> (Vec<Ask>, bool) {
    let out = Ask { direction: Direction::Out, port: life.remote_port };
    let come = Ask { direction: Direction::In, port: life.local_port };
    let has = |bit: u32| life.now.steps & bit != 0;
    if life.direction == Way::Unknown as u8 {
        return (vec![out, come], true);
    }
    let is_incoming = life.direction == Way::Incoming as u8;
    if life.protocol == TCP {
        return (vec![if is_incoming { come } else { out }], false);
    }
    if has(step::CONNECTED) {
        return (vec![out], false);
    }
    let (sends, gets) = (life.now.packets_out > 0, life.now.packets_in > 0);
    // Binding a port does not open the way out; what comes to it is no answer.
    let answer = if has(step::BOUND) { come } else { out };
    let asks = match (sends, gets) {
        (true, true) => vec![out, answer],
        (true, false) => vec![out],
        (false, true) => vec![answer],
        (false, false) if is_incoming => vec![answer],
        (false, false) => vec![out],
    };
    (asks, false)
}

/// A life as a pair with its counts.
fn book(life: Life, host: &str, fate: Fate) -> (Pair, Counted) {
    let is_incoming = life.direction == Way::Incoming as u8;
    let has = |bit: u32| life.now.steps & bit != 0;
    let is_both_ways = life.now.packets_in > 0 && life.now.packets_out > 0;
    let is_older = life.direction == Way::Unknown as u8;
    let is_completed = match life.protocol {
        TCP => has(step::ESTABLISHED) || (is_older && is_both_ways),
        _ => is_both_ways,
    };
    let completed = u64::from(is_completed);
    let failed = has(step::FAILED).then_some((life.error, 1));
    let tally = Tally {
        connections: 1,
        established: u64::from(has(step::ESTABLISHED)),
        failed: failed.into_iter().collect(),
        packets_in: life.now.packets_in,
        bytes_in: life.now.bytes_in,
        packets_out: life.now.packets_out,
        bytes_out: life.now.bytes_out,
        retransmits: life.now.retransmits,
        first_unix_ms: Some(life.born_unix_ms),
        last_unix_ms: Some(life.last_unix_ms),
    };
    let days = BTreeMap::from([(day(life.born_unix_ms), (1, completed))]);
    let pair = Pair {
        app: App { host: host.to_owned(), place: life.place, program: life.program },
        direction: life.direction,
        protocol: life.protocol,
        port: if is_incoming { life.local_port } else { life.remote_port },
        addr: if is_incoming { cluster(life.addr).network().into() } else { life.addr },
        name: life.name,
        fate,
    };
    (pair, Counted { tally, completed, days })
}

fn day(at_unix_ms: u64) -> u32 {
    u32::try_from(at_unix_ms / DAY_MS).unwrap_or(u32::MAX)
}
