// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealed segments as the reader leaves them: header, sweeps, footer with the right digest,
//! under the right name. [`Traffic`] makes the sweeps: cumulative counters of a small host
//! that obey the conservation law, the same ones for the same seed.
//!
//! Written with the types of `ibsr_proto::snapshot`, so a change of the schema reaches every
//! test; nothing here asks the reader.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::hex;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{
    Footer, Gap, Header, Row, RowRef, SCHEMA, SegmentName, Source, Sweep, name::host_label,
};
use sha2::{Digest as _, Sha256};

/// Boot id of [`SegmentSpec::default`].
pub const BOOT_ID: &str = "0af3c9d1-5b1e-4c7a-9d30-6f2b8f1c2a44";
/// Sequence number of its first sweep.
pub const FIRST_SEQ: u64 = 17;
const PERIOD_NS: u64 = 10_000_000_000;
/// 2026-11-22T14:00:00Z, when [`Traffic`] begins.
pub const START_UNIX_MS: u64 = 1_795_356_000_000;
/// Boot clock at the same moment: a host that has been up for an hour.
pub const START_BOOT_NS: u64 = 3_600_000_000_000;

/// What a segment holds.
#[derive(Debug, Clone)]
pub struct SegmentSpec {
    /// Host name; its label stands in the file name.
    pub host: String,
    /// Scope, also the directory.
    pub scope: String,
    /// Boot id as the kernel prints it.
    pub boot: String,
    /// 16 hexadecimal digits.
    pub epoch: String,
    /// `seq` of the first sweep; the others follow by one.
    pub first_seq: u64,
    /// The sweeps in order.
    pub sweeps: Vec<FullSweep>,
    /// Gap rows, written before the first sweep.
    pub gaps: Vec<Gap>,
}

/// A sweep with the source rows that stand above it. `seq` and `rows` are filled in when
/// the segment is rendered.
#[derive(Debug, Clone)]
pub struct FullSweep {
    /// Its sources.
    pub sources: Vec<Source>,
    /// The row that closes it.
    pub close: Sweep,
}

impl Default for SegmentSpec {
    fn default() -> Self {
        Self {
            host: "h1".into(),
            scope: "xdp-eth0".into(),
            boot: BOOT_ID.into(),
            epoch: "00c0ffee00c0ffee".into(),
            first_seq: FIRST_SEQ,
            sweeps: Vec::new(),
            gaps: Vec::new(),
        }
    }
}

impl SegmentSpec {
    /// A segment of the default host with these sweeps.
    #[must_use]
    pub fn of(first_seq: u64, sweeps: Vec<FullSweep>) -> Self {
        Self { first_seq, sweeps, ..Self::default() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        SegmentName {
            host: host_label(&self.host),
            scope: self.scope.clone(),
            boot8: self.boot.chars().take(8).collect(),
            first_seq: self.first_seq,
            merged_to: None,
        }
    }

    /// Its first line.
    #[must_use]
    pub fn header(&self) -> Header {
        let ifname = self.scope.strip_prefix("xdp-").unwrap_or_default();
        Header {
            schema: SCHEMA.into(),
            tool: "ibsr-reader 0.1.0".into(),
            host: host_label(&self.host),
            boot_id: self.boot.clone(),
            scope: self.scope.clone(),
            ifname: ifname.into(),
            ifindex: 2,
            epoch: self.epoch.clone(),
            attached_boot_ns: START_BOOT_NS,
            program_sha256: hex(&Sha256::digest(b"observe_xdp")),
            evidence: "frozen".into(),
            xdp_mode: "native".into(),
            period_ms: PERIOD_NS / 1_000_000,
            max_sources: 100_000,
            table: String::new(),
            proof: String::new(),
            admits_first: false,
            dst_ports: vec![443],
            dst_port_ranges: Vec::new(),
        }
    }

    /// Every byte of the file.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        RowRef::Header(&self.header()).write_to(&mut out);
        for gap in &self.gaps {
            RowRef::Gap(gap).write_to(&mut out);
        }
        for (sweep, seq) in self.sweeps.iter().zip(self.first_seq..) {
            sweep.write_to(seq, &mut out);
        }
        seal(out)
    }

    /// Writes it as `<spool>/<scope>/<name>` the way the reader does: hidden first, then
    /// renamed whole. Returns its path.
    pub fn write(&self, spool: &Path) -> PathBuf {
        let dir = spool.join(&self.scope);
        fs::create_dir_all(&dir).expect("the spool is writable");
        let (part, sealed) = (dir.join(self.name().part_name()), dir.join(self.name().to_string()));
        fs::write(&part, self.bytes()).expect("the spool is writable");
        fs::rename(&part, &sealed).expect("the spool is writable");
        sealed
    }
}

impl FullSweep {
    fn write_to(&self, seq: u64, out: &mut Vec<u8>) {
        for source in &self.sources {
            RowRef::Source(&Source { seq, ..*source }).write_to(out);
        }
        let rows = self.sources.len() as u64;
        RowRef::Sweep(&Sweep { seq, rows, ..self.close.clone() }).write_to(out);
    }
}

/// `rows` with the footer that makes them a sealed segment. For tests that write lines of
/// their own.
#[must_use]
pub fn seal(mut rows: Vec<u8>) -> Vec<u8> {
    let footer = Footer {
        lines: rows.iter().filter(|&&byte| byte == b'\n').count() as u64,
        sha256: hex(&Sha256::digest(&rows)),
        recovered: false,
    };
    RowRef::Footer(&footer).write_to(&mut rows);
    rows
}

