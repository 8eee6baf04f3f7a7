// SPDX-License-Identifier: MIT OR Apache-2.0
//! `attach cgroup`.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ibsr_cli::{parse_duration, parse_size};
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::baseline::Baseline;
use ibsr_proto::cgroup_abi::DEFAULT_MAX_FLOWS;
use ibsr_proto::cgroup_behaviour_abi::{
    BATCH_INTERVALS, CV_PERCENT_LIMIT, MAX_INTERNAL_PEERS, PEER_BITMAP_BITS,
};
use ibsr_proto::cgroup_dns_abi::{DEFAULT_MAX_NAMES, DNS_PORTS, DNS_RESOLVERS};
use ibsr_proto::cgroup_zone_abi::{
    MAX_NXDOMAIN_ZONES, MAX_ZONE_NAMES, NAME_BITMAP_BITS, ZONE_BITMAP_BITS,
};
use ibsr_proto::linear_counting::bits_of;
use ibsr_proto::pins::PIN_GROUP;

use super::{MAX_SOURCES_LIMIT, PinArgs};
use crate::object::cgroup::{Limits, Settings};

/// How to attach to a cgroup.
#[derive(Debug, Clone, Args)]
pub struct CgroupArgs {
    /// Directory of the cgroup, for example /sys/fs/cgroup/system.slice/nginx.service
    pub path: PathBuf,

    /// Name of the scope, `cg-NAME`; default the last part of the path
    #[arg(long, value_name = "NAME", env = "IBSR_CGROUP_NAME")]
    pub name: Option<String>,

    /// Capacity in flows: remote ends of sockets
    ///
    /// About 240 bytes each, 23 MiB at the default, allocated at once. When the table is full,
    /// flows that were not used lately are dropped; the loss is counted.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_FLOWS, env = "IBSR_MAX_FLOWS",
          value_parser = clap::value_parser!(u32).range(1..=MAX_SOURCES_LIMIT))]
    pub max_flows: u32,

    /// Capacity in owners: processes with their rights
    ///
    /// About 168 bytes each, 16 MiB at the default. With fewer than there are, flows stay
    /// without the row that describes their owner.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_FLOWS, env = "IBSR_MAX_OWNERS",
          value_parser = clap::value_parser!(u32).range(1..=MAX_SOURCES_LIMIT))]
    pub max_owners: u32,

    /// What of DNS is read.
    #[command(flatten)]
    pub dns: DnsArgs,

    /// What of behaviour is flagged.
    #[command(flatten)]
    pub limits: LimitArgs,

    /// File with destinations that were there before, as `ibsr-report baseline` writes it
    ///
    /// A destination of an application that is not in it gets the flag `not_in_baseline`.
    #[arg(long, value_name = "FILE", env = "IBSR_BASELINE_FILE")]
    pub baseline: Option<PathBuf>,

    /// Where the pins are.
    #[command(flatten)]
    pub pins: PinArgs,

    /// Group that may read the pins, by name or number
    #[arg(long, value_name = "GROUP|GID", default_value = PIN_GROUP, env = "IBSR_GROUP")]
    pub group: String,

    /// Prove and print what would be done, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// What of DNS is read.
#[derive(Debug, Clone, Args)]
pub struct DnsArgs {
    /// Address of a resolver, may be repeated; default whoever a process asks
    ///
    /// Names are then learned from the answers of these only. With none, whoever a process asks
    /// can name any address as it likes, in the rows of that cgroup.
    #[arg(long = "resolver", value_name = "ADDR", env = "IBSR_RESOLVERS", value_delimiter = ',')]
    pub resolvers: Vec<IpAddr>,

    /// UDP port that resolvers listen at, may be repeated
    #[arg(long = "dns-port", value_name = "PORT", env = "IBSR_DNS_PORTS", value_delimiter = ',',
          default_value = "53", value_parser = clap::value_parser!(u16).range(1..))]
    pub dns_ports: Vec<u16>,

    /// Capacity in names, and in addresses that have one
    ///
    /// About 352 bytes for both, 11 MiB at the default.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_NAMES, env = "IBSR_MAX_NAMES",
          value_parser = clap::value_parser!(u32).range(1..=MAX_SOURCES_LIMIT))]
    pub max_names: u32,
}

