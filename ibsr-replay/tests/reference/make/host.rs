// SPDX-License-Identifier: MIT OR Apache-2.0
//! One host: a table that counts and forgets, and a reader that sweeps it.

use std::collections::BTreeMap;

use ibsr_proto::abi::TICK_BOUND_NS;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Gap, Header, Row, SCHEMA, Source, Sweep};

use super::traffic::{Habit, Sent};
use super::{MS_NS, Rng, Scale, Stream, faults};

const S_NS: u64 = 1_000_000_000;
/// 2026-01-15, so that the midnight before and behind it are ordinary ones.
const MIDNIGHT_UNIX_MS: u64 = 1_768_435_200_000;
/// Whatever a sweep says, it may be late up to this.
const LATEST_PERIODS: u64 = 6;

/// A sweep with its rows, and gap rows in front of it.
#[derive(Debug, Clone)]
pub struct Record {
    /// In front.
    pub gaps: Vec<Gap>,
    /// Listed.
    pub rows: Vec<Source>,
    /// Closes it.
    pub sweep: Sweep,
}

/// The kernel's table and clocks.
struct Host<'a> {
    rng: &'a mut Rng,
    scale: Scale,
    table: BTreeMap<(SourceAddr, u16), Source>,
    boot_ns: u64,
    /// Wall clock when the host was booted.
    boot_unix_ms: u64,
    seq: u64,
}

/// A stream of these sources, with some of what can happen to one.
pub fn stream(rng: &mut Rng, number: u64, scale: Scale, sources: &[Habit]) -> Stream {
    let is_fresh = rng.chance(50);
    let attached_boot_ns = rng.between(10 * S_NS, 100_000 * S_NS);
    let unseen_ns = if is_fresh {
        scale.period_ns * rng.between(1, 5) / 2
    } else {
        rng.between(scale.period_ns, 20_000 * S_NS)
    };
    let boot_ns = attached_boot_ns + unseen_ns;
    // Most recordings have a midnight in them.
    let length_ms = scale.sweeps * scale.period_ns / MS_NS;
    let before_ms = length_ms * rng.between(0, 120) / 100;
    let mut host = Host {
        boot_unix_ms: MIDNIGHT_UNIX_MS - before_ms - boot_ns / MS_NS,
        rng,
        scale,
        table: BTreeMap::new(),
        boot_ns: attached_boot_ns,
        seq: if is_fresh { 1 } else { 500 },
    };
    host.run_until(boot_ns, sources);
    let mut records = vec![host.sweep(if is_fresh { 0 } else { boot_ns - scale.period_ns })];
    for _ in 1..scale.sweeps {
        records.push(host.next(sources));
    }
    faults::injure(rng, &scale, &mut records);
    segments(rng, number, &scale, attached_boot_ns, records)
}

