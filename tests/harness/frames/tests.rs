// SPDX-License-Identifier: MIT OR Apache-2.0
//! The builder against a parser of other people.

use etherparse::{NetSlice, SlicedPacket, TransportSlice};

use super::*;
use crate::netns::{PEER_IF, Pair, run};

const SRC: [u8; 4] = [203, 0, 113, 9];
const DST: [u8; 4] = [10, 77, 0, 1];

fn v6() -> Frame {
    Frame::v6(0xfd77_0000_0000_0000_0000_0000_0000_0002_u128, Ipv6Addr::LOCALHOST)
}

#[test]
fn a_plain_frame_is_what_a_sender_would_send() {
    let frame = Frame::v4(SRC, DST).ports(1234, 80).seq(7).flags(flag::SYN).payload(b"abc").build();
    let parsed = SlicedPacket::from_ethernet(&frame).expect("well-formed");
    let Some(NetSlice::Ipv4(ip)) = parsed.net else { panic!("IPv4") };
    assert_eq!(ip.header().header_checksum(), ip.header().to_header().calc_header_checksum());
    let Some(TransportSlice::Tcp(tcp)) = parsed.transport else { panic!("TCP") };
    assert_eq!(Some(tcp.checksum()), tcp.calc_checksum_ipv4(SRC, DST).ok());
    assert_eq!((tcp.source_port(), tcp.destination_port()), (1234, 80));
    assert!(tcp.syn() && !tcp.ack() && tcp.payload() == b"abc" && tcp.sequence_number() == 7);
}

#[test]
fn extension_headers_and_tags_are_in_order() {
    let frame = v6()
        .vlan(ethertype::QINQ, 5)
        .vlan(ethertype::VLAN, 6)
        .ext(Ext::HopByHop(1))
        .ext(Ext::Fragment(0, false))
        .ext(Ext::Auth(4))
        .flags(flag::ACK)
        .build();
    let parsed = SlicedPacket::from_ethernet(&frame).expect("well-formed");
    assert_eq!(parsed.vlan_ids().len(), 2);
    let Some(TransportSlice::Tcp(tcp)) = parsed.transport else { panic!("TCP") };
    assert!(tcp.ack() && tcp.destination_port() == 443);
}

#[test]
fn lies_are_told_and_lengths_obeyed() {
    let lie = Frame::v4(SRC, DST).ihl(3).ip_length(9).pad_to(100).cut_to(90).build();
    assert_eq!((lie.len(), lie[14], lie[17]), (90, 0x43, 9));
}

/// The far end of the wire counts every frame, whatever the size of the last batch.
#[test_tag::tag(root)]
#[test]
fn every_frame_that_is_sent_arrives() {
    let pair = Pair::new();
    // IPv4 datagrams of the namespace: the kernel's own multicast reports are IPv6.
    let count = || {
        let snmp = run(pair.host.command("cat").arg("/proc/net/snmp"));
        let snmp = String::from_utf8(snmp.stdout).expect("text");
        let mut ip =
            snmp.lines().filter(|line| line.starts_with("Ip: ")).map(str::split_whitespace);
        let (names, values) = (ip.next().expect("names"), ip.next().expect("values"));
        let received = names.zip(values).find(|(name, _)| *name == "InReceives");
        received.and_then(|(_, value)| value.parse::<u64>().ok()).expect("a count")
    };
    let before = count();
    let frame = Frame::v4(SRC, DST).build();
    let sent = pair
        .peer
        .inside(|| send_frames(PEER_IF, std::iter::repeat_with(|| frame.clone()).take(1001)));
    assert_eq!((sent, count() - before), (1001, 1001));
}