/// What of behaviour is flagged. Counters are kept whatever the limits are.
#[derive(Debug, Clone, Args)]
pub struct LimitArgs {
    /// Length of the window that the limits per window are for
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse_duration,
          env = "IBSR_WINDOW")]
    pub window: Duration,

    /// Flag intervals between connections that vary by at most this many percent
    ///
    /// Coefficient of variation: 10 is what an even jitter of 17 percent either way has.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, env = "IBSR_REGULAR_PERCENT",
          value_parser = clap::value_parser!(u32).range(0..=i64::from(CV_PERCENT_LIMIT)))]
    pub regular_percent: u32,

    /// Judge intervals from this many in a row on
    #[arg(long, value_name = "N", default_value_t = 24, env = "IBSR_REGULAR_COUNT",
          value_parser = clap::value_parser!(u32).range(2..=i64::from(BATCH_INTERVALS)))]
    pub regular_count: u32,

    /// Flag an application that sends this much in a window to public addresses
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size,
          env = "IBSR_VOLUME_OUT")]
    pub volume_out: u64,

    /// Flag an application that connects to this many internal addresses in a window
    #[arg(long, value_name = "N", default_value_t = 100, env = "IBSR_INTERNAL_PEERS",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_INTERNAL_PEERS)))]
    pub internal_peers: u32,

    /// Flag an application of which this many connects come to nothing in a window
    #[arg(long, value_name = "N", default_value_t = 100, env = "IBSR_FAILED_CONNECTS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub failed_connects: u64,

    /// Flag an application that asks for this many names of one DNS zone in a window
    ///
    /// A zone is the last two labels of a name.
    #[arg(long, value_name = "N", default_value_t = 200, env = "IBSR_ZONE_NAMES",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_ZONE_NAMES)))]
    pub zone_names: u32,

    /// Flag an application of which the names of one zone in a window are this long together
    ///
    /// Counted is what stands in front of the zone: what could be said by asking.
    #[arg(long, value_name = "SIZE", default_value = "8KiB", value_parser = parse_size,
          env = "IBSR_ZONE_NAME_BYTES")]
    pub zone_name_bytes: u64,

    /// Flag an application that asks in this many zones for what does not exist in a window
    #[arg(long, value_name = "N", default_value_t = 50, env = "IBSR_NXDOMAIN_ZONES",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_NXDOMAIN_ZONES)))]
    pub nxdomain_zones: u32,
}

impl CgroupArgs {
    /// What the programs are told.
    ///
    /// # Errors
    /// When there are more resolvers or ports than the programs take.
    pub fn settings(&self, baseline: Option<&Baseline>) -> anyhow::Result<Settings> {
        let mut dns_ports = [0; DNS_PORTS];
        let DnsArgs { resolvers, dns_ports: ports, max_names } = &self.dns;
        anyhow::ensure!(ports.len() <= DNS_PORTS, "at most {DNS_PORTS} times --dns-port");
        anyhow::ensure!(
            resolvers.len() <= DNS_RESOLVERS,
            "at most {DNS_RESOLVERS} times --resolver"
        );
        dns_ports[..ports.len()].copy_from_slice(ports);
        let limits = &self.limits;
        Ok(Settings {
            max_flows: self.max_flows,
            max_owners: self.max_owners,
            max_names: *max_names,
            dns_ports,
            resolvers: resolvers.iter().copied().map(SourceAddr::from).collect(),
            limits: Limits {
                window_ns: u64::try_from(limits.window.as_nanos()).unwrap_or(u64::MAX),
                volume_out_bytes: limits.volume_out,
                failed_connects: limits.failed_connects,
                regular_cv_percent: limits.regular_percent,
                regular_count: limits.regular_count,
                internal_peer_bits: bits_of(limits.internal_peers, PEER_BITMAP_BITS),
                zone_name_bytes: limits.zone_name_bytes,
                zone_name_bits: bits_of(limits.zone_names, NAME_BITMAP_BITS),
                nxdomain_zone_bits: bits_of(limits.nxdomain_zones, ZONE_BITMAP_BITS),
            },
            baseline_hash: baseline.map_or(0, Baseline::hash),
            baseline_entries: baseline.map_or(0, |it| it.entries.len() as u32),
        })
    }
}
