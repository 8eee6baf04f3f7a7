// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fold of flows says of the sources of connections.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::Flow;
use ibsr_proto::snapshot::cgroup::words::{Direction, Steps};

use super::lives::{LivesFold, SweepTime};
use super::tests::{NOON, TOMORROW, flow};
use crate::fold::horizon::Partition;
use crate::fold::source_facts::SourceFacts;

/// Connections of each source on each day: established, with payload both ways.
fn sources(rows: &[(Flow<'static>, SweepTime)], of: u32) -> Vec<(u32, SourceAddr, (u64, u64))> {
    let mut all = BTreeMap::new();
    for index in 0..of {
        let mut fold = LivesFold::new("h", Partition { index, of });
        rows.iter().for_each(|(row, time)| fold.flow(row, *time));
        for (day, folded) in fold.finish() {
            for (addr, facts) in folded.sources {
                assert!(!facts.is_seen());
                let sum: &mut SourceFacts = all.entry((day, addr)).or_default();
                sum.join(&facts);
            }
        }
    }
    let row = |((day, addr), facts): ((u32, SourceAddr), SourceFacts)| {
        (day, addr, (facts.connected.established, facts.connected.both_ways))
    };
    all.into_iter().map(row).collect()
}

/// A connection from `client` in its `seq`-th row.
fn accepted(seq: u64, socket: u64, client: u32, bytes: (u64, u64)) -> Flow<'static> {
    let mut flow = flow(seq, socket, client, bytes.1);
    flow.direction = Direction(2);
    flow.steps = Steps(step::ESTABLISHED);
    (flow.packets_in, flow.bytes_in, flow.packets_out) = (4, bytes.0, 4);
    flow
}

/// Each connection once, on the day on which it became what it is, however many sweeps list it.
#[test]
fn a_connection_is_booked_for_its_source_once() {
    let quiet = (4 * 52, 4 * 52);
    let talked = (4 * 52 + 600, 4 * 52 + 900);
    let mut waiting = accepted(1, 3, 52, quiet);
    waiting.steps = Steps(0);
    let rows = [
        (accepted(1, 1, 50, quiet), NOON),
        (accepted(1, 2, 51, talked), NOON),
        (waiting, NOON),
        (accepted(2, 1, 50, talked), TOMORROW),
        (accepted(2, 2, 51, talked), TOMORROW),
        (accepted(2, 3, 52, talked), TOMORROW),
        (accepted(2, 4, 50, quiet), TOMORROW),
        (accepted(3, 1, 50, talked), TOMORROW),
        (flow(3, 9, 53, 4_000), TOMORROW),
    ];
    let addr = |number: u32| SourceAddr::from(IpAddr::V4(Ipv4Addr::from(number)));
    let (first, second) = (20_000, 20_001);
    let expected = [
        (first, addr(50), (1, 0)),
        (first, addr(51), (1, 1)),
        (second, addr(50), (1, 1)),
        (second, addr(52), (1, 1)),
    ];
    for of in [1, 2, 5] {
        assert_eq!(sources(&rows, of), expected, "{of} shares");
    }
}

/// Payload that one row shows and the next hides is still payload.
#[test]
fn payload_is_looked_for_in_every_row() {
    let rows = [
        (accepted(1, 1, 50, (4 * 52 + 78, 4 * 52 + 78)), NOON),
        (accepted(2, 1, 50, (4 * 52 + 80, 4 * 52 + 80)), NOON),
    ];
    assert_eq!(sources(&rows, 1)[0].2, (1, 1));
    assert_eq!(sources(&rows[1..], 1)[0].2, (1, 0));
}
