// SPDX-License-Identifier: MIT OR Apache-2.0
//! The recording that `bench-report` reads: two interfaces of a host, 50,000 sources each, a
//! sweep of 72 rows every ten seconds and a full one every hour: 10 million rows are nearly
//! three days, so that thresholds are searched and held out. Most sources are rare, some
//! regular, a few flood in bursts. Sealed as the reader seals; written once and kept.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_proto::abi::hex;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Footer, Header, RowRef, Source, Sweep};
use ibsr_tests::segments::{FullSweep, Random, SegmentSpec, Traffic};
use sha2::{Digest as _, Sha256};

/// Raised when other rows are written, so that old files are not taken for new ones.
const VERSION: u32 = 3;
/// Interfaces, each a stream of its own.
pub const SCOPES: [&str; 2] = ["xdp-eth0", "xdp-eth1"];
/// Addresses that talk to each of them.
pub const SOURCES: usize = 50_000;
const REGULARS: usize = 4_000;
const FLOODERS: usize = 40;
/// Rows of a sweep that is not full.
const ACTIVE: usize = 72;
/// Of which are regulars.
const ACTIVE_REGULARS: usize = 30;
/// Sweeps in a segment: five minutes.
const PER_SEGMENT: u64 = 30;
/// Sweeps from one that lists every source to the next: an hour, the reader's default.
const FULL_EVERY: u64 = 360;
const PERIOD_NS: u64 = 10_000_000_000;
/// No multiple of a window, as on a real host.
const START_BOOT_NS: u64 = 3_603_700_000_000;
/// 2026-11-16T00:00:03.700Z.
const START_UNIX_MS: u64 = 1_794_787_203_700;
/// Prime to the number of rare sources: steps of this size meet each of them once.
const STRIDE: usize = 7_919;

/// The folder with at least `rows` source rows, packed with zstd or plain; written first when
/// it is not there.
///
/// # Errors
/// When the disk is full or cannot be written.
pub fn folder(cache: &Path, rows: u64, is_packed: bool) -> Result<PathBuf> {
    let kind = if is_packed { "zst" } else { "jsonl" };
    let dir = cache.join(format!("rows-v{VERSION}-{rows}-{kind}"));
    if dir.join("complete").is_file() {
        return Ok(dir);
    }
    let rows = rows.div_ceil(SCOPES.len() as u64);
    std::thread::scope(|threads| {
        let writers = SCOPES.map(|scope| {
            let dir = &dir;
            threads.spawn(move || Scope::new(scope).write(dir, rows, is_packed))
        });
        writers.into_iter().try_for_each(|writer| writer.join().expect("a writer does not panic"))
    })?;
    fs::write(dir.join("complete"), "").context("failed to mark the recording as complete")?;
    Ok(dir)
}

/// Counters of one interface.
struct Scope {
    spec: SegmentSpec,
    random: Random,
    sources: Vec<Source>,
    known: u64,
    totals: Totals,
}

impl Scope {
    fn new(scope: &str) -> Self {
        let template = Traffic::new(1, 1).sweep().sources[0];
        let empty =
            Source { syn: 0, ack: 0, handshakes: 0, fin: 0, packets: 0, bytes: 0, ..template };
        let sources = (0..SOURCES).map(|number| Source { src: address(number), ..empty }).collect();
        Self {
            spec: SegmentSpec {
                host: "bench".into(),
                scope: scope.into(),
                ..SegmentSpec::default()
            },
            random: Random(scope.len() as u64 + u64::from(scope.ends_with('1'))),
            sources,
            known: 0,
            totals: Totals::default(),
        }
    }

    fn header(&self) -> Header {
        Header { attached_boot_ns: START_BOOT_NS - 1_000_000_000, ..self.spec.header() }
    }

