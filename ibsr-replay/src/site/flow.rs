// SPDX-License-Identifier: MIT OR Apache-2.0
//! Connections as arithmetic: a script of packets, repeated at a fixed distance. What a
//! flow sent in any stretch of time is counted without making the packets, and the packets
//! can be made one by one; both say the same.
//!
//! Times are in ns since the start of the site. Only packets towards the observed host
//! exist here: it is what an ingress program sees.

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::Source;

use super::random::Random;

/// TCP flags of a packet.
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

/// Shortest Ethernet frame without FCS: what a driver hands over.
const MIN_FRAME: u32 = 60;
/// Ethernet, IP and TCP without options.
const HEADERS_V4: u32 = 14 + 20 + 20;
const HEADERS_V6: u32 = 14 + 40 + 20;
/// Options of a SYN: MSS, SACK, timestamps, window scale.
const SYN_OPTIONS: u32 = 20;
/// Options of what follows: timestamps.
const OPTIONS: u32 = 12;
const FIRST_PORT: u64 = 1024;
/// Half of the source ports above the reserved ones.
const PORTS: u64 = (65_536 - FIRST_PORT) / 2;

/// One line of a script: `times` packets, `every_ns` apart, the first one `after_ns` behind
/// the start of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Since the connection's first packet. Ascending in a script.
    pub after_ns: u64,
    /// Of [`flag`].
    pub flags: u8,
    /// Bytes of data in each packet.
    pub payload: u16,
    /// Sequence number of the first, relative to the initial one.
    pub seq: u32,
    /// How many.
    pub times: u32,
    /// How far apart.
    pub every_ns: u64,
}

impl Step {
    const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn length_ns(&self) -> u64 {
        u64::from(self.times.saturating_sub(1)) * self.every_ns
    }

    fn frame_len(&self, is_v4: bool) -> u32 {
        let headers = if is_v4 { HEADERS_V4 } else { HEADERS_V6 };
        let options = match (self.has(flag::SYN), self.has(flag::RST)) {
            (true, _) => SYN_OPTIONS,
            (_, true) => 0,
            _ => OPTIONS,
        };
        (headers + options + u32::from(self.payload)).max(MIN_FRAME)
    }
}

/// `count` connections of one source, one every `every_ns`, all with the same script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flow {
    /// First packet of the first connection.
    pub at_ns: u64,
    /// Who.
    pub src: SourceAddr,
    /// Source ports: this one and those behind it, counted from the first of their half.
    pub first_src_port: u64,
    /// Which half.
    pub is_upper: bool,
    /// Destination port of the first connection.
    pub dst_port: u16,
    /// Added to it for each further connection: 0, or 1 for a scan.
    pub port_stride: u16,
    /// Connections, at least 1.
    pub count: u64,
    /// Between the first packets of two connections.
    pub every_ns: u64,
    /// What a connection sends.
    pub script: Vec<Step>,
}

/// A packet towards the observed host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Packet {
    /// When, since the start of the site.
    pub at_ns: u64,
    /// From whom.
    pub src: SourceAddr,
    /// From which port.
    pub src_port: u16,
    /// To which port.
    pub dst_port: u16,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; 0 without [`flag::ACK`].
    pub ack: u32,
    /// Of [`flag`].
    pub flags: u8,
    /// Bytes of the frame without FCS.
    pub frame_len: u32,
}

/// A stretch of time, its end included and its start not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Over {
    /// Behind this.
    pub from_ns: u64,
    /// Up to this.
    pub to_ns: u64,
    /// Start of the maps that count: a SYN up to this left no mark in them.
    pub epoch_ns: u64,
}

/// Moments at a fixed distance.
#[derive(Debug, Clone, Copy)]
struct Moments {
    first_ns: u64,
    every_ns: u64,
    count: u64,
}

impl Moments {
    fn up_to(&self, ns: u64) -> u64 {
        let Some(since) = ns.checked_sub(self.first_ns) else { return 0 };
        since.checked_div(self.every_ns).map_or(self.count, |n| self.count.min(n + 1))
    }

    const fn at(&self, index: u64) -> u64 {
        self.first_ns + index * self.every_ns
    }

    /// How many are in `over`, the first and the last of them.
    fn within(&self, over: Over) -> (u64, u64, u64) {
        let (before, until) = (self.up_to(over.from_ns), self.up_to(over.to_ns));
        if until == before {
            return (0, u64::MAX, 0);
        }
        (until - before, self.at(before), self.at(until - 1))
    }
}

impl Flow {
    /// Step that completes the handshake: the first ACK whose sequence number is the SYN's
    /// plus one, as the sensor defines it.
    fn completing(&self) -> Option<&Step> {
        let syn = self.script.iter().position(|step| step.flags == flag::SYN)?;
        let next = self.script[syn].seq.wrapping_add(1);
        self.script[syn + 1..].iter().find(|step| {
            step.has(flag::ACK) && !step.has(flag::SYN) && !step.has(flag::RST) && step.seq == next
        })
    }

    fn moments(&self, step: &Step, connections: (u64, u64)) -> impl Iterator<Item = Moments> {
        let (first, end) = connections;
        let first_ns = self.at_ns + first * self.every_ns + step.after_ns;
        let (outer, inner) = if step.times == 1 {
            (1, Moments { first_ns, every_ns: self.every_ns, count: end - first })
        } else {
            let times = u64::from(step.times);
            (end - first, Moments { first_ns, every_ns: step.every_ns, count: times })
        };
        let every_ns = self.every_ns;
        (0..outer).map(move |n| Moments { first_ns: inner.first_ns + n * every_ns, ..inner })
    }

