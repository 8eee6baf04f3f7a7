// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass over the maps of a cgroup: totals, every flow with its owner and the paths of
//! their cgroups, totals again. Rows go out one by one and borrow what they say, so a table of
//! any size needs no memory here beyond two bounded caches.

use std::borrow::Cow;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::{COMM_BYTES, Flow, FlowKey, Owner};
use ibsr_proto::snapshot::cgroup::words::{
    Device, Direction, ErrorName, Family, Hex, Learned, Protocol, Steps, TcpState,
};
use ibsr_proto::snapshot::cgroup::{
    self, BehaviourTotals, DnsTotals, LawError, RowRef, Sweep, Totals,
};
use libbpf_rs::MapCore as _;
use zerocopy::FromBytes as _;

use super::known::Known;
use super::paths::{Paths, Place};
use super::pinned::Pinned;
use super::tables;
use crate::batch::Walker;
use crate::clock::boot_ns;
use crate::pin::PinError;
use crate::sweep::{Plan, SweepError};

/// Most bytes that one packet can add: an IPv6 header and what its length can say.
const MAX_PACKET_BYTES: u64 = 65_535 + 40;

/// What was counted over all entries, listed or not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    rows: u64,
    entries: u64,
    attributed: u64,
    attributed_bytes: u64,
    owners_missing: u64,
    paths_missing: u64,
    names_missing: u64,
}

impl Tally {
    /// Takes one entry; whether the plan lists it.
    fn take(&mut self, plan: &Plan, flow: &Flow) -> bool {
        self.entries += 1;
        let (packets, bytes) = (flow.packets_in + flow.packets_out, flow.bytes_in + flow.bytes_out);
        self.attributed = self.attributed.saturating_add(packets);
        self.attributed_bytes = self.attributed_bytes.saturating_add(bytes);
        let is_listed = plan.lists(flow.last_boot_ns);
        self.rows += u64::from(is_listed);
        is_listed
    }
}

/// What one pass over the maps found.
#[derive(Debug, Clone)]
pub struct Reading {
    tally: Tally,
    before: Totals,
    /// Totals, read after the flows.
    pub after: Totals,
    dns: DnsTotals,
    behaviour: BehaviourTotals,
    behaviour_evicted: u64,
    zone_evicted: u64,
    zones_missing: u64,
    in_flight: u64,
    max_entries: u64,
    took_us: u64,
}

/// What is remembered from row to row.
#[derive(Debug)]
pub struct Memory {
    /// Owners.
    pub owners: Known<Owner>,
    /// Texts of names.
    pub names: Known<String>,
    /// Texts of zones.
    pub zones: Known<String>,
    /// Paths of cgroups.
    pub paths: Paths,
}

