// SPDX-License-Identifier: MIT OR Apache-2.0
//! Differential: a generator sends packets one by one and keeps the truth; a small sensor
//! and a small reader of the test's own fold them into segments, with restarts, full
//! sweeps, evictions and new epochs at random. The report must find the truth exactly.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::{Source, Sweep};
use ibsr_tests::segments::{
    FullSweep, Random, START_BOOT_NS, START_UNIX_MS, SegmentSpec, Traffic, seal,
};
use serde_json::Value;

use super::{json, number};

const NS_PER_S: u64 = 1_000_000_000;
const SOURCES: u64 = 30;
const PORTS: u64 = 3;

type Key = (u64, u16);

/// A host as the kernel and the reader see it.
struct Host {
    random: Random,
    now_ns: u64,
    /// The table: rows of the entries that are in it.
    table: BTreeMap<Key, Source>,
    /// Entries changed since the last sweep.
    changed: BTreeMap<Key, ()>,
    totals: Totals,
    since_ns: u64,
    /// Packets that sweeps can know of, by source: what the report must say.
    truth: BTreeMap<u64, [u64; 4]>,
    /// Packets of entries that were evicted before any sweep saw them.
    unseen: u64,
}

impl Host {
    fn new(seed: u64) -> Self {
        Self {
            random: Random(seed),
            now_ns: START_BOOT_NS,
            table: BTreeMap::new(),
            changed: BTreeMap::new(),
            totals: Totals::default(),
            since_ns: 0,
            truth: BTreeMap::new(),
            unseen: 0,
        }
    }

    fn template(&mut self) -> Source {
        Traffic::new(1, 1).sweep().sources[0]
    }

    /// One packet of a random source, counted the way the sensor does.
    fn packet(&mut self) {
        self.now_ns += 1 + self.random.below(NS_PER_S / 20);
        let source = self.random.below(SOURCES);
        let key = (source, 1000 + u16::try_from(self.random.below(PORTS)).expect("small"));
        let (len, kind) = (60 + self.random.below(1400), self.random.below(4));
        let is_new = !self.table.contains_key(&key);
        let template = self.template();
        let entry = self.table.entry(key).or_insert_with(|| Source {
            src: address(source).parse().expect("an address"),
            dst_port: key.1,
            syn: 0,
            ack: 0,
            handshakes: 0,
            fin: 0,
            rst: 0,
            packets: 0,
            bytes: 0,
            born_boot_ns: self.now_ns,
            ..template
        });
        let (syn, handshake) = (u64::from(kind == 0), u64::from(kind == 1));
        entry.syn += syn;
        entry.handshakes += handshake;
        entry.ack += u64::from(kind > 0);
        entry.packets += 1;
        entry.bytes += len;
        entry.last_boot_ns = self.now_ns;
        self.changed.insert(key, ());
        self.totals.inserted += u64::from(is_new);
        for total in [&mut self.totals.received, &mut self.totals.passed, &mut self.totals.tracked]
        {
            *total += 1;
        }
        self.totals.tracked_bytes += len;
        let truth = self.truth.entry(source).or_default();
        for (sum, add) in truth.iter_mut().zip([syn, handshake, 1, len]) {
            *sum += add;
        }
    }

    /// The kernel evicts an entry. What no sweep saw of it is lost, and the truth says so.
    fn evict(&mut self, seen: &BTreeMap<Key, Source>) {
        let at = usize::try_from(self.random.below(self.table.len().max(1) as u64)).expect("fits");
        let Some(key) = self.table.keys().nth(at).copied() else { return };
        let entry = self.table.remove(&key).expect("a key of the table");
        self.changed.remove(&key);
        let before = seen.get(&key).filter(|row| row.born_boot_ns == entry.born_boot_ns);
        let of = |row: &Source| [row.syn, row.handshakes, row.packets, row.bytes];
        let known = before.map_or([0; 4], of);
        let truth = self.truth.entry(key.0).or_default();
        for ((sum, all), known) in truth.iter_mut().zip(of(&entry)).zip(known) {
            *sum -= all - known;
        }
        self.unseen += entry.packets - known[2];
    }

