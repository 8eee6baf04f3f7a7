// SPDX-License-Identifier: MIT OR Apache-2.0
//! The flow-level recording: what the reader would have written, one sweep at a time. The
//! table never evicts, so every packet is attributed and the conservation law is exact.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Header, SCHEMA, Source, Sweep};

use super::actor::MS;
use super::flow::Over;
use super::random::Random;
use super::schedule::{Running, Schedule};
use super::spec::{SiteSpec, SpecError};

/// Capacity that headers claim: more than any site fills.
const MAX_SOURCES: u32 = 1 << 26;
/// A host that was up for an hour and a bit, so that windows of the boot clock do not begin
/// where sweeps do.
const UPTIME_NS: u64 = 3_600_000 * MS;
/// Digest that no program has: nobody can take the recording for an observation.
const NO_PROGRAM: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A sweep with the rows that stand above it.
#[derive(Debug)]
pub struct Swept<'a> {
    /// Rows, in the order in which the sources came.
    pub sources: &'a [Source],
    /// The row that closes them.
    pub close: Sweep,
    /// Whether it is the first one of its header.
    pub is_first: bool,
}

/// The recording of a site, sweep by sweep. Memory is proportional to the sources since the
/// last attach; nothing else grows.
#[derive(Debug)]
pub struct Sweeps {
    schedule: Schedule,
    table: Table,
    rows: Vec<Source>,
    header: Header,
    uptime_ns: u64,
}

#[derive(Debug, Default)]
struct Table {
    /// Start of the set of maps.
    epoch_ns: u64,
    index: HashMap<(SourceAddr, u16), u32, FixedState>,
    entries: Vec<Source>,
    /// Entries that this sweep lists, and for each entry whether it is among them.
    changed: Vec<u32>,
    is_changed: Vec<bool>,
    totals: Totals,
}

impl Sweeps {
    /// Before the first sweep.
    ///
    /// # Errors
    /// [`SpecError`]: there is no such site.
    pub fn new(spec: SiteSpec) -> Result<Self, SpecError> {
        let schedule = Schedule::new(spec)?;
        let spec = schedule.spec();
        let phase_ns = Random::of(spec.seed, &[0xb0]).below(spec.period_ms * MS);
        let uptime_ns = UPTIME_NS + phase_ns;
        let header = header(spec, 0, uptime_ns);
        let (table, rows) = (Table::default(), Vec::new());
        Ok(Self { schedule, table, rows, header, uptime_ns })
    }

    /// What the site is made of.
    #[must_use]
    pub const fn spec(&self) -> &SiteSpec {
        self.schedule.spec()
    }

    /// First line of the segments that hold the sweep that was returned last.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The next sweep, until the site's days are over.
    pub fn next_sweep(&mut self) -> Option<Swept<'_>> {
        self.next_with_header().map(|(_, swept)| swept)
    }

    /// The next sweep and the header of its segment.
    pub fn next_with_header(&mut self) -> Option<(&Header, Swept<'_>)> {
        let Self { schedule, table, rows, .. } = self;
        let uptime_ns = self.uptime_ns;
        let (slot, over) = schedule.advance(|running, over| {
            table.enter(over.epoch_ns);
            table.count(running, over);
        })?;
        table.enter(over.epoch_ns);
        let epoch = schedule.epoch_of(slot);
        let in_epoch = slot - schedule.first_slot_of(epoch);
        let spec = schedule.spec();
        if in_epoch == 0 {
            self.header = header(spec, epoch, uptime_ns + over.from_ns);
        }
        let is_full = in_epoch.is_multiple_of(spec.full_every);
        table.noise(Random::of(spec.seed, &[slot, 0x01]).below(20));
        table.list(slot, is_full, uptime_ns, rows);
        let since_boot_ns = if is_full { 0 } else { uptime_ns + over.from_ns };
        let at_unix_ms = spec.start_unix_ms + over.to_ns / MS;
        let at_boot_ns = uptime_ns + over.to_ns;
        let close = Sweep { since_boot_ns, at_boot_ns, at_unix_ms, ..table.close(slot, rows) };
        Some((&self.header, Swept { sources: rows, close, is_first: in_epoch == 0 }))
    }
}

impl Table {
    /// A new set of maps is empty.
    fn enter(&mut self, epoch_ns: u64) {
        if self.epoch_ns != epoch_ns {
            *self = Self { epoch_ns, ..Self::default() };
        }
    }

