// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sealed segments of a cgroup, made: a few processes that talk to a few servers.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::cgroup::words::{
    Device, Direction, ErrorName, Family, Flags, Hex, Learned, Protocol, Steps, TcpState,
};
use ibsr_proto::snapshot::cgroup::{
    App, Behaviour, BehaviourTotals, DnsTotals, Flow, Header, Limits, Owner, Row, RowRef, Sweep,
    Totals, Zone,
};
use ibsr_proto::snapshot::{SCHEMA, SegmentName};

use crate::segments::{BOOT_ID, START_BOOT_NS, START_UNIX_MS, seal};

/// Scope of the segment.
pub const SCOPE: &str = "cg-web";

/// A connection of process `comm` to server `number`, with so many bytes from it.
#[must_use]
pub fn flow(socket: u64, comm: &str, number: u8, bytes_out: u64) -> Flow<'static> {
    let remote = Ipv4Addr::new(198, 51, 100, number);
    Flow {
        seq: 1,
        socket,
        direction: Direction(1),
        protocol: Protocol(6),
        family: Family(2),
        local_addr: Some(std::net::IpAddr::from([10, 0, 0, 2]).into()),
        local_port: 40_000,
        remote_addr: Some(SourceAddr::from(std::net::IpAddr::V4(remote))),
        name: None,
        remote_port: Some(443),
        holder: 7,
        steps: Steps(0x39),
        tcp_state: TcpState(7),
        error: ErrorName(0),
        packets_in: 4,
        bytes_in: 400,
        packets_out: 5,
        bytes_out,
        retransmits: 0,
        born_boot_ns: START_BOOT_NS + socket,
        last_boot_ns: START_BOOT_NS + socket + 1,
        connect_boot_ns: START_BOOT_NS + socket,
        established_boot_ns: START_BOOT_NS + socket,
        closed_boot_ns: START_BOOT_NS + socket + 1,
        netns_cookie: 1,
        cgroup_id: 77,
        cgroup_path: Some("/system.slice/web.service".into()),
        container: None,
        learned: Learned(6),
        owner_key: Some(Hex(0xfeed)),
        owner: Some(owner(comm)),
    }
}

fn owner(comm: &str) -> Owner<'static> {
    Owner {
        tgid: 812,
        comm: comm.to_owned().into(),
        uid: 1000,
        euid: 1000,
        capabilities: Hex(0),
        start_boot_ns: 1,
        met_boot_ns: 2,
        exe_inode: 3,
        exe_device: Device(1 << 20),
        exec_id: 1,
        cgroup_id: 77,
        cgroup_path: None,
        parent_tgid: 1,
        parent_comm: "systemd".into(),
        parent_start_boot_ns: 0,
    }
}

/// Writes one sealed segment of sweeps below `spool`; its path.
pub fn write(spool: &Path, sweeps: &[Vec<Flow<'static>>]) -> PathBuf {
    write_with(spool, sweeps, &[])
}

/// The same with rows of other tables, each in the sweep that it names.
pub fn write_with(spool: &Path, sweeps: &[Vec<Flow<'static>>], others: &[Row]) -> PathBuf {
    let name = SegmentName {
        host: "h1".into(),
        scope: SCOPE.into(),
        boot8: BOOT_ID.chars().take(8).collect(),
        first_seq: 1,
        merged_to: None,
    };
    let mut out = Vec::new();
    RowRef::Header(&header()).write_to(&mut out);
    for (flows, seq) in sweeps.iter().zip(1..) {
        for flow in flows {
            RowRef::Flow(&Flow { seq, ..flow.clone() }).write_to(&mut out);
        }
        let mut rows = flows.len() as u64;
        for row in others.iter().filter(|row| seq_of(row) == seq) {
            row.table_row().expect("a row of a table").write_to(&mut out);
            rows += 1;
        }
        RowRef::Sweep(&Sweep { rows, ..sweep(seq, flows) }).write_to(&mut out);
    }
    let dir = spool.join(SCOPE);
    fs::create_dir_all(&dir).expect("the spool is writable");
    let path = dir.join(name.to_string());
    fs::write(&path, seal(out)).expect("the spool is writable");
    path
}

fn seq_of(row: &Row) -> u64 {
    match row {
        Row::Name(row) => row.seq,
        Row::Behaviour(row) => row.seq,
        Row::App(row) => row.seq,
        Row::Zone(row) => row.seq,
        other => panic!("no row of another table: {other:?}"),
    }
}

/// What the sensor says of 40 connections, one a minute, of the executable of [`flow`] to a
/// public server, after `seq` sweeps.
pub fn behaviour(seq: u64, flags: u32) -> Behaviour<'static> {
    let at_boot_ns = START_BOOT_NS + seq * 10_000_000_000;
    Behaviour {
        seq,
        exe_device: owner("x").exe_device,
        exe_inode: owner("x").exe_inode,
        remote_addr: SourceAddr::from(std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 9))),
        remote_port: 443,
        protocol: Protocol(6),
        name: Some("beacon.example.org".into()),
        flags: Flags(flags),
        born_boot_ns: START_BOOT_NS,
        last_boot_ns: at_boot_ns,
        last_connect_boot_ns: at_boot_ns,
        flagged_boot_ns: if flags == 0 { 0 } else { at_boot_ns },
        connects: 20 * seq,
        failed: 1,
        unsent: 2,
        bytes_out: 4_000,
        bytes_in: 8_000,
        intervals: 39,
        intervals_long: 0,
        batch_intervals: 32,
        batch_mean_ns: 60_000_000_000,
        batch_min_ns: 59_000_000_000,
        batch_max_ns: 61_000_000_000,
        batch_cv_ppm: Some(12_000),
    }
}