/// Every row of a segment's bytes; panics on a line that is none.
#[must_use]
pub fn rows(bytes: &[u8]) -> Vec<Row> {
    bytes
        .split_inclusive(|&byte| byte == b'\n')
        .map(|line| Row::from_line(line).expect("a row"))
        .collect()
}

/// `count` small segments in a row, written below `spool`; their paths in order.
pub fn write_many(spool: &Path, count: u64, seed: u64) -> Vec<PathBuf> {
    let mut traffic = Traffic::new(seed, 2);
    (0..count)
        .map(|number| SegmentSpec::of(FIRST_SEQ + number, vec![traffic.sweep()]).write(spool))
        .collect()
}

/// A host with a fixed set of remote sources, some of them busy in each period.
#[derive(Debug, Clone)]
pub struct Traffic {
    random: Random,
    at_boot_ns: u64,
    sources: Vec<Source>,
    totals: Totals,
}

impl Traffic {
    /// A host that `sources` addresses talk to, starting at [`START_BOOT_NS`].
    #[must_use]
    pub fn new(seed: u64, sources: u32) -> Self {
        let sources = (0..sources).map(new_source).collect();
        Self { random: Random(seed), at_boot_ns: START_BOOT_NS, sources, totals: Totals::default() }
    }

    /// One period further. The first sweep is full, later ones hold the sources that sent
    /// something, as the reader's do.
    pub fn sweep(&mut self) -> FullSweep {
        let is_full = self.at_boot_ns == START_BOOT_NS;
        let since_boot_ns = if is_full { 0 } else { self.at_boot_ns };
        self.at_boot_ns += PERIOD_NS;
        let mut changed = Vec::new();
        for index in 0..self.sources.len() {
            if is_full || self.random.below(2) == 0 {
                self.talk(index);
                changed.push(self.sources[index]);
            }
        }
        let noise = self.random.below(20);
        self.totals.other_l4 += noise;
        self.totals.received += noise;
        self.totals.passed += noise;
        FullSweep { sources: changed, close: self.close(since_boot_ns) }
    }

    /// `count` sweeps in a row.
    pub fn sweeps(&mut self, count: usize) -> Vec<FullSweep> {
        (0..count).map(|_| self.sweep()).collect()
    }

    fn talk(&mut self, index: usize) {
        let (handshakes, lost) = (1 + self.random.below(5), self.random.below(3));
        let ack = handshakes * (2 + self.random.below(8));
        let packets = handshakes + lost + ack;
        let bytes = packets * (60 + self.random.below(900));
        let source = &mut self.sources[index];
        if source.packets == 0 {
            source.born_boot_ns = self.at_boot_ns - PERIOD_NS / 2;
            self.totals.inserted += 1;
        }
        source.last_boot_ns = self.at_boot_ns - 1_000_000;
        source.syn += handshakes + lost;
        source.handshakes += handshakes;
        source.ack += ack;
        source.fin += handshakes.min(ack);
        source.packets += packets;
        source.bytes += bytes;
        let totals = &mut self.totals;
        totals.received += packets;
        totals.passed += packets;
        totals.tracked += packets;
        totals.tracked_bytes += bytes;
    }

    fn close(&self, since_boot_ns: u64) -> Sweep {
        Sweep {
            seq: 0,
            merged_from_seq: None,
            since_boot_ns,
            at_boot_ns: self.at_boot_ns,
            at_unix_ms: START_UNIX_MS + (self.at_boot_ns - START_BOOT_NS) / 1_000_000,
            rows: 0,
            entries: self.sources.len() as u64,
            max_entries: 100_000,
            attributed: self.totals.tracked,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: self.totals,
            losses: Vec::new(),
            rx_packets: Some(self.totals.received),
            attached: true,
            read_us: 410,
        }
    }
}

fn new_source(number: u32) -> Source {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 1)) + number);
    Source {
        seq: 0,
        src: std::net::IpAddr::from(address).into(),
        dst_port: 443,
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

/// splitmix64 (Steele, Lea, Flood 2014): small, seeded, good enough to vary a test.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`, which is not 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next_u64() % limit
    }

    /// `len` bytes that do not compress.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            bytes.extend_from_slice(&self.next_u64().to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every test that trusts these files trusts this: the digest, the line count, the law.
    #[test]
    fn a_made_segment_is_sealed_and_obeys_the_law() {
        let spec = SegmentSpec::of(17, Traffic::new(1, 9).sweeps(5));
        let bytes = spec.bytes();
        let rows = rows(&bytes);
        let Some(Row::Footer(footer)) = rows.last() else { panic!("no footer") };
        assert_eq!(footer.lines, rows.len() as u64 - 1);
        let end = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        assert_eq!(footer.sha256, hex(&Sha256::digest(&bytes[..end])));
        for (sweep, seq) in rows.iter().filter_map(sweep_of).zip(17..) {
            assert_eq!(sweep.seq, seq);
            assert_eq!(sweep.totals.check_classes(0), Ok(()));
            assert_eq!(sweep.totals.evicted(sweep.attributed), Ok(sweep.evicted));
        }
        assert_eq!(SegmentName::parse(&spec.name().to_string(), "xdp-eth0"), Some(spec.name()));
    }

    #[test]
    fn the_same_seed_makes_the_same_bytes() {
        let bytes = |seed| SegmentSpec::of(17, Traffic::new(seed, 3).sweeps(4)).bytes();
        assert_eq!(bytes(7), bytes(7));
        assert_ne!(bytes(7), bytes(8));
    }

    fn sweep_of(row: &Row) -> Option<&Sweep> {
        match row {
            Row::Sweep(sweep) => Some(sweep),
            _ => None,
        }
    }
}
