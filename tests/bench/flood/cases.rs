// SPDX-License-Identifier: MIT OR Apache-2.0
//! The floods, and the clients beside them. Distances are in packets of the flood, because
//! that is what fills a table: at a million a second, 100,000 are a tenth of a second.

use ibsr_proto::abi::DEFAULT_MAX_SOURCES;

/// Entries of the tables in the cases that vary the distance.
const ENTRIES: u32 = 65_536;

/// How a client's packets are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One at a time.
    Steady,
    /// Some together, then a long silence.
    Bursty,
}

/// When the clients connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// Before the flood.
    Before,
    /// In the midst of it.
    Amid,
}

/// One flood and the clients beside it.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is.
    pub name: String,
    /// Entries of all source tables together.
    pub entries: u32,
    /// The flood sends ACKs, else SYNs.
    pub is_ack: bool,
    /// How often the flood sends each address.
    pub repeats: u32,
    /// How a client's packets are spread.
    pub shape: Shape,
    /// When the clients connect.
    pub arrival: Arrival,
    /// Packets of the flood between two packets, or bursts, of one client.
    pub distance: u32,
    /// Packets, or bursts, of each client while the flood lasts.
    pub visits: u32,
}

/// All of them.
pub fn cases() -> Vec<Case> {
    let both = [false, true];
    let mut cases = Vec::new();
    for is_ack in both {
        // 10 packets a second each, for the 10 s that 10 M packets take at 1 M a second.
        let base = Case { entries: DEFAULT_MAX_SOURCES, ..case(is_ack, DEFAULT_MAX_SOURCES, 100) };
        cases.push(named("default table, 10 M addresses", base));
    }
    for (times, distance, visits) in
        [("0.15", 9_830, 100), ("1.5", 98_304, 40), ("7.6", 498_074, 20), ("30", 1_966_080, 8)]
    {
        for is_ack in both {
            cases.push(named(&format!("D = {times} N"), case(is_ack, distance, visits)));
        }
    }
    for (shape, name, distance, visits) in
        [(Shape::Steady, "steady", 98_304, 40), (Shape::Bursty, "bursty", 498_074, 10)]
    {
        for is_ack in both {
            for repeats in 1..=5 {
                let base = case(is_ack, distance, visits);
                cases.push(named(name, Case { shape, repeats, ..base }));
            }
        }
    }
    for is_ack in both {
        for repeats in [1, 3] {
            let base = case(is_ack, 98_304, 40);
            let amid = Case { arrival: Arrival::Amid, repeats, ..base };
            cases.push(named("connects amid the flood", amid));
        }
    }
    cases
}

fn case(is_ack: bool, distance: u32, visits: u32) -> Case {
    Case {
        name: String::new(),
        entries: ENTRIES,
        is_ack,
        repeats: 1,
        shape: Shape::Steady,
        arrival: Arrival::Before,
        distance,
        visits,
    }
}

fn named(name: &str, case: Case) -> Case {
    let flags = if case.is_ack { "ACK" } else { "SYN" };
    let name = format!("{name}, {flags} x {}", case.repeats);
    Case { name, ..case }
}
