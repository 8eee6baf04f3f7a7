// SPDX-License-Identifier: MIT OR Apache-2.0
//! A twin of the program's table of pending SYNs, beside an unbounded one: the difference
//! is what the bound costs.

use std::collections::HashMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::site::{Packet, flag};

const SLOTS: u64 = 262_144;
const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where packets go to.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// As the program keys it.
    pub dst: [u8; 16],
}

/// Both tables.
#[derive(Debug, Default)]
pub struct Pending {
    slots: HashMap<u64, u64>,
    all: HashMap<(SourceAddr, u16, u16), u32>,
    /// SYNs that took the slot of another connection's.
    pub lost: u64,
    /// Handshakes that were completed and not recognised, by source and port.
    pub unseen: HashMap<(SourceAddr, u16), u64>,
}

fn mix(hash: u64, word: u64) -> u64 {
    let hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    hash ^ hash >> 32
}

/// The test loads the program with the seed 0.
fn hash(packet: &Packet, ends: Ends) -> u64 {
    let ports = u64::from(packet.src_port) << 16 | u64::from(packet.dst_port);
    let src = packet.src.to_bytes();
    let of_words = |hash: u64, bytes: &[u8; 16]| {
        let words = bytes.as_chunks::<8>().0.iter();
        words.fold(hash, |hash, word| mix(hash, u64::from_ne_bytes(*word)))
    };
    of_words(mix(of_words(0, &src), ports), &ends.dst)
}

const fn mark(hash: u64, next_seq: u32) -> u64 {
    hash & 0xffff_ffff_0000_0000 | next_seq as u64 | 1 << 63
}

impl Pending {
    /// Takes the next packet.
    pub fn see(&mut self, packet: &Packet, ends: Ends) {
        let has = |flag: u8| packet.flags & flag != 0;
        let (syn, ack) = (has(flag::SYN), has(flag::ACK));
        if has(flag::RST) || syn == ack {
            return;
        }
        let hash = hash(packet, ends);
        let slot = hash >> 32 & (SLOTS - 1);
        let connection = (packet.src, packet.src_port, packet.dst_port);
        if syn {
            let next = packet.seq.wrapping_add(1);
            self.all.insert(connection, next);
            let mark = mark(hash, next);
            let before = self.slots.insert(slot, mark);
            self.lost += u64::from(before.is_some_and(|before| before >> 32 != mark >> 32));
            return;
        }
        let mark = mark(hash, packet.seq);
        let is_seen = self.slots.get(&slot) == Some(&mark);
        if is_seen {
            self.slots.remove(&slot);
        }
        let is_done = self.all.get(&connection) == Some(&packet.seq);
        if is_done {
            self.all.remove(&connection);
        }
        assert!(is_done || !is_seen, "a handshake out of nothing: {packet:?}");
        if is_done && !is_seen {
            *self.unseen.entry((packet.src, packet.dst_port)).or_default() += 1;
        }
    }
}
