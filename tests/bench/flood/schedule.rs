// SPDX-License-Identifier: MIT OR Apache-2.0
//! A case as a sequence of packets, and how many were sent by whom: the truth that the tables
//! are held against.

use crate::cases::{Arrival, Case, Shape};
use crate::clients::CLIENTS;

/// A steady client's packet; twins of the words in `generator.bpf.h`.
const WORD_CLIENT: u32 = 1 << 31;
const WORD_ACK: u32 = 1 << 30;
const WORD_UNCONNECTED: u32 = 1 << 29;
/// Addresses that the flood sends once each before it sends them again. Far below the horizon
/// of any admission: a flood that wants to be admitted repeats itself soon.
const BLOCK: u64 = 10_000;
/// Packets of a burst.
const BURST: u32 = 10;
/// Packets of the flood between two of a burst or of a handshake.
const BURST_GAP: u32 = 10;

/// Packets sent so far.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// By each client.
    pub clients: Vec<u64>,
    /// By all clients.
    pub steady: u64,
    /// By the flood.
    pub flood: u64,
}

/// Writes the packets of a case, and hands them over in chunks.
pub struct Schedule<'case> {
    case: &'case Case,
    words: Vec<u32>,
    truth: Truth,
}

impl<'case> Schedule<'case> {
    /// For `case`; chunks are of `chunk` words but for the last.
    pub fn new(case: &'case Case, chunk: usize) -> Self {
        let truth = Truth { clients: vec![0; CLIENTS as usize], ..Truth::default() };
        Self { case, words: Vec::with_capacity(chunk), truth }
    }

    /// Calls `full` with each chunk; returns the truth.
    ///
    /// # Errors
    /// What `full` returns.
    pub fn play<E>(mut self, mut full: impl FnMut(&[u32]) -> Result<(), E>) -> Result<Truth, E> {
        let case = self.case;
        if case.arrival == Arrival::Before {
            for client in 0..CLIENTS {
                self.connect(client, 0, &mut full)?;
            }
        }
        // The flood between two visits of different clients, and what is left of the division.
        let (share, rest) = (case.distance / CLIENTS, case.distance % CLIENTS);
        for visit in 0..case.visits {
            for client in 0..CLIENTS {
                self.flood(share + u32::from(client < rest), &mut full)?;
                if visit == 0 && case.arrival == Arrival::Amid {
                    self.connect(client, BURST_GAP, &mut full)?;
                }
                self.visit(client, &mut full)?;
            }
        }
        if !self.words.is_empty() {
            full(&self.words)?;
        }
        Ok(self.truth)
    }

    /// SYN, ACK and the first data. No socket is established yet when the first two come, so
    /// they come from a port that has none.
    fn connect<E>(
        &mut self,
        client: u32,
        gap: u32,
        full: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        for word in [WORD_UNCONNECTED, WORD_UNCONNECTED | WORD_ACK, WORD_ACK] {
            self.send_client(client, word, full)?;
            self.flood(gap, full)?;
        }
        Ok(())
    }

    fn visit<E>(
        &mut self,
        client: u32,
        full: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.case.shape == Shape::Bursty {
            for _ in 1..BURST {
                self.send_client(client, WORD_ACK, full)?;
                self.flood(BURST_GAP, full)?;
            }
        }
        self.send_client(client, WORD_ACK, full)
    }

    fn send_client<E>(
        &mut self,
        client: u32,
        word: u32,
        full: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.truth.clients[client as usize] += 1;
        self.truth.steady += 1;
        self.send(WORD_CLIENT | word | client, full)
    }

    fn flood<E>(
        &mut self,
        packets: u32,
        full: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        let flags = if self.case.is_ack { WORD_ACK } else { 0 };
        let round = BLOCK * u64::from(self.case.repeats);
        for _ in 0..packets {
            let sent = self.truth.flood;
            let number = sent / round * BLOCK + sent % BLOCK;
            self.truth.flood += 1;
            self.send(flags | number as u32, full)?;
        }
        Ok(())
    }

    fn send<E>(
        &mut self,
        word: u32,
        full: &mut impl FnMut(&[u32]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.words.push(word);
        if self.words.len() == self.words.capacity() {
            full(&self.words)?;
            self.words.clear();
        }
        Ok(())
    }
}