impl Host<'_> {
    fn next(&mut self, sources: &[Habit]) -> Record {
        let before_ns = self.boot_ns;
        let to_ns = before_ns + self.step_ns();
        self.run_until(to_ns, sources);
        if self.rng.chance(1) {
            // The wall clock is set.
            self.boot_unix_ms = self.boot_unix_ms + self.rng.between(0, 7_200_000) - 3_600_000;
        }
        let since_ns = if self.rng.chance(7) { 0 } else { before_ns };
        self.sweep(since_ns)
    }

    fn step_ns(&mut self) -> u64 {
        let Scale { window_ns, period_ns, period_ms, .. } = self.scale;
        let to_edge_ns = window_ns - self.boot_ns % window_ns;
        match self.rng.between(0, 99) {
            0..=9 => to_edge_ns,
            10..=12 => period_ns * self.rng.between(2, LATEST_PERIODS),
            13 => 3 * (if period_ms == 0 { window_ns } else { period_ms * MS_NS }),
            14 => to_edge_ns + window_ns * self.rng.between(0, 3) + self.rng.between(0, 1),
            15 => self.rng.between(1, 2 * TICK_BOUND_NS),
            16..=50 => period_ns,
            _ => {
                period_ns - self.rng.between(0, period_ns / 10)
                    + self.rng.between(0, period_ns / 10)
            }
        }
    }

    fn run_until(&mut self, to_ns: u64, sources: &[Habit]) {
        let from_ns = self.boot_ns;
        for habit in sources {
            for port in &habit.ports {
                let key = (habit.src, *port);
                if self.rng.chance(4) {
                    self.table.remove(&key);
                }
                if let Some(sent) = habit.send(self.rng, to_ns - from_ns) {
                    self.count(key, sent, from_ns, to_ns);
                }
            }
        }
        self.boot_ns = to_ns;
        self.seq += 1;
    }

    fn count(&mut self, key: (SourceAddr, u16), sent: Sent, from_ns: u64, to_ns: u64) {
        let at_ns = self.rng.between(from_ns + 1, to_ns);
        let is_new = !self.table.contains_key(&key);
        let born_boot_ns = match self.rng.between(0, 19) {
            // While the sweep before was still being read, or while this one is.
            0 => from_ns.saturating_sub(self.rng.between(0, 3 * TICK_BOUND_NS / 2)).max(1),
            1 => to_ns + self.rng.between(0, TICK_BOUND_NS),
            _ => at_ns,
        };
        let entry = self.table.entry(key).or_insert_with(|| Source { born_boot_ns, ..empty(key) });
        entry.syn += sent.syn;
        entry.ack += sent.ack;
        entry.handshakes += sent.handshakes;
        entry.fin += sent.fin;
        entry.rst += sent.rst;
        entry.packets += sent.packets;
        entry.bytes += sent.bytes;
        entry.last_boot_ns = if is_new { at_ns.max(born_boot_ns) } else { at_ns };
    }

    fn sweep(&mut self, since_boot_ns: u64) -> Record {
        let rows: Vec<Source> = self
            .table
            .values()
            .filter(|row| row.last_boot_ns + TICK_BOUND_NS >= since_boot_ns)
            .map(|row| Source { seq: self.seq, ..*row })
            .collect();
        let jitter_ms = self.rng.between(0, 3);
        let sweep = Sweep {
            seq: self.seq,
            merged_from_seq: None,
            since_boot_ns,
            at_boot_ns: self.boot_ns,
            at_unix_ms: self.boot_unix_ms + self.boot_ns / MS_NS + jitter_ms,
            rows: rows.len() as u64,
            entries: self.table.len() as u64,
            max_entries: 1000,
            attributed: self.table.values().map(|row| row.packets).sum(),
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: Totals::default(),
            losses: Vec::new(),
            rx_packets: None,
            attached: true,
            read_us: 1,
        };
        Record { gaps: Vec::new(), rows, sweep }
    }
}

fn empty((src, dst_port): (SourceAddr, u16)) -> Source {
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
        born_boot_ns: 0,
        last_boot_ns: 0,
    }
}

/// Cuts a recording into segments; a reader that came back may have another period.
fn segments(
    rng: &mut Rng,
    number: u64,
    scale: &Scale,
    attached_boot_ns: u64,
    records: Vec<Record>,
) -> Stream {
    let mut header = header(number, scale.period_ms, attached_boot_ns);
    let mut segments = vec![(header.clone(), Vec::new())];
    for record in records {
        if rng.chance(4) {
            if rng.chance(10) {
                header.period_ms = scale.period_ms / 2;
            }
            segments.push((header.clone(), Vec::new()));
        }
        let (_, rows) = segments.last_mut().expect("the first one is there");
        rows.extend(record.gaps.into_iter().map(Row::Gap));
        rows.extend(record.rows.into_iter().map(Row::Source));
        rows.push(Row::Sweep(Box::new(record.sweep)));
    }
    Stream { segments }
}

fn header(number: u64, period_ms: u64, attached_boot_ns: u64) -> Header {
    Header {
        schema: SCHEMA.to_owned(),
        tool: "reference".to_owned(),
        host: format!("host-{number}"),
        boot_id: "5b1e6c0e-0000-4000-8000-000000000000".to_owned(),
        scope: "xdp-eth0".to_owned(),
        ifname: "eth0".to_owned(),
        ifindex: 2,
        epoch: format!("{number:016x}"),
        attached_boot_ns,
        program_sha256: "0".repeat(64),
        evidence: "exclusive".to_owned(),
        xdp_mode: "native".to_owned(),
        period_ms,
        max_sources: 1000,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: Vec::new(),
        dst_port_ranges: Vec::new(),
    }
}