    fn count(&mut self, running: &mut Running, over: Over) {
        let Running { flow, entry } = running;
        flow.by_port(over, |port, connections| {
            let is_first = port == flow.dst_port;
            let known = entry.filter(|(epoch_ns, _)| is_first && *epoch_ns == self.epoch_ns);
            let known = known.map(|(_, index)| index);
            let known = known.or_else(|| self.index.get(&(flow.src, port)).copied());
            let mut row =
                known.map_or_else(|| empty(flow.src, port), |index| self.entries[index as usize]);
            let (packets, bytes) = (row.packets, row.bytes);
            flow.count_into(&mut row, over, connections);
            if row.packets == packets {
                return;
            }
            self.totals.tracked += row.packets - packets;
            self.totals.tracked_bytes += row.bytes - bytes;
            let index = known.unwrap_or_else(|| self.insert(row));
            self.entries[index as usize] = row;
            if !std::mem::replace(&mut self.is_changed[index as usize], true) {
                self.changed.push(index);
            }
            if is_first {
                *entry = Some((self.epoch_ns, index));
            }
        });
    }

    fn insert(&mut self, row: Source) -> u32 {
        let index = u32::try_from(self.entries.len()).expect("fewer entries than 32-bit indices");
        self.index.insert((row.src, row.dst_port), index);
        self.entries.push(row);
        self.is_changed.push(false);
        self.totals.inserted += 1;
        index
    }

    /// Frames that are no TCP: ARP, DNS.
    const fn noise(&mut self, frames: u64) {
        self.totals.non_ip += frames / 4;
        self.totals.other_l4 += frames - frames / 4;
    }

    /// Fills `rows` with what the sweep lists, and forgets what changed.
    fn list(&mut self, seq: u64, is_full: bool, uptime_ns: u64, rows: &mut Vec<Source>) {
        rows.clear();
        let listed = |row: &Source| Source {
            seq,
            born_boot_ns: uptime_ns + row.born_boot_ns,
            last_boot_ns: uptime_ns + row.last_boot_ns,
            ..*row
        };
        for index in self.changed.drain(..) {
            self.is_changed[index as usize] = false;
            if !is_full {
                rows.push(listed(&self.entries[index as usize]));
            }
        }
        if is_full {
            rows.extend(self.entries.iter().map(listed));
        }
    }

    fn close(&mut self, seq: u64, rows: &[Source]) -> Sweep {
        let totals = &mut self.totals;
        totals.passed = totals.classes();
        totals.received = totals.passed;
        Sweep {
            seq,
            merged_from_seq: None,
            since_boot_ns: 0,
            at_boot_ns: 0,
            at_unix_ms: 0,
            rows: rows.len() as u64,
            entries: self.entries.len() as u64,
            max_entries: u64::from(MAX_SOURCES),
            attributed: totals.tracked,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: *totals,
            losses: Vec::new(),
            rx_packets: Some(totals.received),
            attached: true,
            read_us: 500,
        }
    }
}

pub(super) const fn empty(src: SourceAddr, dst_port: u16) -> Source {
    Source {
        seq: 0,
        src,
        dst_port,
        syn: 0,
        ack: 0,
        handshakes: 0,
        fin: 0,
        rst: 0,
        packets: 0,
        bytes: 0,
        proven: None,
        born_boot_ns: u64::MAX,
        last_boot_ns: 0,
    }
}

fn header(spec: &SiteSpec, epoch: u64, attached_boot_ns: u64) -> Header {
    let mut random = Random::of(spec.seed, &[0xe0]);
    let [a, b] = [random.next_u64(), random.next_u64()];
    let epoch = Random::of(spec.seed, &[0xe1, epoch]).next_u64();
    Header {
        schema: SCHEMA.to_owned(),
        tool: concat!("ibsr-report simulate ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: "simulated".to_owned(),
        boot_id: format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        ),
        scope: "xdp-sim0".to_owned(),
        ifname: "sim0".to_owned(),
        ifindex: 2,
        epoch: format!("{epoch:016x}"),
        attached_boot_ns,
        program_sha256: NO_PROGRAM.to_owned(),
        evidence: "simulated".to_owned(),
        xdp_mode: "native".to_owned(),
        period_ms: spec.period_ms,
        max_sources: MAX_SOURCES,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: Vec::new(),
        dst_port_ranges: Vec::new(),
    }
}