    /// Connections that may have packets in `over`.
    fn alive(&self, over: Over) -> (u64, u64) {
        let length_ns = self.script.iter().map(|s| s.after_ns + s.length_ns()).max().unwrap_or(0);
        let starts = Moments { first_ns: self.at_ns, every_ns: self.every_ns, count: self.count };
        let end = starts.up_to(over.to_ns);
        let ended = match over.from_ns.checked_sub(length_ns) {
            Some(before_ns) => starts.up_to(before_ns),
            None => 0,
        };
        (ended.min(end), end)
    }

    /// Calls `add` with the destination port and the connections for each port that was
    /// sent to in `over`.
    pub fn by_port(&self, over: Over, mut add: impl FnMut(u16, (u64, u64))) {
        let (first, end) = self.alive(over);
        if self.port_stride == 0 {
            if first < end {
                add(self.dst_port, (first, end));
            }
        } else {
            (first..end).for_each(|n| add(self.port_of(n), (n, n + 1)));
        }
    }

    const fn port_of(&self, connection: u64) -> u16 {
        self.dst_port.wrapping_add((connection as u16).wrapping_mul(self.port_stride))
    }

    const fn src_port(&self, connection: u64) -> u64 {
        let base = if self.is_upper { FIRST_PORT + PORTS } else { FIRST_PORT };
        base + (self.first_src_port + connection) % PORTS
    }

    /// Adds what `connections` sent in `over` to the counters and times of `row`. Times are
    /// since the start of the site; `born_boot_ns` is lowered, `last_boot_ns` raised.
    pub fn count_into(&self, row: &mut Source, over: Over, connections: (u64, u64)) {
        let is_v4 = self.src.to_ip().is_ipv4();
        for step in &self.script {
            let mut packets = 0;
            for moments in self.moments(step, connections) {
                let (count, first, last) = moments.within(over);
                packets += count;
                row.born_boot_ns = row.born_boot_ns.min(first);
                row.last_boot_ns = row.last_boot_ns.max(last);
            }
            let having = |flag| if step.has(flag) { packets } else { 0 };
            row.packets += packets;
            row.bytes += packets * u64::from(step.frame_len(is_v4));
            row.syn += if step.has(flag::ACK) { 0 } else { having(flag::SYN) };
            row.ack += having(flag::ACK);
            row.fin += having(flag::FIN);
            row.rst += having(flag::RST);
        }
        row.handshakes += self.handshakes(over, connections);
    }

    fn handshakes(&self, over: Over, connections: (u64, u64)) -> u64 {
        let Some(step) = self.completing() else { return 0 };
        let (first, end) = connections;
        // The last SYN before the ACK is the one that left the mark.
        let syns = self.script.iter().filter(|s| s.flags == flag::SYN);
        let syn_ns = syns.map(|s| s.after_ns + s.length_ns()).max().unwrap_or(0);
        let unseen =
            Moments { first_ns: self.at_ns + syn_ns, every_ns: self.every_ns, count: self.count };
        let first = first.max(unseen.up_to(over.epoch_ns));
        if first >= end {
            return 0;
        }
        let once = Step { times: 1, ..*step };
        self.moments(&once, (first, end)).map(|moments| moments.within(over).0).sum()
    }

    /// When the flow sends next, behind `ns`; a connection of several may send later than
    /// this says, never earlier.
    #[must_use]
    pub fn next_after(&self, ns: u64) -> Option<u64> {
        let mut next = None;
        for step in &self.script {
            let last = self.at_ns + (self.count - 1) * self.every_ns + step.after_ns;
            if last + step.length_ns() <= ns {
                continue;
            }
            let (every_ns, count) = match (self.count, step.times) {
                (1, times) => (step.every_ns, u64::from(times)),
                (count, 1) => (self.every_ns, count),
                _ => return Some(ns + 1),
            };
            let moments = Moments { first_ns: self.at_ns + step.after_ns, every_ns, count };
            let at = moments.at(moments.up_to(ns));
            next = Some(next.map_or(at, |next: u64| next.min(at)));
        }
        next
    }

    /// Makes the packets of `over`, in no order.
    pub fn packets(&self, over: Over, out: &mut Vec<Packet>) {
        let is_v4 = self.src.to_ip().is_ipv4();
        let (first, end) = self.alive(over);
        for connection in first..end {
            let at_ns = self.at_ns + connection * self.every_ns;
            let src_port = self.src_port(connection);
            let mut numbers = Random::of(self.at_ns, &[src_port, connection]);
            let (isn, theirs) = (numbers.next_u64() as u32, numbers.next_u64() as u32);
            for step in &self.script {
                for repeat in 0..step.times {
                    let at_ns = at_ns + step.after_ns + u64::from(repeat) * step.every_ns;
                    if at_ns <= over.from_ns || at_ns > over.to_ns {
                        continue;
                    }
                    let data = u32::from(step.payload).wrapping_mul(repeat);
                    out.push(Packet {
                        at_ns,
                        src: self.src,
                        src_port: src_port as u16,
                        dst_port: self.port_of(connection),
                        seq: isn.wrapping_add(step.seq).wrapping_add(data),
                        ack: if step.has(flag::ACK) { theirs.wrapping_add(1) } else { 0 },
                        flags: step.flags,
                        frame_len: step.frame_len(is_v4),
                    });
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
