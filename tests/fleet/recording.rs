// SPDX-License-Identifier: MIT OR Apache-2.0
//! A recording of days: cumulative counters of a host with ordinary clients, a flood, a scan,
//! an RST storm and a client behind a slow line, from a seed. As the reader seals it and as
//! the exporter lays it out; segments cross midnights as they do there.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Header, RowRef, Source, Sweep};
use ibsr_tests::segments::{Random, SegmentSpec, seal};
use jiff::Timestamp;

const NS_PER_MS: u64 = 1_000_000;

/// What is recorded of one scope.
#[derive(Debug, Clone)]
pub struct Recording {
    /// Host label.
    pub host: &'static str,
    /// Scope.
    pub scope: &'static str,
    /// First eight digits of the boot id.
    pub boot8: &'static str,
    /// Number of the first sweep.
    pub first_seq: u64,
    /// Wall clock at the start of the first interval.
    pub start_unix_ms: u64,
    /// Boot clock at the same moment.
    pub start_boot_ns: u64,
    /// Time between sweeps.
    pub period_ms: u64,
    /// Sweeps in all.
    pub sweeps: u64,
    /// Sweeps in a segment.
    pub per_segment: u64,
    /// Sweeps after which the reader stood still for a while, so that the next one is full.
    pub restarts: Vec<u64>,
    /// Seed of everything that varies.
    pub seed: u64,
}

/// One packet count of a source in a period.
#[derive(Debug, Clone, Copy, Default)]
struct Talk {
    syn: u64,
    ack: u64,
    handshakes: u64,
    fin: u64,
    rst: u64,
}

impl Talk {
    /// A client that opens `count` connections and says something on each.
    fn clients(count: u64, random: &mut Random) -> Self {
        let ack = count * (3 + random.below(12));
        Self { syn: count + random.below(2), ack, handshakes: count, fin: count, rst: 0 }
    }

    fn packets(self) -> u64 {
        self.syn + self.ack + self.rst
    }
}

/// The table and its totals between two sweeps.
struct Table {
    now_ns: u64,
    entries: BTreeMap<(SourceAddr, u16), Source>,
    totals: Totals,
}

impl Table {
    fn talk(&mut self, address: [u8; 4], port: u16, talk: Talk, random: &mut Random) {
        let src = SourceAddr::from(IpAddr::from(address));
        let now_ns = self.now_ns;
        let bytes = talk.packets() * (60 + random.below(900));
        let totals = &mut self.totals;
        let source = self.entries.entry((src, port)).or_insert_with(|| {
            totals.inserted += 1;
            empty(src, port, now_ns)
        });
        source.last_boot_ns = now_ns;
        source.syn += talk.syn;
        source.ack += talk.ack;
        source.handshakes += talk.handshakes;
        source.fin += talk.fin;
        source.rst += talk.rst;
        source.packets += talk.packets();
        source.bytes += bytes;
        totals.received += talk.packets();
        totals.passed += talk.packets();
        totals.tracked += talk.packets();
        totals.tracked_bytes += bytes;
    }
}

fn empty(src: SourceAddr, dst_port: u16, now_ns: u64) -> Source {
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
        born_boot_ns: now_ns,
        last_boot_ns: now_ns,
    }
}

impl Recording {
    /// Writes every segment below `root` as the exporter lays it out; the files in order.
    pub fn write_bucket(&self, root: &Path) -> Vec<PathBuf> {
        let mut random = Random(self.seed);
        let mut table = Table {
            now_ns: self.start_boot_ns,
            entries: BTreeMap::new(),
            totals: Totals::default(),
        };
        let mut paths = Vec::new();
        let mut since_ns = 0;
        for first in (0..self.sweeps).step_by(self.per_segment as usize) {
            let mut rows = Vec::new();
            RowRef::Header(&self.header()).write_to(&mut rows);
            let last = (first + self.per_segment).min(self.sweeps);
            for number in first..last {
                if self.restarts.contains(&number) {
                    since_ns = 0;
                }
                since_ns = self.sweep(number, since_ns, &mut table, &mut random, &mut rows);
            }
            paths.push(self.write(root, first, last - 1, &seal(rows)));
        }
        paths
    }

