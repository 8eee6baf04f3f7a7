// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lines of one run as segments, a segment for each set of counters and day. Pure;
//! nothing here does I/O.

use std::collections::{BTreeMap, HashMap};

use ibsr_proto::abi::hex;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_proto::snapshot::name::host_label;
use ibsr_proto::snapshot::{Footer, Header, RowRef, SCHEMA, SegmentName, Source, Sweep};
use sha2::{Digest as _, Sha256};

use super::line::{Bucket, Snapshot};

/// What a line with `base == ts` covers.
const WINDOW_SEC: u64 = 10;
const DAY_SEC: u64 = 86_400;
const NS_PER_SEC: u64 = 1_000_000_000;
const SCOPE: &str = "nr-ibsr";

/// The lines of one run, in any order.
#[derive(Debug, Default)]
pub struct Run {
    /// Lines that were read.
    pub snapshots: Vec<Snapshot>,
    /// Lines that were not, with file, line and reason.
    pub rejected: Vec<String>,
}

/// Which counters: those of windows, each its own, or those since a base.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counters {
    Windows,
    Since(u64),
}

impl Run {
    /// Names and bytes of its segments.
    #[must_use]
    pub fn segments(mut self, id: &str) -> Vec<(String, Vec<u8>)> {
        let mut epochs = BTreeMap::<Counters, Vec<Snapshot>>::new();
        for snapshot in self.in_order() {
            let counters = match snapshot.base_unix_sec == snapshot.at_unix_sec {
                true => Counters::Windows,
                false => Counters::Since(snapshot.base_unix_sec),
            };
            epochs.entry(counters).or_default().push(snapshot);
        }
        let mut rejected = self.rejected;
        rejected.sort();
        let mut segments = Vec::new();
        let mut seq = 0;
        for (counters, snapshots) in epochs {
            let mut epoch = Epoch::new(id, counters, &snapshots[0], seq);
            for snapshot in &snapshots {
                epoch.add(snapshot);
            }
            rejected.append(&mut epoch.rejected);
            seq = epoch.seq;
            segments.extend(epoch.days);
        }
        seal(segments, &rejected)
    }

    /// By time, copies left out. Of two lines that say different things about one moment
    /// neither can be told to be right.
    fn in_order(&mut self) -> Vec<Snapshot> {
        let mut snapshots = std::mem::take(&mut self.snapshots);
        let key = |line: &Snapshot| (line.at_unix_sec, line.base_unix_sec);
        snapshots.sort_by_key(key);
        let mut kept = Vec::new();
        for alike in snapshots.chunk_by(|a, b| key(a) == key(b)) {
            if alike.iter().all(|line| *line == alike[0]) {
                kept.push(alike[0].clone());
            } else {
                let (at, _) = key(&alike[0]);
                let reason = format!("{} lines say different things about {at}", alike.len());
                self.rejected.extend(std::iter::repeat_n(reason, alike.len()));
            }
        }
        kept
    }
}

/// A segment without its footer.
struct Open {
    name: SegmentName,
    day: u64,
    text: Vec<u8>,
}

/// One set of counters.
struct Epoch {
    header: Header,
    counters: Counters,
    seq: u64,
    at_ns: Option<u64>,
    lives: HashMap<(SourceAddr, u16), Life>,
    /// Sources of the line before.
    listed: u64,
    totals: Totals,
    days: Vec<Open>,
    rejected: Vec<String>,
}

#[derive(Clone, Copy)]
struct Life {
    born_ns: u64,
    packets: u64,
    bytes: u64,
    /// The last sweep that listed it.
    seq: u64,
}

impl Epoch {
    fn new(id: &str, counters: Counters, first: &Snapshot, seq: u64) -> Self {
        let digest = |words: &str| hex(&Sha256::digest(format!("{SCOPE}\0{id}\0{words}")));
        let (words, from_sec, period_sec) = match counters {
            Counters::Windows => (String::new(), window_start(first), WINDOW_SEC),
            Counters::Since(base) => (base.to_string(), base, first.interval_sec),
        };
        let boot = digest("boot");
        let header = Header {
            schema: SCHEMA.to_owned(),
            tool: format!("{SCOPE} {}", first.version),
            host: host_label(id),
            boot_id: [&boot[..8], &boot[8..12], &boot[12..16], &boot[16..20], &boot[20..32]]
                .join("-"),
            scope: SCOPE.to_owned(),
            ifname: String::new(),
            ifindex: 0,
            epoch: digest(&words)[..16].to_owned(),
            attached_boot_ns: from_sec * NS_PER_SEC,
            program_sha256: String::new(),
            evidence: "plain".to_owned(),
            xdp_mode: String::new(),
            period_ms: period_sec * 1000,
            max_sources: 0,
            table: String::new(),
            proof: String::new(),
            admits_first: false,
            dst_ports: first.dst_ports.clone(),
            dst_port_ranges: Vec::new(),
        };
        Self {
            header,
            counters,
            seq,
            at_ns: None,
            lives: HashMap::new(),
            listed: 0,
            totals: Totals::default(),
            days: Vec::new(),
            rejected: Vec::new(),
        }
    }

