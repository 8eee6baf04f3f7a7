// SPDX-License-Identifier: MIT OR Apache-2.0
//! Synthetic sites against the real sensor: a day of more than 10,000 sources of every kind,
//! packet by packet through the XDP program. What it counted must be what the flow-level
//! recording of the same site says, source by source, so that what is proven about rules on
//! synthetic recordings is about the program that runs.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ibsr_proto::abi::SourceKey;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::ports::PortSet;
use ibsr_proto::snapshot::Source;
use ibsr_replay::site::{
    Attack, AttackKind, Crowd, Mix, Packet, Preset, SiteSpec, Stampede, Steady, Sweeps, Wire,
};
use ibsr_tests::frames::Frame;
use ibsr_tests::prog::Sensor;
use test_tag::tag;

#[path = "site/both.rs"]
mod both;
#[path = "site/pending.rs"]
mod pending;

use pending::{Ends, Pending};

const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const HOST_V6: Ipv6Addr = Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1);
/// Ethernet, IP and TCP without options.
const HEADERS_V4: usize = 54;
const HEADERS_V6: usize = 74;
/// Room enough that nothing is evicted.
const MAX_SOURCES: u32 = 1 << 17;

/// Everybody, and few enough packets for a minute.
fn site() -> SiteSpec {
    let attack = |kind, hour: u64, lasts_s, rate_ps, sources| Attack {
        kind,
        day: 0,
        at_s: hour * 3_600,
        lasts_s,
        rate_ps,
        sources,
        is_neighbour: hour % 2 == 1,
    };
    SiteSpec {
        days: 1,
        clients_a_day: 3_800,
        mix: Mix {
            short_http: 3_000,
            keep_alive: 150,
            bulk: 3,
            slow_lossy: 400,
            broken: 200,
            stampede: 20,
            crawler: 2,
        },
        steady: Steady {
            nats: 1,
            nat_clients: 30,
            health_checkers: 2,
            monitors: 1,
            households: 50,
        },
        stampede: Stampede { syn_ps: vec![8, 30], lasts_s: (40, 60) },
        crowds: vec![Crowd { day: 0, hour: 18, clients: 1_500 }],
        attacks: vec![
            attack(AttackKind::SynFlood, 3, 60, 100, 3),
            attack(AttackKind::Spoofed, 12, 60, 200, 5_000),
            attack(AttackKind::LowAndSlow, 14, 3_600, 1, 3),
            attack(AttackKind::PortScan, 15, 40, 25, 3),
            attack(AttackKind::RstStorm, 16, 60, 50, 2),
            attack(AttackKind::Churn, 18, 60, 50, 2),
            attack(AttackKind::BehindNat, 13, 60, 100, 1),
        ],
        ..Preset::Quiet.spec(20, 1, 100)
    }
}

fn frame(packet: &Packet) -> Vec<u8> {
    let (frame, headers) = match packet.src.to_ip() {
        IpAddr::V4(src) => (Frame::v4(src, HOST_V4), HEADERS_V4),
        IpAddr::V6(src) => (Frame::v6(src, HOST_V6), HEADERS_V6),
    };
    let len = packet.frame_len as usize;
    // What a link adds to a short frame is no data; options count like data.
    let data = if len > 60 { len - headers } else { 0 };
    frame
        .ports(packet.src_port, packet.dst_port)
        .seq(packet.seq)
        .flags(packet.flags)
        .payload(&vec![0; data])
        .pad_to(len)
        .build()
}

fn ends(packet: &Packet) -> Ends {
    let dst = match packet.src.to_ip() {
        IpAddr::V4(_) => SourceAddr::from(IpAddr::V4(HOST_V4)),
        IpAddr::V6(_) => SourceAddr::from(IpAddr::V6(HOST_V6)),
    };
    Ends { dst: dst.to_bytes() }
}

/// What the recording says of every source at the end.
fn recorded(spec: &SiteSpec) -> (BTreeMap<SourceKey, Source>, u64, u64) {
    let mut sweeps = Sweeps::new(spec.clone()).expect("a site");
    let mut rows = BTreeMap::new();
    let (mut packets, mut bytes) = (0, 0);
    while let Some(swept) = sweeps.next_sweep() {
        (packets, bytes) = (swept.close.totals.tracked, swept.close.totals.tracked_bytes);
        for row in swept.sources {
            let key = SourceKey { addr: row.src.to_bytes(), dst_port: row.dst_port, pad: 0 };
            rows.insert(key, *row);
        }
    }
    (rows, packets, bytes)
}

/// The program keeps pending SYNs in a bounded table, so a few handshakes are lost to other
/// connections' SYNs; which ones is worked out beside it, and nothing else may differ.
#[tag(root)]
#[test]
fn the_program_counts_what_the_recording_says() {
    let spec = site();
    let (mut rows, packets, bytes) = recorded(&spec);
    let sources = spec.truth().len();
    assert!(sources > 10_000, "{sources} sources");
    let sensor = Sensor::load(&PortSet::all(), MAX_SOURCES);
    let mut pending = Pending::default();
    let mut wire = Wire::new(spec).expect("a site");
    while let Some(packets) = wire.next_packets() {
        for packet in packets {
            let frame = frame(packet);
            assert_eq!(frame.len(), packet.frame_len as usize, "{packet:?}");
            sensor.see(&frame);
            pending.see(packet, ends(packet));
        }
    }
    let totals = sensor.totals();
    assert_eq!((totals.tracked, totals.tracked_bytes), (packets, bytes));
    assert_eq!(totals.received, packets, "every frame is TCP to a counted port");
    assert_eq!(totals.inserted, rows.len() as u64);
    assert_eq!(totals.pending_lost, pending.lost);
    let lost: u64 = pending.unseen.values().sum();
    assert!(lost < packets / 10_000, "{lost} handshakes lost of {packets} packets");
    for ((src, dst_port), lost) in pending.unseen {
        let key = SourceKey { addr: src.to_bytes(), dst_port, pad: 0 };
        rows.get_mut(&key).expect("a source that was counted").handshakes -= lost;
    }
    let counted = sensor.sources();
    assert_eq!(counted.len(), rows.len());
    for (key, row) in rows {
        let found = counted[&key];
        let found = [
            found.syn,
            found.ack,
            found.handshakes,
            found.fin,
            found.rst,
            found.packets,
            found.bytes,
        ];
        let said = [row.syn, row.ack, row.handshakes, row.fin, row.rst, row.packets, row.bytes];
        assert_eq!(found, said, "{} port {}", row.src, row.dst_port);
    }
}