/// What the sensor says of the application as a whole.
pub fn app(seq: u64, flags: u32) -> App {
    let at_boot_ns = START_BOOT_NS + seq * 10_000_000_000;
    App {
        seq,
        exe_device: owner("x").exe_device,
        exe_inode: owner("x").exe_inode,
        flags: Flags(flags),
        last_boot_ns: at_boot_ns,
        flagged_boot_ns: at_boot_ns,
        connects: 300,
        failed: 7,
        bytes_out: 5 << 30,
        window_boot_ns: START_BOOT_NS,
        window_bytes_out: 3 << 30,
        window_failed: 4,
        window_internal_peers: 250,
        nxdomain: 90,
        window_nxdomain_zones: 80,
    }
}

/// What the sensor says of the names that the application asks for in a zone.
pub fn zone(seq: u64, flags: u32) -> Zone<'static> {
    let at_boot_ns = START_BOOT_NS + seq * 10_000_000_000;
    Zone {
        seq,
        exe_device: owner("x").exe_device,
        exe_inode: owner("x").exe_inode,
        zone: Some("example.org".into()),
        zone_key: Hex(7),
        flags: Flags(flags),
        born_boot_ns: START_BOOT_NS,
        last_boot_ns: at_boot_ns,
        flagged_boot_ns: at_boot_ns,
        questions: 340,
        answers: 320,
        nxdomain: 20,
        name_bytes: 60_000,
        labels: 1_700,
        bytes_out: 9_000,
        bytes_in: 5_000,
        window_boot_ns: START_BOOT_NS,
        window_names: 300,
        window_name_bytes: 48 << 10,
        window_bytes_out: 8_000,
    }
}

/// First line of the segments that are made here.
pub fn header() -> Header {
    Header {
        schema: SCHEMA.into(),
        tool: "ibsr-reader 0.1.0".into(),
        host: "h1".into(),
        boot_id: BOOT_ID.into(),
        scope: SCOPE.into(),
        cgroup_id: 77,
        cgroup_path: "/system.slice/web.service".into(),
        epoch: "00c0ffee00c0ffee".into(),
        attached_boot_ns: START_BOOT_NS,
        programs_sha256: "5e".repeat(32),
        evidence: "frozen".into(),
        missing: Vec::new(),
        period_ms: 10_000,
        max_flows: 4096,
        resolvers: Vec::new(),
        dns_ports: vec![53],
        limits: Limits::default(),
        baseline_entries: 0,
    }
}

/// Closes sweep `seq` of these flows.
pub fn sweep(seq: u64, flows: &[Flow<'_>]) -> Sweep {
    let packets: u64 = flows.iter().map(|flow| flow.packets_in + flow.packets_out).sum();
    let bytes: u64 = flows.iter().map(|flow| flow.bytes_in + flow.bytes_out).sum();
    let totals = Totals { tracked_in: packets, tracked_bytes_in: bytes, ..Totals::default() };
    Sweep {
        seq,
        merged_from_seq: None,
        since_boot_ns: 0,
        at_boot_ns: START_BOOT_NS + seq * 10_000_000_000,
        at_unix_ms: START_UNIX_MS + seq * 10_000,
        rows: flows.len() as u64,
        entries: flows.len() as u64,
        max_entries: 4096,
        attributed: packets,
        attributed_bytes: bytes,
        evicted: 0,
        evicted_bytes: 0,
        during_read: 0,
        conserved: true,
        owners_missing: 0,
        paths_missing: 0,
        names_missing: 0,
        behaviour_evicted: 0,
        zone_evicted: 0,
        zones_missing: 0,
        totals,
        dns: DnsTotals::default(),
        behaviour: BehaviourTotals::default(),
        attached: true,
        read_us: 1,
    }
}