    /// The reader sweeps: everything, or what changed.
    fn sweep(&mut self, is_full: bool) -> FullSweep {
        let since_boot_ns = if is_full { 0 } else { self.since_ns };
        let is_listed = |key: &Key| is_full || self.changed.contains_key(key);
        let sources =
            self.table.iter().filter(|(key, _)| is_listed(key)).map(|(_, row)| *row).collect();
        let attributed = self.table.values().map(|row| row.packets).sum();
        self.changed.clear();
        self.since_ns = self.now_ns;
        let close = Sweep {
            since_boot_ns,
            at_boot_ns: self.now_ns,
            at_unix_ms: START_UNIX_MS + (self.now_ns - START_BOOT_NS) / 1_000_000,
            attributed,
            evicted: self.totals.tracked - attributed,
            totals: self.totals,
            losses: Vec::new(),
            rx_packets: Some(self.totals.received),
            ..Traffic::new(1, 1).sweep().close
        };
        FullSweep { sources, close }
    }
}

fn address(source: u64) -> String {
    if source.is_multiple_of(5) {
        format!("2001:db8::{:x}", source + 1)
    } else {
        format!("198.18.3.{source}")
    }
}

/// One epoch of random traffic as segments below `dir`; the host that knows the truth.
fn record(dir: &Path, seed: u64) -> Host {
    let mut host = Host::new(seed);
    let mut seen: BTreeMap<Key, Source> = BTreeMap::new();
    let (mut seq, mut sweeps, mut segment) = (17, Vec::new(), 0);
    let mut flush = |sweeps: &mut Vec<FullSweep>, first_seq| {
        let spec = SegmentSpec {
            epoch: format!("{seed:016x}"),
            ..SegmentSpec::of(first_seq, std::mem::take(sweeps))
        };
        if segment % 3 == 2 {
            fs::write(
                dir.join(format!("{seed}-{segment}.jsonl.zst")),
                zstd::encode_all(spec.bytes().as_slice(), 1).expect("packs"),
            )
        } else {
            fs::write(dir.join(format!("{seed}-{segment}.jsonl")), spec.bytes())
        }
        .expect("written");
        segment += 1;
    };
    let mut first_seq = seq;
    for step in 0..60 {
        for _ in 0..host.random.below(300) {
            host.packet();
            if host.random.below(40) == 0 {
                host.evict(&seen);
            }
        }
        // Now and then the reader is away for a while: an interval without rates.
        if host.random.below(12) == 0 {
            host.now_ns += 45 * NS_PER_S;
        }
        host.now_ns += 1;
        let is_full = step == 0 || host.random.below(9) == 0;
        let sweep = host.sweep(is_full);
        for row in &sweep.sources {
            let source = (0..SOURCES).find(|n| address(*n) == row.src.to_string());
            seen.insert((source.expect("one of ours"), row.dst_port), *row);
        }
        sweeps.push(sweep);
        seq += 1;
        if host.random.below(7) == 0 {
            flush(&mut sweeps, first_seq);
            first_seq = seq;
        }
    }
    if !sweeps.is_empty() {
        flush(&mut sweeps, first_seq);
    }
    host
}

fn check(report: &Value, truth: &BTreeMap<u64, [u64; 4]>, context: &str) {
    let rows = report["sources"].as_array().expect("a list");
    let expected = truth.iter().filter(|(_, sums)| sums[2] > 0);
    let mut count = 0;
    for (source, sums) in expected {
        let src = address(*source);
        let row = rows.iter().find(|row| row["src"] == src.as_str());
        let row = row.unwrap_or_else(|| panic!("{context}: {src} is missing"));
        let found = ["syn", "handshakes", "packets", "bytes"].map(|name| row[name].as_u64());
        assert_eq!(found, sums.map(Some), "{context}: {src}");
        count += 1;
    }
    assert_eq!(rows.len(), count, "{context}: sources that sent nothing");
}

