// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ethernet frames, built and sent.
//!
//! [`Frame`] builds what a real sender would send, checksums included, and lets a test lie
//! in any one field: lengths, header lengths, flags. [`send_frames`] puts frames on the wire
//! of the namespace that the calling thread is in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netns::{HOST_MAC, PEER_MAC};

mod send;
pub use send::send_frames;

/// TCP flag bits.
pub mod flag {
    /// Last of the sender's data.
    pub const FIN: u8 = 0x01;
    /// First packet of a connection.
    pub const SYN: u8 = 0x02;
    /// Ends a connection at once.
    pub const RST: u8 = 0x04;
    /// Deliver now.
    pub const PSH: u8 = 0x08;
    /// The acknowledgement number counts.
    pub const ACK: u8 = 0x10;
}

/// EtherTypes and TPIDs.
pub mod ethertype {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// ARP.
    pub const ARP: u16 = 0x0806;
    /// 802.1Q tag.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// MPLS, one label path.
    pub const MPLS: u16 = 0x8847;
    /// `PPPoE` session.
    pub const PPPOE: u16 = 0x8864;
    /// 802.1ad tag: the outer one of `QinQ`.
    pub const QINQ: u16 = 0x88a8;
}

/// IP protocol numbers.
pub mod protocol {
    /// IPv4 in IP.
    pub const IPIP: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// GRE.
    pub const GRE: u8 = 47;
    /// IPv6 "nothing follows".
    pub const NONE: u8 = 59;
}

/// An IPv6 extension header. The number is its length field as it stands in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ext {
    /// Hop-by-hop options.
    HopByHop(u8),
    /// Destination options.
    Destination(u8),
    /// Routing.
    Routing(u8),
    /// Mobility.
    Mobility(u8),
    /// Authentication: its length counts 4-byte units minus 2.
    Auth(u8),
    /// Fragment: offset in 8-byte units, and whether more follow.
    Fragment(u16, bool),
}

impl Ext {
    const fn protocol(self) -> u8 {
        match self {
            Self::HopByHop(_) => 0,
            Self::Routing(_) => 43,
            Self::Fragment(..) => 44,
            Self::Auth(_) => 51,
            Self::Destination(_) => 60,
            Self::Mobility(_) => 135,
        }
    }

    fn write(self, next: u8, out: &mut Vec<u8>) {
        let (length, bytes) = match self {
            Self::HopByHop(n) | Self::Destination(n) | Self::Routing(n) | Self::Mobility(n) => {
                (n, (usize::from(n) + 1) * 8)
            }
            Self::Auth(n) => (n, (usize::from(n) + 2) * 4),
            Self::Fragment(offset, more) => {
                let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
                out.extend([next, 0, high, low, 0, 0, 0, 1]);
                return;
            }
        };
        let end = out.len() + bytes;
        // One PadN option that fills what a two-byte header can say; zeroes are Pad1.
        out.extend([next, length]);
        out.resize(end, 0);
    }
}

/// A frame in the making. Defaults: from the peer to the host of [`crate::netns::Pair`],
/// TCP, port 40000 to 443, no flag, no data.
#[derive(Debug, Clone)]
pub struct Frame {
    tags: Vec<(u16, u16)>,
    ethertype: Option<u16>,
    src: IpAddr,
    dst: IpAddr,
    ihl: Option<u8>,
    ip_options: Vec<u8>,
    ip_length: Option<u16>,
    ip_version: Option<u8>,
    fragment: (u16, bool),
    exts: Vec<Ext>,
    protocol: Option<u8>,
    raw: Option<Vec<u8>>,
    ports: (u16, u16),
    seq: u32,
    flags: u8,
    doff: Option<u8>,
    tcp_options: Vec<u8>,
    payload: Vec<u8>,
    pad_to: usize,
    cut_to: usize,
}

