// SPDX-License-Identifier: MIT OR Apache-2.0
//! What counts as a completed handshake. Each case is a list of segments of one or more
//! connections and the number of handshakes that their sources must show.

use ibsr_proto::ports::PortSet;
use ibsr_tests::frames::{Frame, ethertype, flag};
use ibsr_tests::prog::Sensor;
use test_tag::tag;

const SYN: u8 = flag::SYN;
const ACK: u8 = flag::ACK;

/// A segment of the connection from 203.0.113.9, port 40000.
fn first(flags: u8, seq: u32) -> Frame {
    Frame::v4([203, 0, 113, 9], [10, 77, 0, 1]).flags(flags).seq(seq)
}

/// A segment of another connection of that source.
fn second(flags: u8, seq: u32) -> Frame {
    first(flags, seq).ports(40_001, 443)
}

fn v6(flags: u8, seq: u32) -> Frame {
    Frame::v6([0xfd77, 0, 0, 0, 0, 0, 0, 2], [0xfd77, 0, 0, 0, 0, 0, 0, 1]).flags(flags).seq(seq)
}

fn handshakes(sensor: &Sensor) -> u64 {
    sensor.sources().values().map(|source| source.handshakes).sum()
}

#[tag(root)]
#[test]
fn a_handshake_is_the_first_ack_behind_its_own_syn() {
    let cases: [(&str, Vec<Frame>, u64); 17] = [
        ("SYN, ACK", vec![first(SYN, 9), first(ACK, 10)], 1),
        ("SYN alone", vec![first(SYN, 9)], 0),
        ("ACK alone", vec![first(ACK, 10)], 0),
        ("ACK before SYN", vec![first(ACK, 10), first(SYN, 9)], 0),
        ("SYN twice, ACK", vec![first(SYN, 9), first(SYN, 9), first(ACK, 10)], 1),
        ("SYN, ACK with its own number", vec![first(SYN, 9), first(ACK, 9)], 0),
        ("SYN, wrong ACK, right ACK", vec![first(SYN, 9), first(ACK, 8), first(ACK, 10)], 1),
        ("SYN again with a new number", vec![first(SYN, 9), first(SYN, 50), first(ACK, 10)], 0),
        (
            "data repeats the number",
            vec![first(SYN, 9), first(ACK, 10), first(ACK | flag::PSH, 10).payload(b"GET /")],
            1,
        ),
        ("ACK with data", vec![first(SYN, 9), first(ACK | flag::PSH, 10).payload(b"GET /")], 1),
        ("the number wraps", vec![first(SYN, u32::MAX), first(ACK, 0)], 1),
        ("RST instead of ACK", vec![first(SYN, 9), first(flag::RST | ACK, 10)], 0),
        ("SYN and ACK in one", vec![first(SYN | ACK, 9), first(ACK, 10)], 0),
        (
            "two connections, interleaved",
            vec![first(SYN, 9), second(SYN, 70), second(ACK, 71), first(ACK, 10)],
            2,
        ),
        ("the ACK of another connection", vec![first(SYN, 9), second(ACK, 10)], 0),
        ("IPv6", vec![v6(SYN, 9), v6(ACK, 10)], 1),
        (
            "the ACK comes with a VLAN tag",
            vec![first(SYN, 9), first(ACK, 10).vlan(ethertype::VLAN, 7)],
            1,
        ),
    ];
    for (what, frames, expected) in cases {
        let sensor = Sensor::load(&PortSet::all(), 1024);
        for frame in &frames {
            sensor.see(&frame.build());
        }
        assert_eq!(handshakes(&sensor), expected, "{what}");
        assert_eq!(sensor.totals().pending_lost, 0, "{what}");
    }
}

/// 2,000 connections wait at once in 262,144 slots: some meet, and each loser is counted.
#[tag(root)]
#[test]
fn every_syn_is_completed_or_counted_as_lost() {
    const CONNECTIONS: u32 = 2_000;
    let sensor = Sensor::load(&PortSet::all(), 1 << 16);
    let connection = |number: u32, flags, seq| {
        let src = std::net::Ipv4Addr::from(0x0a00_0000 + number / 2);
        let port = 20_000 + (number % 2) as u16;
        Frame::v4(src, [10, 77, 0, 1]).ports(port, 443).flags(flags).seq(seq).build()
    };
    for number in 0..CONNECTIONS {
        sensor.see(&connection(number, SYN, number));
    }
    let lost = sensor.totals().pending_lost;
    for number in 0..CONNECTIONS {
        sensor.see(&connection(number, ACK, number + 1));
    }
    assert!(lost > 0, "no two connections met");
    assert_eq!(handshakes(&sensor) + lost, u64::from(CONNECTIONS));
    assert_eq!(sensor.totals().pending_lost, lost, "an ACK loses nothing");
}