/// Reads the maps once and calls `each` with every row that `plan` lists.
///
/// # Errors
/// [`SweepError`]: the rows until then are not a sweep and must be discarded.
pub fn read(
    pinned: &Pinned,
    walker: &mut Walker,
    memory: &mut Memory,
    plan: &Plan,
    mut each: impl FnMut(RowRef<'_>),
) -> Result<Reading, SweepError> {
    let start = boot_ns();
    let (before, _) = pinned.totals()?;
    memory.paths.begin_sweep();
    let mut tally = Tally::default();
    let mut failed = None;
    walker.walk(&pinned.flows, |key, value| {
        let key = FlowKey::read_from_bytes(key).expect("the key size was checked");
        let flow = Flow::read_from_bytes(value).expect("the value size was checked");
        if tally.take(plan, &flow)
            && let Err(error) = list(pinned, memory, &mut tally, plan.seq, &key, &flow, &mut each)
        {
            failed = Some(error);
        }
    })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    // After the flows: the programs count a packet in the totals first, so these can only be
    // ahead of the flows, never behind.
    let (after, in_flight) = pinned.totals()?;
    let names = tables::names(pinned, walker, &mut memory.names, plan, &mut each)?;
    tally.names_missing += names.missing;
    let behaviours = tables::behaviours(pinned, walker, &mut memory.names, plan, &mut each)?;
    let apps = tables::apps(pinned, walker, plan, &mut each)?;
    let zones = tables::zones(pinned, walker, &mut memory.zones, plan, &mut each)?;
    tally.rows += names.rows + behaviours.rows + apps + zones.rows;
    let behaviour = pinned.behaviour()?;
    Ok(Reading {
        tally,
        before,
        after,
        dns: pinned.dns()?,
        behaviour,
        behaviour_evicted: behaviours.evicted(&behaviour),
        zone_evicted: zones.evicted(&behaviour),
        zones_missing: zones.missing,
        in_flight,
        max_entries: u64::from(pinned.flows.max_entries()),
        took_us: boot_ns().saturating_sub(start) / 1_000,
    })
}

fn list(
    pinned: &Pinned,
    memory: &mut Memory,
    tally: &mut Tally,
    seq: u64,
    key: &FlowKey,
    flow: &Flow,
    each: &mut impl FnMut(RowRef<'_>),
) -> Result<(), PinError> {
    let owner = match flow.owner {
        0 => None,
        owner => memory.owners.get(&pinned.owners, owner)?,
    };
    let mut row = flow_row(seq, key, flow);
    // Both lookups may walk; the second must not outdate what the first returned.
    let other = owner.filter(|owner| owner.cgroup_id != flow.cgroup_id);
    if let Some(owner) = other {
        let _known_now = memory.paths.get(owner.cgroup_id, owner.met_boot_ns);
    }
    let _known_now = memory.paths.get(flow.cgroup_id, flow.born_boot_ns);
    let place = memory.paths.known(flow.cgroup_id);
    row.cgroup_path = place.map(|place| Cow::Borrowed(&*place.path));
    row.container = place.and_then(Place::container);
    row.owner = owner.map(owner_of);
    if let (Some(owner), Some(of_row)) = (other, &mut row.owner) {
        let place = memory.paths.known(owner.cgroup_id);
        of_row.cgroup_path = place.map(|place| Cow::Borrowed(&*place.path));
    }
    if flow.name != 0 {
        row.name = memory.names.get(&pinned.name_texts, flow.name)?.map(|it| Cow::Borrowed(&**it));
        tally.names_missing += u64::from(row.name.is_none());
    }
    tally.owners_missing += u64::from(row.owner_key.is_some() && row.owner.is_none());
    tally.paths_missing += u64::from(flow.cgroup_id != 0 && row.cgroup_path.is_none());
    each(RowRef::Flow(&row));
    Ok(())
}

/// The row without what stands in other tables.
fn flow_row(seq: u64, key: &FlowKey, flow: &Flow) -> cgroup::Flow<'static> {
    let is_set = |addr: [u8; 16]| addr != [0; 16];
    let has_peer = is_set(key.remote_addr) || key.remote_port != 0;
    let local_addr = is_set(flow.local_addr).then(|| SourceAddr::from_bytes(flow.local_addr));
    cgroup::Flow {
        seq,
        socket: key.socket,
        direction: Direction(flow.direction),
        protocol: Protocol(key.protocol),
        family: Family(flow.family),
        local_addr,
        local_port: flow.local_port,
        remote_addr: has_peer.then(|| SourceAddr::from_bytes(key.remote_addr)),
        remote_port: has_peer.then_some(key.remote_port),
        name: None,
        holder: key.holder,
        steps: Steps(flow.steps),
        tcp_state: TcpState(flow.tcp_state),
        error: ErrorName(flow.error),
        packets_in: flow.packets_in,
        bytes_in: flow.bytes_in,
        packets_out: flow.packets_out,
        bytes_out: flow.bytes_out,
        retransmits: flow.retransmits,
        born_boot_ns: flow.born_boot_ns,
        last_boot_ns: flow.last_boot_ns,
        connect_boot_ns: flow.connect_boot_ns,
        established_boot_ns: flow.established_boot_ns,
        closed_boot_ns: flow.closed_boot_ns,
        netns_cookie: flow.netns_cookie,
        cgroup_id: flow.cgroup_id,
        cgroup_path: None,
        container: None,
        learned: Learned(flow.learned),
        owner_key: (flow.owner != 0).then_some(Hex(flow.owner)),
        owner: None,
    }
}

/// The owner without the path of its cgroup.
fn owner_of(owner: &Owner) -> cgroup::Owner<'_> {
    cgroup::Owner {
        tgid: owner.tgid,
        comm: text(&owner.comm),
        uid: owner.uid,
        euid: owner.euid,
        capabilities: Hex(owner.capabilities),
        start_boot_ns: owner.start_boot_ns,
        met_boot_ns: owner.met_boot_ns,
        exe_inode: owner.exe_inode,
        exe_device: Device(owner.exe_device),
        exec_id: owner.exec_id,
        cgroup_id: owner.cgroup_id,
        cgroup_path: None,
        parent_tgid: owner.parent_tgid,
        parent_comm: text(&owner.parent_comm),
        parent_start_boot_ns: owner.parent_start_boot_ns,
    }
}

/// A name without its padding. Only one that is not UTF-8 needs memory.
fn text(comm: &[u8; COMM_BYTES]) -> Cow<'_, str> {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(COMM_BYTES);
    String::from_utf8_lossy(&comm[..end])
}

/// What is missing, and the law where more than `slack` is missing below zero: what was being
/// counted while the totals were read.
fn remainder(evicted: Result<u64, LawError>, slack: u64) -> (u64, Option<LawError>) {
    match evicted {
        Ok(evicted) => (evicted, None),
        Err(law) if law.accounted - law.tracked <= slack => (0, None),
        Err(law) => (0, Some(law)),
    }
}

impl Reading {
    /// The row that closes the sweep, and how the law is broken if it is.
    #[must_use]
    pub fn close(&self, plan: &Plan, attached: bool) -> (Sweep, Option<LawError>) {
        let Self { tally, before, after, dns, behaviour, behaviour_evicted, .. } = *self;
        let Self { zone_evicted, zones_missing, in_flight, max_entries, took_us, .. } = *self;
        let (evicted, broken) = remainder(after.evicted(tally.attributed), in_flight);
        let bytes_in_flight = in_flight.saturating_mul(MAX_PACKET_BYTES);
        let (evicted_bytes, broken_bytes) =
            remainder(after.evicted_bytes(tally.attributed_bytes), bytes_in_flight);
        let broken = broken.or(broken_bytes);
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
            attributed_bytes: tally.attributed_bytes,
            evicted,
            evicted_bytes,
            during_read: after.tracked().saturating_sub(before.tracked()),
            conserved: broken.is_none(),
            owners_missing: tally.owners_missing,
            paths_missing: tally.paths_missing,
            names_missing: tally.names_missing,
            behaviour_evicted,
            zone_evicted,
            zones_missing,
            totals: after,
            dns,
            behaviour,
            attached,
            read_us: took_us,
        };
        (sweep, broken)
    }
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
