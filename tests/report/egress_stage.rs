// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings and policies for the tests of `egress`, and the command itself.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::snapshot::SegmentName;
use ibsr_proto::snapshot::cgroup::words::Protocol;
use ibsr_proto::snapshot::cgroup::{Flow, Header, Owner, RowRef, Sweep, Totals};
use ibsr_tests::flow_segments::{SCOPE, flow, header, sweep};
use ibsr_tests::process::{Said, program, say};
use ibsr_tests::segments::{BOOT_ID, START_BOOT_NS, START_UNIX_MS, seal};
use serde_json::{Value, json};

const NOW: &str = "2026-12-01T12:00:00Z";
/// A sweep twice a day: cumulative counters lose nothing by that.
const HALF_DAY_NS: u64 = 43_200_000_000_000;

/// `egress` over a spool, with a fixed clock.
pub(super) fn egress(input: &Path, policy: &Path) -> Command {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("egress").arg(input).arg("--policy").arg(policy).args(["--now", NOW, "--quiet"]);
    command
}

pub(super) fn report(command: &mut Command) -> (Value, Said) {
    let said = say(command.args(["--format", "json"]));
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    let value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", said.stdout, said.stderr));
    (value, said)
}

pub(super) fn policy(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("policy.yaml");
    fs::write(&path, text).expect("written");
    path
}

/// A connection of `comm` to an address and port.
pub(super) fn to(socket: u64, comm: &str, addr: &str, port: u16) -> Flow<'static> {
    let addr: IpAddr = addr.parse().expect("an address");
    Flow { remote_addr: Some(addr.into()), remote_port: Some(port), ..flow(socket, comm, 1, 100) }
}

pub(super) fn owned(
    flow: Flow<'static>,
    change: impl FnOnce(&mut Owner<'static>),
) -> Flow<'static> {
    let mut owner = flow.owner.clone().expect("an owner");
    change(&mut owner);
    Flow { owner: Some(owner), ..flow }
}

pub(super) const EVERY_DIMENSION: &str = "default: {out: allow}
protected: [203.0.113.53]
rules:
  - {name: by-address, action: deny, cidr: 192.0.2.0/24}
  - {name: inside, action: allow, cidr: 192.0.2.7}
  - {name: by-port, action: deny, ports: 8000-8100}
  - {name: by-protocol, action: deny, protocol: udp, ports: 123}
  - {name: by-user, action: deny, user: 4711}
  - {name: by-exe, action: deny, exe: /opt/strange}
  - {name: by-cgroup, action: deny, cgroup: /system.slice/web.service/jobs}
  - {name: by-name, action: deny, domain: tracker.example}
";

pub(super) fn every_dimension() -> Vec<Flow<'static>> {
    let mut ntp = to(4, "chronyd", "198.51.100.4", 123);
    ntp.protocol = Protocol(17);
    let mut named = to(8, "browser", "198.51.100.8", 443);
    named.name = Some("ads.Tracker.example".into());
    let mut below = owned(to(7, "job", "198.51.100.7", 443), |owner| owner.cgroup_id = 78);
    below.cgroup_id = 78;
    below.cgroup_path = Some("/system.slice/web.service/jobs/nightly".into());
    vec![
        to(1, "curl", "192.0.2.1", 443),
        to(2, "wget", "192.0.2.7", 443),
        to(3, "proxy", "198.51.100.3", 8080),
        ntp,
        owned(to(5, "guest", "198.51.100.5", 443), |owner| owner.uid = 4711),
        owned(to(6, "strange", "198.51.100.6", 443), |owner| owner.exe_inode = 99),
        below,
        named,
        to(9, "plain", "198.51.100.9", 443),
        to(10, "local", "127.0.0.1", 8000),
        to(11, "dns", "203.0.113.53", 8000),
    ]
}

/// What `--identities here` writes, for a machine that has that executable.
pub(super) fn identities(dir: &Path, exe: Option<&str>) -> PathBuf {
    let path = dir.join("identities.json");
    let list = json!([
        {"kind": "exe", "name": "/opt/strange", "value": exe},
        {"kind": "user", "name": "4711", "value": "4711"},
        {"kind": "cgroup", "name": "/system.slice/web.service/jobs", "value": "78"},
    ]);
    fs::write(&path, list.to_string()).expect("written");
    path
}

/// One whose cgroup is gone, and one of which nobody knows who it was.
pub(super) fn unknown() -> [Flow<'static>; 2] {
    let mut gone = to(12, "gone", "198.51.100.12", 443);
    (gone.cgroup_path, gone.cgroup_id) = (None, 4444);
    let gone = owned(gone, |owner| owner.cgroup_id = 4444);
    let mut nobody = to(13, "x", "192.0.2.1", 443);
    nobody.owner = None;
    [gone, nobody]
}

/// A week of `destinations` services, each used on its own day, by a sensor that saw everything.
pub(super) fn week(spool: &Path, destinations: u64) {
    let name = SegmentName {
        host: "h1".into(),
        scope: SCOPE.into(),
        boot8: BOOT_ID.chars().take(8).collect(),
        first_seq: 1,
        merged_to: None,
    };
    let period_ms = HALF_DAY_NS / 1_000_000;
    let mut out = Vec::new();
    RowRef::Header(&Header { period_ms, ..header() }).write_to(&mut out);
    let mut made = 0;
    for seq in 1..=14_u64 {
        let at_boot_ns = START_BOOT_NS + seq * HALF_DAY_NS;
        let new: Vec<Flow<'_>> = (0..destinations)
            .filter(|at| at % 14 == seq - 1)
            .map(|at| {
                let addr = format!("10.{}.{}.7", at / 256, at % 256);
                let born_boot_ns = at_boot_ns - 1_000_000_000;
                let times = (born_boot_ns, born_boot_ns + 1);
                let row = to(at + 1, "curl", &addr, 443);
                Flow { seq, born_boot_ns: times.0, last_boot_ns: times.1, ..row }
            })
            .collect();
        new.iter().for_each(|row| RowRef::Flow(row).write_to(&mut out));
        made += new.len() as u64;
        let totals = Totals { tracked_in: made * 9, flows_inserted: made, ..Totals::default() };
        let at_unix_ms = START_UNIX_MS + seq * period_ms;
        let rows = new.len() as u64;
        let row = Sweep { at_boot_ns, at_unix_ms, totals, rows, ..sweep(seq, &new) };
        RowRef::Sweep(&row).write_to(&mut out);
    }
    fs::create_dir_all(spool).expect("made");
    fs::write(spool.join(name.to_string()), seal(out)).expect("written");
}
