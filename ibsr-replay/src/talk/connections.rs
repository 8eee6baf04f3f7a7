// SPDX-License-Identifier: MIT OR Apache-2.0
//! What flows say of the sources of connections: which were accepted, and which carried
//! payload.

use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::words::Direction;

use super::facts::Peer;
use crate::fold::source_facts::Connected;

const OLDER: Direction = Direction(0);
const INCOMING: Direction = Direction(2);
const TCP: u16 = 6;
/// Headers are whole words of 32 bits: IHL and data offset of RFC 791 and RFC 9293 count such
/// words, extension headers of RFC 8200 two of them.
const HEADER_WORD_BYTES: u64 = 4;
/// Longest headers of a segment: 60 of IPv4 and 60 of TCP. Of IPv6 it leaves 20 for extensions.
const MAX_HEADERS_BYTES: u64 = 120;

/// Segments one way, and their bytes from the IP header on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Passed {
    /// Segments.
    pub(crate) packets: u64,
    /// Bytes.
    pub(crate) bytes: u64,
}

impl Passed {
    /// Whether some of the bytes must be payload: no headers add up to so many. What is not
    /// shown may still be payload, of about a quarter of the short connections.
    const fn has_payload(self) -> bool {
        // A row may be read between the two adds of a segment.
        let most = self.packets.saturating_add(1).saturating_mul(MAX_HEADERS_BYTES);
        !self.bytes.is_multiple_of(HEADER_WORD_BYTES) || self.bytes > most
    }

    const fn since(self, before: Self) -> Self {
        Self {
            packets: self.packets.saturating_sub(before.packets),
            bytes: self.bytes.saturating_sub(before.bytes),
        }
    }
}

/// In which directions payload was shown so far. From row to row and not over all: what one
/// row shows, the next one may hide.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Payload {
    is_in: bool,
    is_out: bool,
}

impl Payload {
    /// Takes the counters of a row, in and out, and those of the row before.
    pub(super) const fn note(&mut self, now: [Passed; 2], before: [Passed; 2]) {
        self.is_in |= now[0].since(before[0]).has_payload();
        self.is_out |= now[1].since(before[1]).has_payload();
    }
}

/// What a flow is to its peer as a source, so far. How a flow began that is older than the
/// attachment is not known: with payload both ways it was established, by either end, so its
/// source completed something, and is called nothing better for it.
pub(super) fn connected(peer: &Peer, steps: u32, payload: Payload) -> Connected {
    let is_talking = payload.is_in && payload.is_out;
    let is_incoming = peer.direction == INCOMING.0;
    let is_established = match Direction(peer.direction) {
        _ if peer.protocol != TCP => false,
        INCOMING => steps & step::ESTABLISHED != 0,
        OLDER => is_talking,
        _ => false,
    };
    Connected {
        established: u64::from(is_established),
        both_ways: u64::from(is_established && is_incoming && is_talking),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_payload(packets: u64, bytes: u64) -> bool {
        Passed { packets, bytes }.has_payload()
    }

    /// A handshake and a FIN with any options that fit, IP's too, in any number.
    #[test]
    fn headers_alone_are_never_called_payload() {
        for packets in 0..50 {
            for words in 10..=30 {
                assert!(!has_payload(packets, packets * words * 4), "{packets} x {}", words * 4);
                // Counted, but its packet not yet.
                assert!(!has_payload(packets, (packets + 1) * words * 4));
            }
        }
    }

    #[test]
    fn payload_is_seen_by_its_size_or_by_what_no_header_leaves_over() {
        // ACK, a request of 78 bytes, ACK, FIN, with time stamps.
        assert!(has_payload(4, 4 * 52 + 78));
        assert!(!has_payload(4, 4 * 52 + 80), "could be options");
        assert!(has_payload(4, 4 * 52 + 600));
        assert!((1..4).all(|odd| has_payload(1, 52 + odd)));
    }

    /// 78 bytes show it, 80 hide it.
    #[test]
    fn payload_that_was_shown_once_stays_shown() {
        let sum = |packets, bytes| Passed { packets, bytes };
        let mut payload = Payload::default();
        let rows = [sum(0, 0), sum(2, 2 * 52 + 78), sum(3, 3 * 52 + 80)];
        for pair in rows.windows(2) {
            payload.note([pair[1], sum(0, 0)], [pair[0], sum(0, 0)]);
        }
        assert!(payload.is_in && !payload.is_out);
        let mut whole = Payload::default();
        whole.note([rows[2], rows[2]], [rows[0]; 2]);
        assert!(!whole.is_in && !whole.is_out);
    }

    #[test]
    fn only_tcp_that_came_in_is_a_connection_of_its_source() {
        let peer = |direction, protocol| Peer {
            direction,
            protocol,
            port: 80,
            addr: "::1".parse().expect("an address"),
            name: None,
        };
        let both = Payload { is_in: true, is_out: true };
        let of = |direction, protocol, steps, payload| {
            let Connected { established, both_ways } =
                connected(&peer(direction, protocol), steps, payload);
            (established, both_ways)
        };
        assert_eq!(of(2, 6, step::ESTABLISHED, both), (1, 1));
        assert_eq!(of(2, 6, step::ESTABLISHED, Payload { is_in: true, is_out: false }), (1, 0));
        assert_eq!(of(2, 6, step::ESTABLISHED, Payload { is_in: false, is_out: true }), (1, 0));
        assert_eq!(of(2, 6, 0, both), (0, 0), "not established");
        assert_eq!(of(2, 17, step::ESTABLISHED, both), (0, 0), "UDP");
        assert_eq!(of(1, 6, step::ESTABLISHED, both), (0, 0), "went out");
        assert_eq!(of(0, 6, 0, both), (1, 0), "older than the sensor");
        assert_eq!(of(0, 6, step::ESTABLISHED, Payload::default()), (0, 0));
    }
}
