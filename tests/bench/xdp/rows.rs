// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows of `make bench-xdp`: which packets, from whom, with how many ports selected and a
//! table of which size, and what is promised of them.

use std::net::{Ipv4Addr, Ipv6Addr};

use ibsr_proto::abi::{DEFAULT_MAX_SOURCES, SourceKey};
use ibsr_tests::frames::{Frame, ethertype, flag};

use crate::programs::{Senders, address};

const PEER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
const HOST_V6: [u16; 8] = [0xfd77, 0, 0, 0, 0, 0, 0, 1];
const PEER_V6: [u16; 8] = [0xfd77, 0, 0, 0, 0, 0, 0, 2];
/// What a busy server selects. 443, where the packets go, stands in the middle: a loop over
/// the list takes as long as it does on average.
const EIGHT_PORTS: [u16; 8] = [22, 25, 80, 443, 993, 5432, 8080, 8443];
const OTHER_PORT: u16 = 9;
/// Room for a million sources and for what an LRU table keeps free on each CPU.
const TABLE_OF_A_MILLION: u32 = 1_200_000;
const ZIPF_SOURCES: u32 = 1_000_000;
/// As many draws as there are before they repeat; a power of two.
const ZIPF_DRAWS: usize = 4 << 20;
/// In a schedule: an ACK of a flood address.
const WORD_ACK: u32 = 1 << 30;

/// What is promised of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Promise {
    /// Nothing.
    None,
    /// At most this share of what the yardstick adds.
    Share(f64),
    /// At most so many nanoseconds.
    AddedNs(f64),
}

/// Rows of one group differ in the number of selected ports only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// Of none.
    None,
    /// Packets of a known source.
    Known,
    /// Packets to a port that is not selected.
    OtherPort,
}

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// What the packets are.
    pub name: String,
    /// The packet, up to its sender.
    pub frame: Vec<u8>,
    /// Who sends it.
    pub senders: Senders,
    /// Who sends when, where `senders` is a schedule.
    pub schedule: Vec<u32>,
    /// Selected ports.
    pub ports: Vec<u16>,
    /// Entries of the tables.
    pub entries: u32,
    /// Packets before the first round: until the tables are as full as they get.
    pub warm_up: u32,
    /// Sources that the sensor has seen a proof of; the yardstick knows all of them alike.
    pub proven: Vec<SourceKey>,
    /// Whether the yardstick counts such packets at all.
    pub is_for_yardstick: bool,
    /// What is promised.
    pub promise: Promise,
    /// What it is compared with for the number of ports.
    pub group: Group,
}

fn row(name: &str, frame: Frame) -> Row {
    Row {
        name: name.to_owned(),
        frame: frame.build(),
        senders: Senders::Frame,
        schedule: Vec::new(),
        ports: EIGHT_PORTS.to_vec(),
        entries: DEFAULT_MAX_SOURCES,
        warm_up: 10_000,
        proven: Vec::new(),
        is_for_yardstick: true,
        promise: Promise::None,
        group: Group::None,
    }
}

fn v4() -> Frame {
    Frame::v4(PEER, [10, 77, 0, 1]).flags(flag::ACK)
}