    /// One period: the actors talk, the sweep is written. Returns where the next one starts.
    fn sweep(
        &self,
        number: u64,
        since_ns: u64,
        table: &mut Table,
        random: &mut Random,
        rows: &mut Vec<u8>,
    ) -> u64 {
        let from_ns = self.start_boot_ns + number * self.period_ms * NS_PER_MS;
        let at_ns = from_ns + self.period_ms * NS_PER_MS;
        table.now_ns = from_ns + 1 + random.below(at_ns - from_ns - 1);
        self.act(number, table, random);
        let listed = table.entries.values().filter(|source| source.last_boot_ns >= since_ns);
        let mut count = 0;
        for source in listed {
            RowRef::Source(&Source { seq: self.first_seq + number, ..*source }).write_to(rows);
            count += 1;
        }
        let close = Sweep {
            seq: self.first_seq + number,
            merged_from_seq: None,
            since_boot_ns: since_ns,
            at_boot_ns: at_ns,
            at_unix_ms: self.unix_ms(number),
            rows: count,
            entries: table.entries.len() as u64,
            max_entries: 100_000,
            attributed: table.totals.tracked,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: table.totals,
            losses: Vec::new(),
            rx_packets: Some(table.totals.received),
            attached: true,
            read_us: 410,
        };
        RowRef::Sweep(&close).write_to(rows);
        at_ns
    }

    /// Who talks in the period of sweep `number`.
    fn act(&self, number: u64, table: &mut Table, random: &mut Random) {
        let seconds = self.period_ms / 1000;
        for client in 0..24 {
            if random.below(3) == 0 {
                let talk = Talk::clients(1 + random.below(3), random);
                let port = if client % 5 == 0 { 8443 } else { 443 };
                table.talk([10, 1, 0, client], port, talk, random);
            }
        }
        // Behind one address, all day.
        table.talk([10, 2, 0, 1], 443, Talk::clients(20 * seconds, random), random);
        // Connects and closes, as a health check does.
        let check = Talk { syn: 1, rst: 1, ..Talk::default() };
        table.talk([10, 3, 0, 1], 443, check, random);
        // Twenty minutes of every hour, so that one stretch crosses midnight.
        let minute = number * seconds / 60;
        if (minute + 17) % 60 < 20 {
            let syn = seconds * (50 + random.below(400));
            table.talk([192, 0, 2, 66], 443, Talk { syn, ..Talk::default() }, random);
        }
        if minute % 45 < 2 {
            for port in 0..(6 + random.below(14) as u16) {
                let probe = Talk { syn: 1, ..Talk::default() };
                table.talk([198, 51, 100, 7], 8000 + port, probe, random);
            }
        }
        if minute % 97 < 5 {
            let rst = seconds * (100 + random.below(300));
            table.talk([203, 0, 113, 9], 443, Talk { rst, ..Talk::default() }, random);
        }
    }

    fn unix_ms(&self, number: u64) -> u64 {
        self.start_unix_ms + (number + 1) * self.period_ms
    }

    fn header(&self) -> Header {
        Header {
            period_ms: self.period_ms,
            attached_boot_ns: self.start_boot_ns,
            dst_ports: Vec::new(),
            ..self.spec(0).header()
        }
    }

    fn spec(&self, first: u64) -> SegmentSpec {
        SegmentSpec {
            host: self.host.into(),
            scope: self.scope.into(),
            boot: format!("{}-5b1e-4c7a-9d30-6f2b8f1c2a44", self.boot8),
            epoch: format!("{}00c0ffee", self.boot8),
            first_seq: self.first_seq + first,
            ..SegmentSpec::default()
        }
    }

    fn write(&self, root: &Path, first: u64, last: u64, bytes: &[u8]) -> PathBuf {
        let ms = i64::try_from(self.unix_ms(last)).expect("a time of our days");
        let hour =
            Timestamp::from_millisecond(ms).expect("a time").strftime("date=%Y-%m-%d/hour=%H");
        let dir = root.join(format!("host={}/scope={}/{hour}", self.host, self.scope));
        fs::create_dir_all(&dir).expect("the folder is writable");
        let path = dir.join(format!("{}.zst", self.spec(first).name()));
        fs::write(&path, zstd::encode_all(bytes, 1).expect("packs")).expect("written");
        path
    }
}
