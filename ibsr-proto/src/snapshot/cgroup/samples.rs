// SPDX-License-Identifier: MIT OR Apache-2.0
//! A row of each kind, with a value of its own in every field.

use super::words::{
    Device, Direction, ErrorName, Family, Flags, Hex, Learned, Protocol, Steps, TcpState,
};
use super::*;
use crate::container::Container;

fn owner() -> Owner<'static> {
    Owner {
        tgid: 812,
        comm: "curl".into(),
        uid: 1000,
        euid: 0,
        capabilities: Hex(0x2000),
        start_boot_ns: 1,
        met_boot_ns: 2,
        exe_inode: 3,
        exe_device: Device(253 << 20 | 1),
        exec_id: 4,
        cgroup_id: 78,
        cgroup_path: Some("/user.slice".into()),
        parent_tgid: 800,
        parent_comm: "bash".into(),
        parent_start_boot_ns: 5,
    }
}

/// Everything set.
pub(super) fn flow() -> Flow<'static> {
    let container =
        Container { runtime: "docker".into(), id: "4b".into(), pod: Some("0fd1".into()) };
    Flow {
        seq: 17,
        socket: 4097,
        direction: Direction(1),
        protocol: Protocol(6),
        family: Family(2),
        local_addr: Some("10.0.0.2".parse().expect("an address")),
        local_port: 40_000,
        remote_addr: Some("2001:db8::9".parse().expect("an address")),
        remote_port: Some(443),
        name: Some("www.example.org".into()),
        holder: 7,
        steps: Steps(0x39),
        tcp_state: TcpState(7),
        error: ErrorName(111),
        packets_in: 1,
        bytes_in: 2,
        packets_out: 3,
        bytes_out: 4,
        retransmits: 5,
        born_boot_ns: 6,
        last_boot_ns: 7,
        connect_boot_ns: 8,
        established_boot_ns: 9,
        closed_boot_ns: 10,
        netns_cookie: 11,
        cgroup_id: 77,
        cgroup_path: Some("/system.slice".into()),
        container: Some(container),
        learned: Learned(6),
        owner_key: Some(Hex(0xfeed)),
        owner: Some(owner()),
    }
}

pub(super) fn sweep() -> Sweep {
    Sweep {
        seq: 17,
        merged_from_seq: Some(15),
        since_boot_ns: 1,
        at_boot_ns: 2,
        at_unix_ms: 3,
        rows: 4,
        entries: 5,
        max_entries: 6,
        attributed: 7,
        attributed_bytes: 8,
        evicted: 9,
        evicted_bytes: 10,
        during_read: 11,
        conserved: true,
        owners_missing: 12,
        paths_missing: 13,
        names_missing: 16,
        behaviour_evicted: 17,
        zone_evicted: 25,
        zones_missing: 26,
        totals: Totals { tracked_in: 14, ..Totals::default() },
        dns: DnsTotals { asked: 18, ..DnsTotals::default() },
        behaviour: BehaviourTotals { connects: 19, ..BehaviourTotals::default() },
        attached: true,
        read_us: 15,
    }
}

pub(super) fn header() -> Header {
    Header {
        schema: "ibsr/1".into(),
        tool: "ibsr-reader 0.1.0".into(),
        host: "h1".into(),
        boot_id: "b".into(),
        scope: "cg-web".into(),
        cgroup_id: 1,
        cgroup_path: "/web".into(),
        epoch: "e".into(),
        attached_boot_ns: 2,
        programs_sha256: "ab".into(),
        evidence: "frozen".into(),
        missing: vec!["seed".into()],
        period_ms: 10_000,
        max_flows: 4096,
        resolvers: vec!["9.9.9.9".parse().expect("an address")],
        dns_ports: vec![53],
        limits: Limits { window_ms: 600_000, regular_percent: 10, ..Limits::default() },
        baseline_entries: 3,
    }
}

pub(super) fn name() -> Name<'static> {
    Name {
        seq: 17,
        addr: "2001:db8::9".parse().expect("an address"),
        name: "www.example.org".into(),
        learned_boot_ns: 1,
        expiry_boot_ns: 2,
        resolver: "9.9.9.9".parse().expect("an address"),
        resolver_port: 53,
        chain: 3,
    }
}

pub(super) fn behaviour() -> Behaviour<'static> {
    Behaviour {
        seq: 17,
        exe_device: Device(253 << 20 | 1),
        exe_inode: 3,
        remote_addr: "10.0.0.9".parse().expect("an address"),
        remote_port: 443,
        protocol: Protocol(6),
        name: Some("www.example.org".into()),
        flags: Flags(0x3 | 1 << 31),
        born_boot_ns: 1,
        last_boot_ns: 2,
        last_connect_boot_ns: 3,
        flagged_boot_ns: 4,
        connects: 5,
        failed: 6,
        unsent: 7,
        bytes_out: 8,
        bytes_in: 9,
        intervals: 10,
        intervals_long: 11,
        batch_intervals: 12,
        batch_mean_ns: 13,
        batch_min_ns: 14,
        batch_max_ns: 15,
        batch_cv_ppm: Some(16),
    }
}

pub(super) fn app() -> App {
    App {
        seq: 17,
        exe_device: Device(253 << 20 | 1),
        exe_inode: 3,
        flags: Flags(0x1c),
        last_boot_ns: 1,
        flagged_boot_ns: 2,
        connects: 3,
        failed: 4,
        bytes_out: 5,
        window_boot_ns: 6,
        window_bytes_out: 7,
        window_failed: 8,
        window_internal_peers: 9,
        nxdomain: 10,
        window_nxdomain_zones: 11,
    }
}

pub(super) fn zone() -> Zone<'static> {
    Zone {
        seq: 17,
        exe_device: Device(253 << 20 | 1),
        exe_inode: 3,
        zone: Some("example.org".into()),
        zone_key: Hex(0xfeed),
        flags: Flags(0xc4),
        born_boot_ns: 1,
        last_boot_ns: 2,
        flagged_boot_ns: 3,
        questions: 4,
        answers: 5,
        nxdomain: 6,
        name_bytes: 7,
        labels: 8,
        bytes_out: 9,
        bytes_in: 10,
        window_boot_ns: 11,
        window_names: 12,
        window_name_bytes: 13,
        window_bytes_out: 14,
    }
}

/// A socket that only listens: nothing is made up for what did not happen.
pub(super) fn own_row() -> Flow<'static> {
    Flow {
        direction: Direction(3),
        remote_addr: None,
        remote_port: None,
        name: None,
        holder: 0,
        steps: Steps(0),
        tcp_state: TcpState(0),
        error: ErrorName(0),
        local_addr: None,
        connect_boot_ns: 0,
        established_boot_ns: 0,
        closed_boot_ns: 0,
        netns_cookie: 0,
        cgroup_id: 0,
        cgroup_path: None,
        container: None,
        learned: Learned(0),
        owner_key: None,
        owner: None,
        ..flow()
    }
}
