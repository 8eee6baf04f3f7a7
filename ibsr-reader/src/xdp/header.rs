// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first line of a segment, from what the loader wrote into `meta`. Pure.

use ibsr_proto::abi::{Evidence, Meta, ProofKind, Table, XdpMode};
use ibsr_proto::ports::PortSet;
use ibsr_proto::snapshot::{Header, SCHEMA};

use crate::settings::Settings;

/// First line of every segment of these pins.
#[must_use]
pub fn header(settings: &Settings, meta: &Meta) -> Header {
    let ports = PortSet::from_bitmap(meta.dst_ports);
    let ranges = if ports.is_all() { Vec::new() } else { ports.ranges() };
    let (single, wide): (Vec<_>, Vec<_>) =
        ranges.into_iter().partition(|(first, last)| first == last);
    let word = |word: Option<&'static str>| word.unwrap_or_default().to_owned();
    Header {
        schema: SCHEMA.to_owned(),
        tool: concat!("ibsr-reader ", env!("CARGO_PKG_VERSION")).to_owned(),
        host: settings.host.clone(),
        boot_id: meta.boot_id_text(),
        scope: settings.scope.to_string(),
        ifname: meta.ifname(),
        ifindex: meta.ifindex,
        epoch: meta.epoch_text(),
        attached_boot_ns: meta.attached_boot_ns,
        program_sha256: meta.program_sha256_text(),
        evidence: word(Evidence::from_abi(meta.evidence).map(Evidence::as_str)),
        xdp_mode: word(XdpMode::from_abi(meta.xdp_mode).map(XdpMode::as_str)),
        period_ms: settings.period_ns / 1_000_000,
        max_sources: meta.max_sources,
        table: word(Table::from_abi(meta.table).map(Table::as_str)),
        proof: word(ProofKind::from_abi(meta.proof).map(ProofKind::as_str)),
        admits_first: meta.admits_first != 0,
        dst_ports: single.into_iter().map(|(port, _)| port).collect(),
        dst_port_ranges: wide,
    }
}

#[cfg(test)]
mod tests {
    use ibsr_proto::abi::{META_MAGIC, PORT_BYTES};
    use ibsr_proto::ports::PortRange;
    use zerocopy::FromBytes as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn settings() -> Settings {
        let line = "ibsr-reader run --scope xdp-eth0 --spool /s --host h1";
        let cli = <Cli as clap::Parser>::try_parse_from(line.split(' ')).expect("parses");
        let Command::Run(run) = cli.command else { panic!("run") };
        run.settings()
    }

    fn meta(dst_ports: [u8; PORT_BYTES]) -> Meta {
        let zeroes = Meta::read_from_bytes(&[0; size_of::<Meta>()]).expect("zeroes");
        Meta { magic: META_MAGIC, epoch: 0xc0ffee, xdp_mode: 1, evidence: 2, dst_ports, ..zeroes }
    }

    fn of_ports(texts: &[&str]) -> Header {
        let ranges: Vec<PortRange> = texts.iter().map(|text| text.parse().expect("port")).collect();
        header(&settings(), &meta(*PortSet::from_ranges(&ranges).bitmap()))
    }

    #[test]
    fn single_ports_and_ranges_stand_apart_and_all_ports_are_none() {
        let some = of_ports(&["443", "8000-8100", "22"]);
        assert_eq!((some.dst_ports, some.dst_port_ranges), (vec![22, 443], vec![(8000, 8100)]));
        let all = of_ports(&[]);
        assert!(all.dst_ports.is_empty() && all.dst_port_ranges.is_empty());
    }

    #[test]
    fn numbers_of_the_abi_become_words() {
        let header = of_ports(&[]);
        assert_eq!((header.evidence.as_str(), header.xdp_mode.as_str()), ("exclusive", "native"));
        assert_eq!((header.epoch.as_str(), header.period_ms), ("0000000000c0ffee", 10_000));
        let unknown = Meta { xdp_mode: 9, ..meta([0; PORT_BYTES]) };
        assert_eq!(super::header(&settings(), &unknown).xdp_mode, "");
    }
}
