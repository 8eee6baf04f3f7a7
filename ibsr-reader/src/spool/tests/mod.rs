// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spool on a real directory: what these tests share. Sealed files are judged by a
//! reader of its own, which knows JSON and SHA-256 and nothing of the code under test.

mod allocation;
mod flows;
mod lifecycle;
mod planted;
mod retention;
mod torn;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ibsr_proto::conservation::Totals;
use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::{Header, SCHEMA, Source, Sweep};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{Limits, Spool};

pub(super) const BOOT: &str = "0af3c9d1-0000-4000-8000-000000000000";
pub(super) const PREFIX: &str = "host-xdp-eth0-0af3c9d1-";

pub(super) fn scope() -> Scope {
    Scope::xdp("eth0").expect("a scope")
}

/// Limits that nothing here reaches.
pub(super) fn wide() -> Limits {
    Limits {
        segment_bytes: u64::MAX,
        segment_age: Duration::MAX,
        spool_bytes: u64::MAX,
        spool_age: Duration::MAX,
        keep_uploaded: Duration::MAX,
    }
}

pub(super) fn header(epoch: &str) -> Header {
    Header {
        schema: SCHEMA.into(),
        tool: "test".into(),
        host: "host".into(),
        boot_id: BOOT.into(),
        scope: "xdp-eth0".into(),
        ifname: "eth0".into(),
        ifindex: 2,
        epoch: epoch.into(),
        attached_boot_ns: 1,
        program_sha256: "00".into(),
        evidence: "plain".into(),
        xdp_mode: "native".into(),
        period_ms: 1_000,
        max_sources: 16,
        table: String::new(),
        proof: String::new(),
        admits_first: false,
        dst_ports: vec![],
        dst_port_ranges: vec![],
    }
}

pub(super) fn source(seq: u64, number: u64) -> Source {
    Source {
        seq,
        src: format!("198.51.100.{number}").parse().expect("an address"),
        dst_port: 443,
        syn: seq,
        ack: 0,
        handshakes: 0,
        fin: 0,
        rst: 0,
        packets: seq,
        bytes: seq * 60,
        proven: None,
        born_boot_ns: number,
        last_boot_ns: at_boot_ns(seq),
    }
}

/// Sweeps of the tests are a second apart.
pub(super) fn at_boot_ns(seq: u64) -> u64 {
    seq * 1_000_000_000
}

pub(super) fn sweep(seq: u64, since_boot_ns: u64, rows: u64) -> Sweep {
    Sweep {
        seq,
        merged_from_seq: None,
        since_boot_ns,
        at_boot_ns: at_boot_ns(seq),
        at_unix_ms: 1,
        rows,
        entries: rows,
        max_entries: 16,
        attributed: rows * seq,
        evicted: 0,
        during_read: 0,
        conserved: true,
        totals: Totals::default(),
        losses: Vec::new(),
        rx_packets: None,
        attached: true,
        read_us: 1,
    }
}

/// A spool in a directory of its own.
pub(super) struct Bench {
    pub(super) root: tempfile::TempDir,
    pub(super) spool: Spool,
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(wide())
    }

    pub(super) fn with(limits: Limits) -> Self {
        Self::with_ledger(limits, None)
    }

    pub(super) fn with_ledger(limits: Limits, ledger: Option<PathBuf>) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(root.path(), &scope(), limits, ledger).expect("opens");
        spool.set_header(header("a"));
        Self { root, spool }
    }

    /// The process ends without a word and another one begins.
    pub(super) fn restart(self) -> Self {
        let Self { root, spool } = self;
        drop(spool);
        let mut spool = Spool::open(root.path(), &scope(), wide(), None).expect("opens again");
        spool.set_header(header("a"));
        Self { root, spool }
    }

    pub(super) fn dir(&self) -> PathBuf {
        self.root.path().join("xdp-eth0")
    }

    pub(super) fn write_sweep(&mut self, seq: u64, sources: u64) {
        self.spool.begin_sweep(seq);
        (1..=sources).for_each(|number| self.spool.source(&source(seq, number)));
        let since = if self.spool.needs_full() { 0 } else { at_boot_ns(seq - 1) };
        self.spool.end_sweep(&sweep(seq, since, sources)).expect("a sweep is written");
    }

    pub(super) fn names(&self) -> Vec<String> {
        names(&self.dir())
    }
}

pub(super) fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("the directory is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    names
}

/// The rows of a sealed segment, after its footer was checked.
#[track_caller]
pub(super) fn sealed_rows(path: &Path) -> Vec<Value> {
    let bytes = fs::read(path).expect("the segment is there");
    let text = std::str::from_utf8(&bytes).expect("UTF-8");
    assert!(text.ends_with('\n'), "the last line is whole");
    let mut rows: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let footer = rows.pop().expect("a footer");
    assert_eq!(footer["type"], "footer");
    assert_eq!(footer["lines"], rows.len());
    let body = text.trim_end().rfind('\n').expect("more than one line") + 1;
    let hash: String = Sha256::digest(&bytes[..body]).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(footer["sha256"], hash);
    assert_eq!(rows[0]["type"], "header");
    assert_eq!(rows.iter().filter(|row| row["type"] == "header").count(), 1);
    check_sweeps(&rows);
    rows
}

/// Every sweep row closes as many rows of counters as it says, all with its number.
fn check_sweeps(rows: &[Value]) {
    let mut open = 0;
    for row in rows {
        match row["type"].as_str().expect("a type") {
            "source" | "flow" => open += 1,
            "sweep" => {
                assert_eq!(row["rows"], std::mem::take(&mut open), "{row}");
            }
            _ => assert_eq!(open, 0, "{row} stands inside a sweep"),
        }
    }
    assert_eq!(open, 0, "rows without a sweep");
}

pub(super) fn seqs(rows: &[Value]) -> Vec<u64> {
    let sweeps = rows.iter().filter(|row| row["type"] == "sweep");
    sweeps.map(|row| row["seq"].as_u64().expect("a number")).collect()
}