/// All rows in the order of the table.
pub fn rows() -> Vec<Row> {
    let beyond_yardstick = |row: Row| Row { is_for_yardstick: false, ..row };
    let promised = |row: Row| Row { promise: Promise::Share(0.9), ..row };
    let v6 = row("1 source, IPv6", Frame::v6(PEER_V6, HOST_V6).flags(flag::ACK));
    let v6 = Row { proven: vec![key(Ipv6Addr::from(PEER_V6))], ..v6 };
    let mut rows = vec![
        promised(proven(row("1 source", v4()), PEER)),
        promised(all_proven(uniform(1_000, DEFAULT_MAX_SOURCES))),
        all_proven(uniform(100_000, TABLE_OF_A_MILLION)),
        all_proven(uniform(1_000_000, TABLE_OF_A_MILLION)),
        unproven(row("1 source", v4())),
        unproven(uniform(1_000, DEFAULT_MAX_SOURCES)),
        unproven(uniform(100_000, DEFAULT_MAX_SOURCES)),
        unproven(uniform(1_000_000, DEFAULT_MAX_SOURCES)),
        unproven(zipf()),
        flood("every packet a new source, SYN", flag::SYN),
        flood("every packet a new source, ACK", flag::ACK),
        proven(row("1 source, SYN", v4().flags(flag::SYN)), PEER),
        beyond_yardstick(v6),
        beyond_yardstick(proven(row("1 source, 802.1Q", v4().vlan(ethertype::VLAN, 7)), PEER)),
        row("UDP", v4().protocol(17)),
        row("ARP", v4().ethertype(ethertype::ARP)),
    ];
    for ports in [1, 8, 1_000] {
        rows.push(proven(with_ports("1 source", ports, 443, Group::Known), PEER));
    }
    for ports in [1, 8, 1_000] {
        let row = with_ports("another port", ports, OTHER_PORT, Group::OtherPort);
        rows.push(Row { promise: Promise::AddedNs(12.0), ..row });
    }
    rows
}

fn key(address: Ipv6Addr) -> SourceKey {
    SourceKey { addr: address.octets(), dst_port: 443, pad: 0 }
}

fn proven(row: Row, source: Ipv4Addr) -> Row {
    Row { proven: vec![key(source.to_ipv6_mapped())], ..row }
}

/// All senders of a row, which its table can hold.
fn all_proven(row: Row) -> Row {
    let Senders::Uniform(count) = row.senders else { return row };
    let keys = (0..count).map(|number| key(address(number).to_ipv6_mapped()));
    Row { proven: keys.collect(), ..row }
}

fn unproven(row: Row) -> Row {
    Row { name: row.name + ", unproven", ..row }
}

fn uniform(sources: u32, entries: u32) -> Row {
    let name = if entries == DEFAULT_MAX_SOURCES {
        format!("{} sources", thousands(sources))
    } else {
        format!("{} sources, table of {}", thousands(sources), thousands(entries))
    };
    let senders = Senders::Uniform(sources);
    Row { senders, entries, warm_up: sources * 3, ..row(&name, v4()) }
}

fn zipf() -> Row {
    let senders = Senders::Schedule { words: ZIPF_DRAWS as u32, clients: 1 };
    let name = format!("{} sources, Zipf", thousands(ZIPF_SOURCES));
    Row { senders, schedule: zipf_schedule(), warm_up: 2_000_000, ..row(&name, v4()) }
}

fn flood(name: &str, flags: u8) -> Row {
    let warm_up = DEFAULT_MAX_SOURCES * 5;
    let promise = Promise::Share(0.35);
    Row { senders: Senders::New, warm_up, promise, ..row(name, v4().flags(flags)) }
}

/// A packet to `port` with so many ports selected. The yardstick takes eight at most.
fn with_ports(name: &str, count: u16, port: u16, group: Group) -> Row {
    let ports = match count {
        1 => vec![443],
        8 => EIGHT_PORTS.to_vec(),
        many => (0..many).map(|number| 443 + number * 7).collect(),
    };
    let plural = if count == 1 { "" } else { "s" };
    let name = format!("{name}, {} port{plural} selected", thousands(u32::from(count)));
    let is_for_yardstick = count <= 8;
    Row { ports, group, is_for_yardstick, ..row(&name, v4().ports(40_000, port)) }
}

/// Draws of sources whose frequency falls with their rank.
fn zipf_schedule() -> Vec<u32> {
    let mut sum = 0.0;
    let heights: Vec<f64> = (1..=ZIPF_SOURCES)
        .map(|rank| {
            sum += 1.0 / f64::from(rank);
            sum
        })
        .collect();
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64 * sum
    };
    (0..ZIPF_DRAWS)
        .map(|_| {
            let height = draw();
            heights.partition_point(|&below| below < height) as u32 | WORD_ACK
        })
        .collect()
}

/// A number with its thousands set apart.
fn thousands(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