/// Every packet that a sweep saw is in the report, under its source; every other one is in
/// the loss.
#[test]
fn the_report_finds_exactly_what_was_sent() {
    for seed in 1..=25 {
        let dir = tempfile::tempdir().expect("a directory");
        let host = record(dir.path(), seed);
        let (report, said) = json(dir.path());
        let context = format!("seed {seed}");
        assert_eq!(report["is_whole"], true, "{context}: {:#} {}", report["law"], said.stderr);
        check(&report, &host.truth, &context);
        assert_eq!(number(&report, "/loss/unseen_packets"), host.unseen, "{context}");
        assert_eq!(number(&report, "/totals/tracked"), host.totals.tracked, "{context}");
        let sum = |list: &str, field: &str| -> u64 {
            let rows = report.pointer(list).and_then(Value::as_array).expect("a list");
            rows.iter().map(|row| row[field].as_u64().expect("a number")).sum()
        };
        assert_eq!(
            sum("/impact/series", "syn") + sum("/sources", "untimed_syn"),
            sum("/sources", "syn"),
            "{context}: every SYN is in one window or has no rate"
        );
    }
}

/// L9: counters of two epochs or boots are added, never differenced.
#[test]
fn epochs_are_added_and_never_differenced() {
    for seed in 100..110 {
        let dir = tempfile::tempdir().expect("a directory");
        let mut truth: BTreeMap<u64, [u64; 4]> = BTreeMap::new();
        for epoch in [seed, seed + 1000] {
            for (source, sums) in record(dir.path(), epoch).truth {
                let all = truth.entry(source).or_default();
                all.iter_mut().zip(sums).for_each(|(all, sum)| *all += sum);
            }
        }
        let (report, _) = json(dir.path());
        assert_eq!(report["streams"].as_array().map(Vec::len), Some(2));
        check(&report, &truth, &format!("seed {seed}"));
    }
}

/// The reader merges the sweeps of old segments; each life keeps its last row.
#[test]
fn merged_sweeps_lose_no_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut traffic = Traffic::new(9, 25);
    let mut sweeps = traffic.sweeps(30);
    let whole = tempfile::tempdir().expect("a directory");
    SegmentSpec::of(17, sweeps.clone()).write(whole.path());
    let later = sweeps.split_off(20);
    SegmentSpec::of(37, later).write(dir.path());
    fs::write(dir.path().join("merged.jsonl"), seal(merged(&sweeps, 17))).expect("written");
    let (merged, said) = json(dir.path());
    let (whole, _) = json(whole.path());
    assert_eq!(merged["is_whole"], true, "{}", said.stderr);
    for source in whole["sources"].as_array().expect("a list") {
        let other = merged["sources"].as_array().expect("a list");
        let other = other.iter().find(|row| row["src"] == source["src"]).expect("listed");
        for field in ["syn", "ack", "handshakes", "fin", "rst", "packets", "bytes"] {
            assert_eq!(other[field], source[field], "{}", source["src"]);
        }
    }
    assert!(number(&merged, "/loss/untimed_packets") > 0);
}

fn merged(sweeps: &[FullSweep], first_seq: u64) -> Vec<u8> {
    let last_seq = first_seq + sweeps.len() as u64 - 1;
    let mut rows: BTreeMap<_, Source> = BTreeMap::new();
    for source in sweeps.iter().flat_map(|sweep| &sweep.sources) {
        rows.insert((source.src, source.dst_port, source.born_boot_ns), *source);
    }
    let close = sweeps.last().expect("sweeps").close.clone();
    let close = Sweep {
        merged_from_seq: Some(first_seq),
        since_boot_ns: sweeps[0].close.since_boot_ns,
        ..close
    };
    let one = FullSweep { sources: rows.into_values().collect(), close };
    let bytes = SegmentSpec::of(last_seq, vec![one]).bytes();
    let footer = bytes[..bytes.len() - 1].iter().rposition(|&byte| byte == b'\n').expect("lines");
    bytes[..=footer].to_vec()
}
