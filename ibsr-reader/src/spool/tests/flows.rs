// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same spool with the rows of a cgroup: written without memory, cut anywhere, merged.

use std::fs;
use std::io::BufReader;
use std::path::PathBuf;

use ibsr_proto::container::Container;
use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::SegmentName;
use ibsr_proto::snapshot::cgroup::words::{
    Device, Direction, ErrorName, Family, Flags, Hex, Learned, Protocol, Steps, TcpState,
};
use ibsr_proto::snapshot::cgroup::{
    App, Behaviour, Flow, Header, Name, Owner, Row, RowRef, Sweep, Totals, Zone,
};
use rustix::fs::Timespec;

use super::allocation::REQUESTS;
use super::{BOOT, at_boot_ns, names, sealed_rows, seqs, wide};
use crate::spool::dir::Dir;
use crate::spool::scan::scan;
use crate::spool::{Spool, coarsen};

const PREFIX: &str = "host-cg-web-0af3c9d1-";
const ROWS: u64 = 10_000;

fn scope() -> Scope {
    Scope::cgroup("web").expect("a scope")
}

fn header() -> Header {
    Header {
        schema: "ibsr/1".into(),
        tool: "test".into(),
        host: "host".into(),
        boot_id: BOOT.into(),
        scope: scope().to_string(),
        cgroup_id: 7,
        cgroup_path: "/web".into(),
        epoch: "a".into(),
        attached_boot_ns: 1,
        programs_sha256: "00".into(),
        evidence: "plain".into(),
        missing: Vec::new(),
        period_ms: 1_000,
        max_flows: 16,
        dns_ports: vec![53],
        ..Header::default()
    }
}

fn owner() -> Owner<'static> {
    Owner {
        tgid: 1,
        comm: "curl".into(),
        uid: 2,
        euid: 3,
        capabilities: Hex(4),
        start_boot_ns: 5,
        met_boot_ns: 6,
        exe_inode: 7,
        exe_device: Device(8),
        exec_id: 9,
        cgroup_id: 10,
        cgroup_path: Some("/other".into()),
        parent_tgid: 11,
        parent_comm: "sh".into(),
        parent_start_boot_ns: 12,
    }
}

/// A row with everything set.
fn flow(seq: u64, number: u64) -> Flow<'static> {
    let runtime = Container { runtime: "docker".into(), id: "4b".into(), pod: None };
    Flow {
        seq,
        socket: number,
        direction: Direction(1),
        protocol: Protocol(6),
        family: Family(10),
        local_addr: Some("2001:db8::1".parse().expect("an address")),
        local_port: 40_000,
        remote_addr: Some("2001:db8::2".parse().expect("an address")),
        remote_port: Some(443),
        name: Some("www.example.org".into()),
        holder: 9,
        steps: Steps(0x3ff),
        tcp_state: TcpState(7),
        error: ErrorName(110),
        packets_in: seq,
        bytes_in: 60 * seq,
        packets_out: seq,
        bytes_out: 60 * seq,
        retransmits: 1,
        born_boot_ns: 1,
        last_boot_ns: at_boot_ns(seq),
        connect_boot_ns: 2,
        established_boot_ns: 3,
        closed_boot_ns: 4,
        netns_cookie: 5,
        cgroup_id: 6,
        cgroup_path: Some("/system.slice/web.service".into()),
        container: Some(runtime),
        learned: Learned(6),
        owner_key: Some(Hex(0xfeed)),
        owner: Some(owner()),
    }
}

fn sweep(seq: u64, since_boot_ns: u64, rows: u64) -> Sweep {
    Sweep {
        seq,
        merged_from_seq: None,
        since_boot_ns,
        at_boot_ns: at_boot_ns(seq),
        at_unix_ms: 1,
        rows,
        entries: rows,
        max_entries: 16,
        attributed: 0,
        attributed_bytes: 0,
        evicted: 0,
        evicted_bytes: 0,
        during_read: 0,
        conserved: true,
        owners_missing: 0,
        paths_missing: 0,
        totals: Totals { created: seq, ..Totals::default() },
        attached: true,
        read_us: 1,
        ..Sweep::default()
    }
}

struct Bench {
    root: tempfile::TempDir,
    spool: Spool,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let mut spool = Spool::open(root.path(), &scope(), wide(), None).expect("opens");
        spool.set_header(header());
        Self { root, spool }
    }

    fn write_sweep(&mut self, seq: u64, flows: u64) {
        self.spool.begin_sweep(seq);
        (1..=flows).for_each(|number| self.spool.cgroup_row(RowRef::Flow(&flow(seq, number))));
        let since = if self.spool.needs_full() { 0 } else { at_boot_ns(seq - 1) };
        self.spool.end_sweep(&sweep(seq, since, flows)).expect("a sweep is written");
    }

    fn seal(&mut self) -> PathBuf {
        self.spool.seal().expect("seals").expect("a segment")
    }
}