    /// Writes segments below `dir` until they hold `rows` rows of sources.
    fn write(mut self, dir: &Path, rows: u64, is_packed: bool) -> Result<()> {
        let dir = dir.join(&self.spec.scope);
        fs::create_dir_all(&dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
        let mut written = 0;
        for first in (0..).step_by(PER_SEGMENT as usize) {
            if written >= rows {
                break;
            }
            self.spec.first_seq = first + 1;
            let path = dir.join(self.spec.name().to_string());
            written += self
                .segment(&path, first..first + PER_SEGMENT, is_packed)
                .with_context(|| format!("failed to write `{}`", path.display()))?;
        }
        Ok(())
    }

    /// Writes one segment; the number of its rows of sources.
    fn segment(
        &mut self,
        path: &Path,
        sweeps: std::ops::Range<u64>,
        is_packed: bool,
    ) -> std::io::Result<u64> {
        let mut out = Vec::with_capacity(1 << 20);
        RowRef::Header(&self.header()).write_to(&mut out);
        let (mut rows, count) = (0, sweeps.end - sweeps.start);
        for number in sweeps {
            rows += self.sweep(number, &mut out);
        }
        let lines = 1 + count + rows;
        let sha256 = hex(&Sha256::digest(&out));
        RowRef::Footer(&Footer { lines, sha256, recovered: false }).write_to(&mut out);
        if is_packed {
            fs::write(path.with_added_extension("zst"), zstd::encode_all(&out[..], 1)?)?;
        } else {
            fs::write(path, &out)?;
        }
        Ok(rows)
    }

    /// Appends one sweep; the number of its rows of sources.
    fn sweep(&mut self, number: u64, out: &mut Vec<u8>) -> u64 {
        let (from_ns, seq) = (START_BOOT_NS + number * PERIOD_NS, number + 1);
        let mut active = self.active(number);
        for &index in &active {
            self.talk(index, from_ns);
        }
        let is_full = number.is_multiple_of(FULL_EVERY);
        if is_full {
            active = (0..SOURCES).filter(|&index| self.sources[index].packets > 0).collect();
        }
        for &index in &active {
            RowRef::Source(&Source { seq, ..self.sources[index] }).write_to(out);
        }
        let rows = active.len() as u64;
        let since_boot_ns = if is_full { 0 } else { from_ns };
        let close = Sweep {
            seq,
            since_boot_ns,
            at_boot_ns: from_ns + PERIOD_NS,
            at_unix_ms: START_UNIX_MS + (number + 1) * PERIOD_NS / 1_000_000,
            rows,
            entries: self.known,
            attributed: self.totals.tracked,
            totals: self.totals,
            losses: Vec::new(),
            rx_packets: Some(self.totals.received),
            ..template_close()
        };
        RowRef::Sweep(&close).write_to(out);
        rows
    }

    /// Who talks in a period: floods that are under way, some regulars, and rare
    /// sources in steps through their list.
    fn active(&mut self, number: u64) -> Vec<usize> {
        let mut active: Vec<_> = (0..FLOODERS).filter(|&index| floods(index, number)).collect();
        let first = self.random.below(REGULARS as u64) as usize;
        active.extend((0..ACTIVE_REGULARS).map(|k| FLOODERS + (first + k) % REGULARS));
        let rare = SOURCES - FLOODERS - REGULARS;
        let first = self.random.below(rare as u64) as usize;
        let left = ACTIVE - active.len();
        active.extend((0..left).map(|k| FLOODERS + REGULARS + (first + k * STRIDE) % rare));
        active
    }

    fn talk(&mut self, index: usize, from_ns: u64) {
        let random = &mut self.random;
        let (syn, handshakes, ack) = if index < FLOODERS {
            (1_000 + random.below(9_000), 0, 0)
        } else {
            let handshakes = 1 + random.below(if index < FLOODERS + REGULARS { 12 } else { 3 });
            (handshakes + random.below(2), handshakes, handshakes * (3 + random.below(20)))
        };
        let (packets, bytes) = (syn + ack, (syn + ack) * (60 + random.below(600)));
        let at_ns = from_ns + 1 + random.below(PERIOD_NS - 2);
        let source = &mut self.sources[index];
        if source.packets == 0 {
            source.born_boot_ns = at_ns;
            self.known += 1;
            self.totals.inserted += 1;
        }
        source.last_boot_ns = at_ns;
        source.syn += syn;
        source.ack += ack;
        source.handshakes += handshakes;
        source.fin += handshakes;
        source.packets += packets;
        source.bytes += bytes;
        self.totals.received += packets;
        self.totals.passed += packets;
        self.totals.tracked += packets;
        self.totals.tracked_bytes += bytes;
    }
}

/// Ten minutes of every three hours and more, each at a time of its own.
fn floods(index: usize, number: u64) -> bool {
    (number + 83 * index as u64) % (1_100 + index as u64) < 60
}

fn template_close() -> Sweep {
    let FullSweep { close, .. } = Traffic::new(1, 1).sweep();
    close
}

/// Four sources to a /24, and one in sixteen an IPv6 address.
fn address(number: usize) -> SourceAddr {
    let number = number as u32;
    let address = match number % 16 {
        0 => {
            IpAddr::from(Ipv6Addr::from((0x2001_0db8_u128 << 96) + (u128::from(number) << 66) + 7))
        }
        _ => IpAddr::from(Ipv4Addr::from(0x0b00_0000 + number * 64 + number % 61)),
    };
    SourceAddr::from(address)
}
