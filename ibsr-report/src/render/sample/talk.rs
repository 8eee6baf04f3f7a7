// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applications and peers made by hand.

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::model::{AppName, AppRow, ErrorRow, FindingRow, PairRow, Passed, Talks};

use super::{HOUR_MS, START_UNIX_MS};

/// Three applications and more pairs than a page shows, with names from `name`.
pub fn talks(name: impl Fn(&str) -> String) -> Talks {
    let pairs: Vec<PairRow> = (1..=30_u8).map(|number| pair(number, &name)).collect();
    let apps = ["nginx", "backup", "curl"].map(|comm| AppRow {
        app: app(comm, &name),
        destinations: 10,
        clients: 0,
        passed: passed(10, 30_000_000),
    });
    Talks {
        rows: 4_100,
        rows_rejected: 2,
        evicted_packets: 17,
        total: passed(330, 900_000_000),
        apps_left_out: passed(3, 9_000),
        apps_known: 3,
        apps: apps.to_vec(),
        pairs_left_out: passed(5, 7_000),
        pairs_known: 1_030,
        pairs,
        findings: FLAGS.iter().map(|flag| finding(flag, &name)).collect(),
        findings_cut: true,
    }
}

const FLAGS: [&str; 3] = ["regular_intervals", "volume_out", "name_volume"];

fn finding(measured: &str, name: &impl Fn(&str) -> String) -> FindingRow {
    let is_of_destination = measured == "regular_intervals";
    let addr = SourceAddr::from(std::net::IpAddr::from([192, 0, 2, 9]));
    FindingRow {
        measured: measured.into(),
        host: name("web-1"),
        comm: Some(name("curl")),
        exe_device: "253:1".into(),
        exe_inode: 131_842,
        zone: (measured == "name_volume").then(|| name("example.org")),
        addr: is_of_destination.then_some(addr),
        name: is_of_destination.then(|| name("beacon.example.org")),
        port: is_of_destination.then_some(443),
        protocol: is_of_destination.then(|| "tcp".into()),
        connections: 31,
        failed: 1,
        bytes_out: 4_000_000,
        interval_mean_ns: 60_000_000_000,
        interval_cv_ppm: Some(20_000),
        window_bytes_out: 3_000_000,
        window_failed: 0,
        window_internal_peers: 2,
        questions: 340,
        window_names: 300,
        window_name_bytes: 40_000,
        window_nxdomain_zones: 0,
        flagged_unix_ms: START_UNIX_MS,
        last_unix_ms: START_UNIX_MS + HOUR_MS,
        file: name("web-1-cg-web-0af3c9d1-000000000001.jsonl"),
        line: 17,
    }
}

fn app(comm: &str, name: &impl Fn(&str) -> String) -> AppName {
    AppName {
        host: name("web-1"),
        comm: Some(name(comm)),
        uid: Some(33),
        place: name("/system.slice/web.service"),
        exe_device: Some("253:1".into()),
        exe_inode: Some(131_842),
    }
}

fn pair(number: u8, name: &impl Fn(&str) -> String) -> PairRow {
    let comm = ["nginx", "backup", "curl"][usize::from(number % 3)];
    PairRow {
        app: app(comm, name),
        direction: if number.is_multiple_of(5) { "incoming" } else { "outgoing" }.into(),
        protocol: "tcp".into(),
        addr: SourceAddr::from(std::net::IpAddr::from([192, 0, 2, number])),
        name: number.is_multiple_of(2).then(|| name("www.example.org")),
        port: 443,
        passed: passed(11, 90_000_000 / u64::from(number)),
    }
}

fn passed(connections: u64, bytes: u64) -> Passed {
    Passed {
        connections,
        established: connections - 1,
        failed: 1,
        errors: vec![ErrorRow { error: "ECONNREFUSED".into(), count: 1 }],
        packets_in: bytes / 1_000,
        bytes_in: bytes / 10,
        packets_out: bytes / 900,
        bytes_out: bytes - bytes / 10,
        retransmits: 4,
        first_unix_ms: Some(START_UNIX_MS),
        last_unix_ms: Some(START_UNIX_MS + HOUR_MS),
    }
}
