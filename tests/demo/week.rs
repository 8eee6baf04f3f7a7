// SPDX-License-Identifier: MIT OR Apache-2.0
//! A week that nobody waits for: segments as the second sensor leaves them on a host whose
//! applications use thousands of services, of which the policy denies none. Simulated, and the
//! only thing in the demo that is.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_proto::snapshot::SegmentName;
use ibsr_proto::snapshot::cgroup::{Flow, Header, Owner, RowRef, Sweep, Totals};
use ibsr_tests::flow_segments::{flow, header, sweep};
use ibsr_tests::segments::{BOOT_ID, START_BOOT_NS, seal};
use jiff::Timestamp;

use crate::guard::HOST;

/// Services, each used once.
const SERVICES: u64 = 3_600;
/// Counters are cumulative, so a sweep twice a day loses nothing.
const SWEEPS: u64 = 16;
const PERIOD_MS: u64 = 43_200_000;
const SCOPE: &str = "cg-demo";

/// Writes it below `dir`: eight days that end now, of the cgroup with that id and path.
pub fn write(dir: &Path, (cgroup_id, cgroup_path): (u64, &str)) -> Result<()> {
    let now_ms = u64::try_from(Timestamp::now().as_millisecond()).context("a clock before 1970")?;
    let start_unix_ms = now_ms - (SWEEPS + 1) * PERIOD_MS;
    let head = Header {
        host: HOST.into(),
        scope: SCOPE.into(),
        cgroup_id,
        cgroup_path: cgroup_path.to_owned(),
        period_ms: PERIOD_MS,
        ..header()
    };
    let mut out = Vec::new();
    RowRef::Header(&head).write_to(&mut out);
    let mut made = 0;
    for seq in 1..=SWEEPS {
        let at_boot_ns = START_BOOT_NS + seq * PERIOD_MS * 1_000_000;
        let mine = (0..SERVICES).filter(|number| number % SWEEPS == seq - 1);
        let flows: Vec<Flow<'_>> = mine
            .map(|number| Flow { seq, ..to_service(number, at_boot_ns, (cgroup_id, cgroup_path)) })
            .collect();
        flows.iter().for_each(|row| RowRef::Flow(row).write_to(&mut out));
        made += flows.len() as u64;
        let packets = |row: &Flow<'_>| row.packets_in + row.packets_out;
        let each = flows.first().map_or(0, packets);
        let totals = Totals { tracked_in: made * each, flows_inserted: made, ..Totals::default() };
        let (at_unix_ms, rows) = (start_unix_ms + seq * PERIOD_MS, flows.len() as u64);
        let row = Sweep { at_boot_ns, at_unix_ms, totals, rows, ..sweep(seq, &flows) };
        RowRef::Sweep(&row).write_to(&mut out);
    }
    let name = SegmentName {
        host: HOST.into(),
        scope: SCOPE.into(),
        boot8: BOOT_ID.chars().take(8).collect(),
        first_seq: 1,
        merged_to: None,
    };
    fs::create_dir_all(dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
    fs::write(dir.join(name.to_string()), seal(out)).context("failed to write the week")
}

fn to_service(number: u64, at_boot_ns: u64, (id, path): (u64, &str)) -> Flow<'static> {
    let row = flow(number + 1, "worker", 1, 100);
    let [.., high, low] = number.to_be_bytes();
    let born_boot_ns = at_boot_ns - 1_000_000_000;
    let owner = row.owner.clone().map(|owner| Owner { cgroup_id: id, ..owner });
    Flow {
        remote_addr: Some(std::net::IpAddr::V4(Ipv4Addr::new(192, 88, high, low)).into()),
        name: Some(format!("service-{number}.example.com").into()),
        cgroup_id: id,
        cgroup_path: Some(path.to_owned().into()),
        born_boot_ns,
        last_boot_ns: born_boot_ns + 1,
        owner,
        ..row
    }
}