#[test]
fn no_flow_row_asks_for_memory() {
    let mut bench = Bench::new();
    let row = flow(1, 7);
    let mut requests = [0; 2];
    for (requests, seq) in requests.iter_mut().zip(1..) {
        bench.spool.begin_sweep(seq);
        let before = REQUESTS.get();
        for _row in 0..ROWS {
            bench.spool.cgroup_row(RowRef::Flow(&row));
        }
        *requests = REQUESTS.get() - before;
        bench.spool.end_sweep(&sweep(seq, 0, ROWS)).expect("room for the sweep");
    }
    assert!(requests[0] < 100 && requests[1] == 0, "{requests:?}");
}

/// R1: killed anywhere. Every prefix of a segment becomes the sweeps that are whole in it.
#[test]
fn a_segment_of_flows_cut_at_any_byte_is_sealed_up_to_its_last_whole_sweep() {
    let mut bench = Bench::new();
    (1..=3).for_each(|seq| bench.write_sweep(seq, 2));
    let bytes = fs::read(bench.seal()).expect("the segment");
    let (mut ends, mut at) = (Vec::new(), 0);
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        ends.extend(line.starts_with(br#"{"type":"sweep""#).then_some(at));
    }
    for cut in (0..bytes.len()).step_by(37).chain(ends.iter().copied()) {
        let root = tempfile::tempdir().expect("a directory");
        let dir = root.path().join("cg-web");
        fs::create_dir_all(&dir).expect("a directory");
        let part = dir.join(format!(".{PREFIX}000000000001.jsonl.part"));
        fs::write(part, &bytes[..cut]).expect("a file");
        let spool = Spool::open(root.path(), &scope(), wide(), None).expect("opens");
        let sweeps = ends.iter().filter(|end| **end <= cut).count();
        let found = names(&dir);
        if sweeps == 0 {
            assert_eq!(found, [format!(".{PREFIX}000000000001.jsonl.part.damaged")]);
            continue;
        }
        assert_eq!(found, [format!("{PREFIX}000000000001.jsonl")]);
        let rows = sealed_rows(&dir.join(&found[0]));
        assert_eq!(seqs(&rows), (1..=sweeps as u64).collect::<Vec<_>>());
        assert_eq!(spool.next_seq(BOOT, 0), sweeps as u64 + 1);
    }
}

fn merge(root: &tempfile::TempDir, path: &std::path::Path) -> Option<PathBuf> {
    let dir = Dir::open(root.path(), &scope()).expect("opens");
    let file_name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let name = SegmentName::parse(file_name, "cg-web").expect("a segment");
    let bytes = fs::metadata(path).expect("there").len();
    let time = Timespec { tv_sec: 1, tv_nsec: 0 };
    let merged = coarsen::merge_with(&dir, &name, bytes, time, 2).expect("merges");
    merged.map(|merged| path.with_file_name(merged.name.to_string()))
}

/// Counters are cumulative: of each life the last row says all, and the sums stay.
#[test]
fn sweeps_of_flows_are_merged_into_one() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 3);
    bench.write_sweep(2, 2);
    bench.write_sweep(3, 1);
    let path = bench.seal();
    // The spool holds the lock of its directory.
    let Bench { root, spool } = bench;
    drop(spool);
    let rows = sealed_rows(&merge(&root, &path).expect("smaller"));
    let flows: Vec<(u64, u64, u64)> = rows
        .iter()
        .filter(|row| row["type"] == "flow")
        .map(|row| ["seq", "socket", "packets_in"].map(|name| row[name].as_u64().expect("number")))
        .map(|[seq, socket, packets]| (socket, seq, packets))
        .collect();
    assert_eq!(flows, [(3, 3, 1), (2, 3, 2), (1, 3, 3)], "all of the last sweep");
    let last = rows.iter().find(|row| row["type"] == "sweep").expect("one sweep");
    assert_eq!(
        (&last["seq"], &last["merged_from_seq"], &last["rows"]),
        (&3.into(), &1.into(), &3.into())
    );
    assert_eq!(last["totals"]["created"], 3);
}