impl Frame {
    fn new(src: IpAddr, dst: IpAddr) -> Self {
        Self {
            tags: Vec::new(),
            ethertype: None,
            src,
            dst,
            ihl: None,
            ip_options: Vec::new(),
            ip_length: None,
            ip_version: None,
            fragment: (0, false),
            exts: Vec::new(),
            protocol: None,
            raw: None,
            ports: (40_000, 443),
            seq: 0,
            flags: 0,
            doff: None,
            tcp_options: Vec::new(),
            payload: Vec::new(),
            pad_to: 0,
            cut_to: usize::MAX,
        }
    }

    /// TCP over IPv4.
    #[must_use]
    pub fn v4(src: impl Into<Ipv4Addr>, dst: impl Into<Ipv4Addr>) -> Self {
        Self::new(IpAddr::V4(src.into()), IpAddr::V4(dst.into()))
    }

    /// TCP over IPv6.
    #[must_use]
    pub fn v6(src: impl Into<Ipv6Addr>, dst: impl Into<Ipv6Addr>) -> Self {
        Self::new(IpAddr::V6(src.into()), IpAddr::V6(dst.into()))
    }

    /// Puts a VLAN tag behind the tags that are there.
    #[must_use]
    pub fn vlan(mut self, tpid: u16, id: u16) -> Self {
        self.tags.push((tpid, id));
        self
    }

    /// Says another EtherType than that of the IP version.
    #[must_use]
    pub const fn ethertype(mut self, ethertype: u16) -> Self {
        self.ethertype = Some(ethertype);
        self
    }

    /// Says this IPv4 header length in 4-byte words, whatever is there.
    #[must_use]
    pub const fn ihl(mut self, words: u8) -> Self {
        self.ihl = Some(words);
        self
    }

    /// IPv4 options; a multiple of 4 bytes.
    #[must_use]
    pub fn ip_options(mut self, options: &[u8]) -> Self {
        self.ip_options = options.to_vec();
        self
    }

    /// Says this IPv4 total length or IPv6 payload length, whatever is there.
    #[must_use]
    pub const fn ip_length(mut self, bytes: u16) -> Self {
        self.ip_length = Some(bytes);
        self
    }

    /// Says this IP version in the first nibble.
    #[must_use]
    pub const fn ip_version(mut self, version: u8) -> Self {
        self.ip_version = Some(version);
        self
    }

    /// Makes it an IPv4 fragment: offset in 8-byte units, and whether more follow.
    #[must_use]
    pub const fn fragment(mut self, offset: u16, more: bool) -> Self {
        self.fragment = (offset, more);
        self
    }

    /// Puts an IPv6 extension header behind those that are there.
    #[must_use]
    pub fn ext(mut self, ext: Ext) -> Self {
        self.exts.push(ext);
        self
    }

