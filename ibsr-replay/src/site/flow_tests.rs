// SPDX-License-Identifier: MIT OR Apache-2.0
//! The closed forms against the packets themselves.

use super::*;
use crate::site::address;
use crate::site::shape::Shape;
use crate::site::sweeps::empty;

const S: u64 = 1_000_000_000;

const ALL: [Shape; 10] = [
    Shape::Http,
    Shape::HttpRetried,
    Shape::KeepAlive,
    Shape::Bulk,
    Shape::Lossy,
    Shape::Unanswered,
    Shape::SynOnly,
    Shape::HalfOpen,
    Shape::Touch,
    Shape::Rst,
];

fn flow(shape: Shape, random: &mut Random) -> Flow {
    Flow {
        at_ns: random.between((1, 100 * S)),
        src: if random.chance(500_000) {
            address::client_v4(1, 2)
        } else {
            address::client_v6(1, 2)
        },
        first_src_port: random.below(100_000),
        is_upper: random.chance(500_000),
        dst_port: 443,
        port_stride: u16::from(random.chance(250_000)),
        count: random.between((1, if shape == Shape::Bulk { 2 } else { 40 })),
        every_ns: random.pick(&[0, 1, S / 7, 3 * S]),
        script: shape.script(random),
    }
}

/// The sensor's rules over packets, one by one.
fn sensed(flow: &Flow, over: Over) -> std::collections::BTreeMap<u16, Source> {
    let mut packets = Vec::new();
    let whole = Over { from_ns: over.epoch_ns, ..over };
    flow.packets(whole, &mut packets);
    packets.sort_unstable();
    let mut pending = std::collections::BTreeMap::new();
    let mut rows = std::collections::BTreeMap::new();
    for packet in packets {
        let has = |flag: u8| packet.flags & flag != 0;
        let connection = (packet.src_port, packet.dst_port);
        let is_step = !has(flag::RST) && (has(flag::SYN) != has(flag::ACK));
        let is_completed = if is_step && has(flag::SYN) {
            pending.insert(connection, packet.seq.wrapping_add(1));
            false
        } else {
            is_step && pending.get(&connection) == Some(&packet.seq) && {
                pending.remove(&connection);
                true
            }
        };
        if packet.at_ns <= over.from_ns {
            continue;
        }
        let row = rows.entry(packet.dst_port).or_insert_with(|| empty(flow.src, packet.dst_port));
        row.packets += 1;
        row.bytes += u64::from(packet.frame_len);
        row.syn += u64::from(has(flag::SYN) && !has(flag::ACK));
        row.ack += u64::from(has(flag::ACK));
        row.fin += u64::from(has(flag::FIN));
        row.rst += u64::from(has(flag::RST));
        row.handshakes += u64::from(is_completed);
        row.born_boot_ns = row.born_boot_ns.min(packet.at_ns);
        row.last_boot_ns = row.last_boot_ns.max(packet.at_ns);
    }
    rows
}

fn counted(flow: &Flow, over: Over) -> std::collections::BTreeMap<u16, Source> {
    let mut rows = std::collections::BTreeMap::new();
    flow.by_port(over, |port, connections| {
        let mut row = empty(flow.src, port);
        flow.count_into(&mut row, over, connections);
        if row.packets > 0 {
            assert!(rows.insert(port, row).is_none(), "a port twice");
        }
    });
    rows
}

/// Any stretch of any flow, also one that begins in the middle of a connection and one
/// whose maps are newer than the connection.
#[test]
fn what_is_counted_is_what_the_sensor_sees_packet_by_packet() {
    let mut random = Random::new(11);
    let mut handshakes = 0;
    for round in 0..800 {
        let flow = flow(ALL[round % ALL.len()], &mut random);
        let epoch_ns = random.pick(&[0, 0, flow.at_ns + S / 20, 60 * S]);
        let from_ns = epoch_ns + random.pick(&[0, random.clone().below(200 * S)]);
        let over = Over { from_ns, to_ns: from_ns + random.below(60 * S), epoch_ns };
        let (sensed, counted) = (sensed(&flow, over), counted(&flow, over));
        assert_eq!(counted, sensed, "{round}: {flow:?} {over:?}");
        handshakes += counted.values().map(|row| row.handshakes).sum::<u64>();
    }
    assert!(handshakes > 500, "{handshakes}");
}

/// A flow that waits for a slot too late would lose packets; one that waits for ever would
/// never end.
#[test]
fn a_flow_is_never_woken_after_its_next_packet() {
    let mut random = Random::new(12);
    for round in 0..500 {
        let flow = flow(ALL[round % ALL.len()], &mut random);
        let mut packets = Vec::new();
        let all = Over { from_ns: 0, to_ns: u64::MAX, epoch_ns: 0 };
        flow.packets(all, &mut packets);
        packets.sort_unstable();
        for ns in [0, flow.at_ns - 1, flow.at_ns, flow.at_ns + random.below(100 * S), 300 * S] {
            let next = packets.iter().map(|packet| packet.at_ns).find(|at| *at > ns);
            let woken = flow.next_after(ns);
            assert_eq!(next.is_some(), woken.is_some(), "{ns} {flow:?}");
            assert!(woken.is_none_or(|woken| woken > ns && Some(woken) <= next), "{ns} {flow:?}");
        }
    }
}

#[test]
fn frames_are_as_long_as_their_headers_say() {
    let len = |shape: Shape, src| {
        let flow = Flow { src, count: 1, ..flow(shape, &mut Random::new(1)) };
        let mut packets = Vec::new();
        flow.packets(Over { from_ns: 0, to_ns: u64::MAX, epoch_ns: 0 }, &mut packets);
        packets[0].frame_len
    };
    let (v4, v6) = (address::client_v4(1, 1), address::client_v6(1, 1));
    assert_eq!((len(Shape::SynOnly, v4), len(Shape::SynOnly, v6)), (74, 94));
    assert_eq!((len(Shape::Rst, v4), len(Shape::Rst, v6)), (60, 74));
}
