// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slow parser that says what the sensor must make of a frame. It shares no code with the
//! program: headers are read by etherparse, lengths are slices that may not be had.

use std::net::Ipv4Addr;

use etherparse::{
    Ethernet2HeaderSlice, IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice,
    Ipv6HeaderSlice, Ipv6RawExtHeaderSlice, SingleVlanHeaderSlice, TcpHeaderSlice,
};
use ibsr_proto::abi::{MAX_IPV6_EXT, MAX_VLANS};
use ibsr_tests::frames::{ethertype, protocol};

/// Longest datagram that states its length.
const BIG: usize = 65_535;

/// Where parsing of a frame ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    NonIp,
    Malformed,
    Fragment,
    OtherL4,
    Tcp(Segment),
}

/// What is counted of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub src_port: u16,
    pub dst_port: u16,
    pub seq: u32,
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
}

/// Classifies a frame.
pub fn classify(frame: &[u8]) -> Class {
    link(frame).unwrap_or(Class::Malformed)
}

/// Nothing where a header is not there or contradicts itself.
fn link(frame: &[u8]) -> Option<Class> {
    let mut ethertype = Ethernet2HeaderSlice::from_slice(frame).ok()?.ether_type().0;
    let mut rest = &frame[14..];
    for _ in 0..MAX_VLANS {
        if ethertype == ethertype::VLAN || ethertype == ethertype::QINQ {
            ethertype = SingleVlanHeaderSlice::from_slice(rest).ok()?.ether_type().0;
            rest = &rest[4..];
        }
    }
    match ethertype {
        0 => None,
        ethertype::IPV4 => v4(rest),
        ethertype::IPV6 => v6(rest),
        _ => Some(Class::NonIp),
    }
}

fn v4(rest: &[u8]) -> Option<Class> {
    let ip = Ipv4HeaderSlice::from_slice(rest).ok()?;
    let length = match usize::from(ip.total_len()) {
        0 if rest.len() > BIG => rest.len(),
        length => length,
    };
    let payload = rest.get(..length)?.get(ip.slice().len()..)?;
    if ip.is_fragmenting_payload() {
        return Some(Class::Fragment);
    }
    match ip.protocol().0 {
        protocol::TCP => {
            let mapped = |addr: Ipv4Addr| addr.to_ipv6_mapped().octets();
            tcp(payload, mapped(ip.source_addr()), mapped(ip.destination_addr()))
        }
        _ => Some(Class::OtherL4),
    }
}

fn v6(rest: &[u8]) -> Option<Class> {
    let ip = Ipv6HeaderSlice::from_slice(rest).ok()?;
    let behind = &rest[ip.slice().len()..];
    let mut next = ip.next_header().0;
    let mut payload = match usize::from(ip.payload_length()) {
        0 if next == HOP_BY_HOP && rest.len() > BIG => behind,
        length => behind.get(..length)?,
    };
    for _ in 0..MAX_IPV6_EXT {
        let length = match next {
            FRAGMENT => {
                let header = Ipv6FragmentHeaderSlice::from_slice(payload).ok()?;
                if header.is_fragmenting_payload() {
                    return Some(Class::Fragment);
                }
                header.slice().len()
            }
            AUTH => IpAuthHeaderSlice::from_slice(payload).ok()?.slice().len(),
            HOP_BY_HOP | ROUTING | DESTINATION | MOBILITY => {
                Ipv6RawExtHeaderSlice::from_slice(payload).ok()?.slice().len()
            }
            _ => break,
        };
        next = payload[0];
        payload = &payload[length..];
    }
    match next {
        protocol::TCP => tcp(payload, ip.source(), ip.destination()),
        _ => Some(Class::OtherL4),
    }
}

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTH: u8 = 51;
const DESTINATION: u8 = 60;
const MOBILITY: u8 = 135;

fn tcp(payload: &[u8], src: [u8; 16], dst: [u8; 16]) -> Option<Class> {
    let tcp = TcpHeaderSlice::from_slice(payload).ok()?;
    Some(Class::Tcp(Segment {
        src,
        dst,
        src_port: tcp.source_port(),
        dst_port: tcp.destination_port(),
        seq: tcp.sequence_number(),
        syn: tcp.syn(),
        ack: tcp.ack(),
        fin: tcp.fin(),
        rst: tcp.rst(),
    }))
}
