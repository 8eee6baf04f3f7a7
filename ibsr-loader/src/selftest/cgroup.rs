// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs of the cgroup sensor: proven, loaded and compared. No packet can be put into
//! them without a socket, so they are not run.

use anyhow::Result;
use ibsr_proto::abi::hex;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::missing;
use ibsr_proto::cgroup_dns_abi::{DNS_PORTS, DNS_RESOLVERS};

use crate::object::Storage;
use crate::object::cgroup::{self as object, Knobs, Limits, Settings};

/// Entries of each table that can be sized.
const ROWS: u32 = 64;

/// What the kernel took, in lines to print. All that settings can leave out is there, so that the verifier
/// walks every instruction.
pub(super) fn prove_and_load() -> Result<Vec<String>> {
    let settings = Settings {
        max_flows: ROWS,
        max_owners: ROWS,
        max_names: ROWS,
        dns_ports: [53; DNS_PORTS],
        resolvers: vec![SourceAddr::from(std::net::IpAddr::from([192, 0, 2, 53])); DNS_RESOLVERS],
        limits: Limits {
            window_ns: 1,
            volume_out_bytes: 1,
            failed_connects: 1,
            regular_cv_percent: 1,
            regular_count: 2,
            internal_peer_bits: 1,
            zone_name_bytes: 1,
            zone_name_bits: 1,
            nxdomain_zone_bits: 1,
        },
        baseline_hash: 0,
        baseline_entries: 1,
    };
    let knobs = Knobs { cgroup_id: 1, seed: 1 };
    let mut storage = [(); 3].map(|()| Storage::uninit());
    let loaded = object::load_what_the_kernel_has(storage.each_mut(), |storage, without| {
        object::prepare(storage, &settings, knobs, None, without)
    })?;
    let mut programs = 0;
    loaded.for_each_prog(|_, _, _| {
        programs += 1;
        Ok(())
    })?;
    let took = format!(
        "cgroup   {programs} programs, each can only allow; the kernel took them as proven"
    );
    let lacks = missing::ALL.iter().filter(|(bit, ..)| loaded.missing() & bit != 0);
    let lacks = lacks.map(|(_, name, words)| format!("missing  `{name}`: {words}"));
    let digest = format!("digest   {}", hex(&loaded.digest()));
    Ok(std::iter::once(took).chain(lacks).chain([digest]).collect())
}