    fn add(&mut self, line: &Snapshot) {
        let at_ns = line.at_unix_sec * NS_PER_SEC;
        match self.counters {
            Counters::Windows => {
                let from_ns = window_start(line) * NS_PER_SEC;
                match self.at_ns {
                    Some(before) if before > from_ns => {
                        let at = line.at_unix_sec;
                        self.rejected
                            .push(format!("the window until {at} overlaps the one before"));
                        return;
                    }
                    // Nothing says what happened in between; an empty sweep that lists from
                    // behind it makes that a gap, and the window itself keeps its rates.
                    Some(before) if before < from_ns => self.sweep(&[], from_ns, from_ns, 0),
                    _ => {}
                }
                self.lives.clear();
                self.list(line, |_| from_ns);
                let since_ns = if self.at_ns.is_some() { from_ns } else { 0 };
                self.sweep(&line.buckets, since_ns, at_ns, 0);
            }
            Counters::Since(base) => {
                let born_ns = self.at_ns.unwrap_or(base * NS_PER_SEC);
                let stayed = self.list(line, |life| life.map_or(born_ns, |life| life.born_ns));
                let missing = self.listed.saturating_sub(stayed);
                self.sweep(&line.buckets, self.at_ns.unwrap_or(0), at_ns, missing);
            }
        }
        self.listed = line.buckets.len() as u64;
    }

    /// Takes note of every bucket, and of what it adds to the totals. Returns how many of them
    /// the line before listed too.
    fn list(&mut self, line: &Snapshot, born_ns: impl Fn(Option<Life>) -> u64) -> u64 {
        let mut stayed = 0;
        for bucket in &line.buckets {
            let key = (bucket.src, bucket.dst_port);
            let before = self.lives.get(&key).copied();
            let (packets, bytes) = before.map_or((0, 0), |life| (life.packets, life.bytes));
            let totals = &mut self.totals;
            totals.tracked = totals.tracked.saturating_add(bucket.packets.saturating_sub(packets));
            totals.tracked_bytes =
                totals.tracked_bytes.saturating_add(bucket.bytes.saturating_sub(bytes));
            totals.inserted += u64::from(before.is_none());
            stayed += u64::from(before.is_some_and(|life| life.seq + 1 == self.seq));
            let life = Life {
                born_ns: born_ns(before),
                packets: packets.max(bucket.packets),
                bytes: bytes.max(bucket.bytes),
                seq: self.seq,
            };
            self.lives.insert(key, life);
        }
        self.totals.received = self.totals.tracked;
        self.totals.passed = self.totals.tracked;
        stayed
    }

    fn sweep(&mut self, buckets: &[Bucket], since_ns: u64, at_ns: u64, missing: u64) {
        let day = at_ns / NS_PER_SEC / DAY_SEC;
        if self.days.last().is_none_or(|open| open.day != day) {
            self.begin(day);
        }
        let open = self.days.last_mut().expect("a day has begun");
        for bucket in buckets {
            let born_boot_ns = self.lives[&(bucket.src, bucket.dst_port)].born_ns;
            RowRef::Source(&source(bucket, self.seq, born_boot_ns, at_ns)).write_to(&mut open.text);
        }
        let entries = self.lives.len() as u64;
        let close = Sweep {
            seq: self.seq,
            merged_from_seq: None,
            since_boot_ns: since_ns,
            at_boot_ns: at_ns,
            at_unix_ms: at_ns / 1_000_000,
            rows: buckets.len() as u64 + missing,
            entries,
            max_entries: 0,
            attributed: self.totals.tracked,
            evicted: 0,
            during_read: 0,
            conserved: true,
            totals: self.totals,
            losses: Vec::new(),
            rx_packets: None,
            attached: true,
            read_us: 0,
        };
        RowRef::Sweep(&close).write_to(&mut open.text);
        self.seq += 1;
        self.at_ns = Some(at_ns);
    }

    fn begin(&mut self, day: u64) {
        let mut text = Vec::new();
        RowRef::Header(&self.header).write_to(&mut text);
        let name = SegmentName {
            host: self.header.host.clone(),
            scope: SCOPE.to_owned(),
            boot8: self.header.boot_id[..8].to_owned(),
            first_seq: self.seq,
            merged_to: None,
        };
        self.days.push(Open { name, day, text });
    }
}

const fn window_start(line: &Snapshot) -> u64 {
    line.at_unix_sec.saturating_sub(WINDOW_SEC)
}

const fn source(bucket: &Bucket, seq: u64, born_boot_ns: u64, at_ns: u64) -> Source {
    let Bucket { src, dst_port, syn, ack, handshakes, rst, packets, bytes } = *bucket;
    Source {
        seq,
        src,
        dst_port,
        syn,
        ack,
        handshakes,
        fin: 0,
        rst,
        packets,
        bytes,
        proven: None,
        born_boot_ns,
        last_boot_ns: at_ns,
    }
}

/// Footers, and the rejected lines in front of the last one: they are no rows, so the report
/// counts them as what they are.
fn seal(segments: Vec<Open>, rejected: &[String]) -> Vec<(String, Vec<u8>)> {
    let last = segments.len();
    let seal = |(number, Open { name, mut text, .. }): (usize, Open)| {
        if number + 1 == last {
            let lines = rejected.iter().map(|line| line.replace(['\n', '\r'], " ") + "\n");
            lines.for_each(|line| text.extend_from_slice(line.as_bytes()));
        }
        let footer = Footer {
            lines: text.iter().filter(|&&byte| byte == b'\n').count() as u64,
            sha256: hex(&Sha256::digest(&text)),
            recovered: false,
        };
        RowRef::Footer(&footer).write_to(&mut text);
        (name.to_string(), text)
    };
    segments.into_iter().enumerate().map(seal).collect()
}