    /// Says another protocol than TCP.
    #[must_use]
    pub const fn protocol(mut self, protocol: u8) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Carries these bytes instead of a TCP segment.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.raw = Some(bytes.to_vec());
        self
    }

    /// Source and destination port.
    #[must_use]
    pub const fn ports(mut self, src: u16, dst: u16) -> Self {
        self.ports = (src, dst);
        self
    }

    /// Sequence number.
    #[must_use]
    pub const fn seq(mut self, seq: u32) -> Self {
        self.seq = seq;
        self
    }

    /// TCP flags, of [`flag`].
    #[must_use]
    pub const fn flags(mut self, flags: u8) -> Self {
        self.flags = flags;
        self
    }

    /// Says this TCP header length in 4-byte words, whatever is there.
    #[must_use]
    pub const fn doff(mut self, words: u8) -> Self {
        self.doff = Some(words);
        self
    }

    /// TCP options; a multiple of 4 bytes.
    #[must_use]
    pub fn tcp_options(mut self, options: &[u8]) -> Self {
        self.tcp_options = options.to_vec();
        self
    }

    /// Data behind the TCP header.
    #[must_use]
    pub fn payload(mut self, bytes: &[u8]) -> Self {
        self.payload = bytes.to_vec();
        self
    }

    /// Pads the frame with zeroes to at least this length, outside of the IP datagram.
    #[must_use]
    pub const fn pad_to(mut self, bytes: usize) -> Self {
        self.pad_to = bytes;
        self
    }

    /// Cuts the frame to at most this length.
    #[must_use]
    pub const fn cut_to(mut self, bytes: usize) -> Self {
        self.cut_to = bytes;
        self
    }

    /// The bytes, from the destination MAC address on, without FCS.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        let mut frame = [HOST_MAC, PEER_MAC].concat();
        for (tpid, id) in &self.tags {
            frame.extend(tpid.to_be_bytes());
            frame.extend(id.to_be_bytes());
        }
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => self.write_v4(src, dst, &mut frame),
            (IpAddr::V6(src), IpAddr::V6(dst)) => self.write_v6(src, dst, &mut frame),
            _ => unreachable!("both addresses are of one family"),
        }
        frame.resize(frame.len().max(self.pad_to), 0);
        frame.truncate(self.cut_to);
        frame
    }

    fn write_v4(&self, src: Ipv4Addr, dst: Ipv4Addr, frame: &mut Vec<u8>) {
        frame.extend(self.ethertype.unwrap_or(ethertype::IPV4).to_be_bytes());
        let l4 = self.l4(&[&src.octets()[..], &dst.octets()].concat());
        let header_len = 20 + self.ip_options.len();
        let ihl = self.ihl.unwrap_or(header_len as u8 / 4);
        let length = self.ip_length.unwrap_or((header_len + l4.len()) as u16);
        let (offset, more) = self.fragment;
        let mut header = vec![self.ip_version.unwrap_or(4) << 4 | ihl & 0xf, 0];
        header.extend(length.to_be_bytes());
        header.extend([0, 1]);
        header.extend((offset | u16::from(more) << 13).to_be_bytes());
        header.extend([64, self.protocol.unwrap_or(protocol::TCP), 0, 0]);
        header.extend([src.octets(), dst.octets()].concat());
        header.extend(&self.ip_options);
        let sum = checksum(&header).to_be_bytes();
        header[10..12].copy_from_slice(&sum);
        frame.extend([header, l4].concat());
    }

    fn write_v6(&self, src: Ipv6Addr, dst: Ipv6Addr, frame: &mut Vec<u8>) {
        frame.extend(self.ethertype.unwrap_or(ethertype::IPV6).to_be_bytes());
        let l4 = self.l4(&[&src.octets()[..], &dst.octets()].concat());
        let last = self.protocol.unwrap_or(protocol::TCP);
        let mut exts = Vec::new();
        for (at, ext) in self.exts.iter().enumerate() {
            let next = self.exts.get(at + 1).map_or(last, |ext| ext.protocol());
            ext.write(next, &mut exts);
        }
        let length = self.ip_length.unwrap_or((exts.len() + l4.len()) as u16);
        frame.extend([self.ip_version.unwrap_or(6) << 4, 0, 0, 0]);
        frame.extend(length.to_be_bytes());
        frame.extend([self.exts.first().map_or(last, |ext| ext.protocol()), 64]);
        frame.extend([src.octets(), dst.octets()].concat());
        frame.extend([exts, l4].concat());
    }

    /// The TCP segment, or the bytes that stand for it. `addresses` are those of the pseudo
    /// header.
    fn l4(&self, addresses: &[u8]) -> Vec<u8> {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let (src, dst) = self.ports;
        let doff = self.doff.unwrap_or((20 + self.tcp_options.len()) as u8 / 4);
        let mut tcp = [src.to_be_bytes(), dst.to_be_bytes()].concat();
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend([0, 0, 0, 0, doff << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(&self.tcp_options);
        tcp.extend(&self.payload);
        let length = (tcp.len() as u32).to_be_bytes();
        let pseudo = [addresses, &length, &[0, 0, 0, protocol::TCP], &tcp].concat();
        let sum = checksum(&pseudo).to_be_bytes();
        tcp[16..18].copy_from_slice(&sum);
        tcp
    }
}

/// The Internet checksum (RFC 1071).
#[must_use]
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        pair => u32::from(pair[0]) << 8,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests;
