// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first line of a segment, from what the loader wrote into `meta`. Pure.

use ibsr_proto::abi::Evidence;
use ibsr_proto::cgroup_abi::{CgroupMeta, missing};
use ibsr_proto::cgroup_behaviour_abi::PEER_BITMAP_BITS;
use ibsr_proto::cgroup_zone_abi::{NAME_BITMAP_BITS, ZONE_BITMAP_BITS};
use ibsr_proto::linear_counting::distinct_of;
use ibsr_proto::snapshot::SCHEMA;
use ibsr_proto::snapshot::cgroup::{Header, Limits};

use crate::settings::Settings;

/// First line of every segment of these pins.
#[must_use]
pub fn header(settings: &Settings, meta: &CgroupMeta) -> Header {
    let lacks = missing::ALL.iter().filter(|(bit, ..)| meta.missing & bit != 0);
    let evidence = Evidence::from_abi(meta.evidence).map(Evidence::as_str);
    Header {
        schema: SCHEMA.to_owned(),
        tool: concat!("ibsr-reader ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: settings.host.clone(),
        boot_id: meta.boot_id_text(),
        scope: settings.scope.to_string(),
        cgroup_id: meta.cgroup_id,
        cgroup_path: rooted(&meta.path()),
        epoch: meta.epoch_text(),
        attached_boot_ns: meta.attached_boot_ns,
        programs_sha256: meta.program_sha256_text(),
        evidence: evidence.unwrap_or_default().to_owned(),
        missing: lacks.map(|(_, name, _)| (*name).to_owned()).collect(),
        period_ms: settings.period_ns / 1_000_000,
        max_flows: meta.max_flows,
        resolvers: meta.resolvers().collect(),
        dns_ports: meta.dns_ports().collect(),
        limits: Limits {
            window_ms: meta.window_ns / 1_000_000,
            regular_percent: meta.regular_cv_percent,
            regular_count: meta.regular_count,
            volume_out_bytes: meta.volume_out_bytes,
            internal_peers: distinct_of(meta.internal_peer_bits, PEER_BITMAP_BITS),
            failed_connects: meta.failed_connects,
            zone_names: distinct_of(meta.zone_name_bits, NAME_BITMAP_BITS),
            zone_name_bytes: meta.zone_name_bytes,
            nxdomain_zones: distinct_of(meta.nxdomain_zone_bits, ZONE_BITMAP_BITS),
        },
        baseline_entries: meta.baseline_entries,
    }
}

/// As rows write paths: with a slash in front.
#[must_use]
pub fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use zerocopy::FromBytes as _;

    use super::*;
    use crate::cli::{Cli, Command};

    #[test]
    fn numbers_of_the_abi_become_words() {
        let line = "ibsr-reader run --scope cg-web --spool /s --host h1";
        let cli = <Cli as clap::Parser>::try_parse_from(line.split(' ')).expect("parses");
        let Command::Run(run) = cli.command else { panic!("run") };
        let mut meta = CgroupMeta::read_from_bytes(&[0; size_of::<CgroupMeta>()]).expect("zeroes");
        meta.path[..9].copy_from_slice(b"web.slice");
        let meta = CgroupMeta { epoch: 0xc0ffee, evidence: 1, cgroup_id: 7, ..meta };
        let header = super::header(&run.settings(), &CgroupMeta { missing: 1 << 31 | 2, ..meta });
        assert_eq!((header.scope.as_str(), header.evidence.as_str()), ("cg-web", "frozen"));
        assert_eq!((header.cgroup_path.as_str(), header.cgroup_id), ("/web.slice", 7));
        assert_eq!(
            (header.epoch.as_str(), header.missing),
            ("0000000000c0ffee", vec!["peername".to_owned()])
        );
        assert_eq!(rooted(""), "/");
    }
}