/// Rows of other tables may come: they are kept and counted, and a file with them is
/// not merged by who does not know them.
#[test]
fn rows_that_are_yet_to_come_are_kept() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 1);
    bench.write_sweep(2, 1);
    let text = fs::read_to_string(bench.seal()).expect("text");
    let (head, rest) = text.split_once('\n').expect("a header");
    let with_later = format!("{head}\n{{\"type\":\"later\",\"seq\":1}}\n{rest}");
    let found = scan(&mut BufReader::new(with_later.as_bytes())).expect("reads").expect("a header");
    assert_eq!((found.unknown, found.sweeps.map(|sweeps| sweeps.count)), (1, Some(2)));
    assert!(found.footer.is_none(), "its footer is of the file without that row");
}

/// One answer, one destination, one application, one zone, as sweep `seq` sees them.
fn others(seq: u64) -> (Name<'static>, Behaviour<'static>, App, Zone<'static>) {
    let addr = "2001:db8::2".parse().expect("an address");
    let name = Name {
        seq,
        addr,
        name: "www.example.org".into(),
        learned_boot_ns: seq,
        expiry_boot_ns: seq + 60,
        resolver: "9.9.9.9".parse().expect("an address"),
        resolver_port: 53,
        chain: 1,
    };
    let behaviour = Behaviour {
        seq,
        exe_device: Device(8),
        exe_inode: 7,
        remote_addr: addr,
        remote_port: 443,
        protocol: Protocol(6),
        name: None,
        flags: Flags(1),
        born_boot_ns: 1,
        last_boot_ns: seq,
        last_connect_boot_ns: seq,
        flagged_boot_ns: 0,
        connects: seq,
        failed: 0,
        unsent: 0,
        bytes_out: 0,
        bytes_in: 0,
        intervals: 0,
        intervals_long: 0,
        batch_intervals: 0,
        batch_mean_ns: 0,
        batch_min_ns: 0,
        batch_max_ns: 0,
        batch_cv_ppm: None,
    };
    let app = App {
        seq,
        exe_device: Device(8),
        exe_inode: 7,
        flags: Flags(8),
        last_boot_ns: seq,
        flagged_boot_ns: seq,
        connects: seq,
        failed: 0,
        bytes_out: 0,
        window_boot_ns: 0,
        window_bytes_out: 0,
        window_failed: 0,
        window_internal_peers: 0,
        nxdomain: 0,
        window_nxdomain_zones: 0,
    };
    let zone = Zone {
        seq,
        exe_device: Device(8),
        exe_inode: 7,
        zone: Some("example.org".into()),
        zone_key: Hex(9),
        flags: Flags(0),
        born_boot_ns: 1,
        last_boot_ns: seq,
        flagged_boot_ns: 0,
        questions: seq,
        answers: 0,
        nxdomain: 0,
        name_bytes: 0,
        labels: 0,
        bytes_out: 0,
        bytes_in: 0,
        window_boot_ns: 0,
        window_names: 0,
        window_name_bytes: 0,
        window_bytes_out: 0,
    };
    (name, behaviour, app, zone)
}

/// Every answer is kept; of what counts, the last row has all.
#[test]
fn merged_sweeps_keep_each_answer_and_the_last_row_of_each_table() {
    let mut bench = Bench::new();
    for seq in 1..=3 {
        bench.spool.begin_sweep(seq);
        let (name, behaviour, app, zone) = others(seq);
        bench.spool.cgroup_row(RowRef::Name(&name));
        bench.spool.cgroup_row(RowRef::Behaviour(&behaviour));
        bench.spool.cgroup_row(RowRef::App(&app));
        bench.spool.cgroup_row(RowRef::Zone(&zone));
        bench.spool.end_sweep(&sweep(seq, 0, 4)).expect("a sweep is written");
    }
    let sealed = bench.seal();
    let Bench { root, spool } = bench;
    drop(spool);
    let merged = merge(&root, &sealed).expect("it is smaller");
    let text = fs::read(merged).expect("the segment");
    let rows: Vec<Row> = text
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| Row::from_line(line).expect("a row"))
        .collect();
    let mut learned = Vec::new();
    for row in &rows {
        match row {
            Row::Name(name) => learned.push((name.seq, name.learned_boot_ns)),
            Row::Behaviour(row) => assert_eq!((row.seq, row.connects), (3, 3)),
            Row::App(row) => assert_eq!((row.seq, row.connects), (3, 3)),
            Row::Zone(row) => assert_eq!((row.seq, row.questions), (3, 3)),
            _ => {}
        }
    }
    assert_eq!(learned, [(3, 1), (3, 2), (3, 3)]);
    assert_eq!(rows.len(), 1 + 3 + 1 + 1 + 1 + 1 + 1, "{rows:#?}");
}
