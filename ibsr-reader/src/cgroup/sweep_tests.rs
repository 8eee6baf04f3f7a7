// SPDX-License-Identifier: MIT OR Apache-2.0

use zerocopy::IntoBytes as _;

use super::*;
use crate::clock::Moment;

const AT: Moment = Moment { boot_ns: 5_000_000_000, unix_ms: 1_700_000_000_000 };

fn plan() -> Plan {
    Plan { seq: 3, since_boot_ns: Some(1_000_000_000), at: AT, is_over: false }
}

/// A struct whose every byte is another, so that no field can stand for another.
fn numbered<T: zerocopy::FromBytes>() -> T {
    let bytes: Vec<u8> = (1..=size_of::<T>()).map(|at| at as u8).collect();
    T::read_from_bytes(&bytes).expect("the size")
}

#[test]
fn an_entry_becomes_a_row_field_by_field() {
    let (key, flow): (FlowKey, Flow) = (numbered(), numbered());
    let row = flow_row(17, &key, &flow);
    assert_eq!((row.seq, row.socket, row.holder), (17, key.socket, key.holder));
    assert_eq!(
        (row.direction.0, row.protocol.0, row.family.0),
        (flow.direction, key.protocol, flow.family)
    );
    assert_eq!(row.local_addr.expect("set").to_bytes(), flow.local_addr);
    assert_eq!(row.remote_addr.expect("set").to_bytes(), key.remote_addr);
    assert_eq!((row.local_port, row.remote_port), (flow.local_port, Some(key.remote_port)));
    assert_eq!(
        (row.steps.0, row.tcp_state.0, row.error.0),
        (flow.steps, flow.tcp_state, flow.error)
    );
    assert_eq!((row.packets_in, row.bytes_in), (flow.packets_in, flow.bytes_in));
    assert_eq!((row.packets_out, row.bytes_out), (flow.packets_out, flow.bytes_out));
    assert_eq!((row.retransmits, row.netns_cookie), (flow.retransmits, flow.netns_cookie));
    assert_eq!((row.born_boot_ns, row.last_boot_ns), (flow.born_boot_ns, flow.last_boot_ns));
    assert_eq!(row.connect_boot_ns, flow.connect_boot_ns);
    assert_eq!(row.established_boot_ns, flow.established_boot_ns);
    assert_eq!((row.closed_boot_ns, row.cgroup_id), (flow.closed_boot_ns, flow.cgroup_id));
    assert_eq!((row.learned.0, row.owner_key), (flow.learned, Some(Hex(flow.owner))));
    let own = FlowKey { remote_addr: [0; 16], remote_port: 0, ..key };
    let unknown = Flow { owner: 0, local_addr: [0; 16], ..flow };
    let row = flow_row(17, &own, &unknown);
    assert_eq!((row.remote_addr, row.remote_port, row.local_addr), (None, None, None));
    assert_eq!(row.owner_key, None);
}

#[test]
fn an_owner_becomes_a_row_field_by_field() {
    let mut owner: Owner = numbered();
    owner.comm = *b"curl\0\0\0\0\0\0\0\0\0\0\0\0";
    owner.parent_comm = *b"sixteen-letters!";
    let row = owner_of(&owner);
    assert_eq!((row.tgid, row.uid, row.euid), (owner.tgid, owner.uid, owner.euid));
    assert_eq!((&*row.comm, &*row.parent_comm), ("curl", "sixteen-letters!"));
    assert_eq!((row.capabilities.0, row.exec_id), (owner.capabilities, owner.exec_id));
    assert_eq!((row.start_boot_ns, row.met_boot_ns), (owner.start_boot_ns, owner.met_boot_ns));
    assert_eq!((row.exe_inode, row.exe_device.0), (owner.exe_inode, owner.exe_device));
    assert_eq!((row.cgroup_id, row.parent_tgid), (owner.cgroup_id, owner.parent_tgid));
    assert_eq!(row.parent_start_boot_ns, owner.parent_start_boot_ns);
    owner.comm[0] = 0xff;
    assert_eq!(owner_of(&owner).comm, "\u{fffd}url");
    assert_eq!(owner.as_bytes().len(), 112);
}

#[test]
fn every_entry_is_counted_and_only_those_used_since_are_listed() {
    let flow =
        Flow { packets_in: 2, packets_out: 3, bytes_in: 20, bytes_out: 30, ..Flow::default() };
    let mut tally = Tally::default();
    assert!(tally.take(&plan(), &Flow { last_boot_ns: 1_000_000_000, ..flow }));
    assert!(!tally.take(&plan(), &Flow { last_boot_ns: 1, ..flow }));
    let expected =
        Tally { rows: 1, entries: 2, attributed: 10, attributed_bytes: 100, ..Tally::default() };
    assert_eq!(tally, expected);
}

fn reading(tracked: u64, attributed: u64) -> Reading {
    let after =
        Totals { tracked_in: tracked, tracked_bytes_out: 100 * tracked, ..Totals::default() };
    Reading {
        tally: Tally {
            rows: 1,
            entries: 9,
            attributed,
            attributed_bytes: 100 * attributed,
            ..Tally::default()
        },
        before: Totals { tracked_in: tracked - 1, ..after },
        after,
        dns: DnsTotals { asked: 5, ..DnsTotals::default() },
        behaviour: BehaviourTotals { connects: 6, ..BehaviourTotals::default() },
        behaviour_evicted: 4,
        zone_evicted: 3,
        zones_missing: 2,
        in_flight: 0,
        max_entries: 100,
        took_us: 70,
    }
}

#[test]
fn what_the_flows_lack_was_evicted() {
    let (sweep, broken) = reading(10, 7).close(&plan(), true);
    assert_eq!((sweep.evicted, sweep.evicted_bytes, sweep.during_read), (3, 300, 1));
    assert_eq!((sweep.conserved, sweep.attached, broken), (true, true, None));
    assert_eq!((sweep.dns.asked, sweep.behaviour.connects, sweep.behaviour_evicted), (5, 6, 4));
    assert_eq!((sweep.zone_evicted, sweep.zones_missing), (3, 2));
    assert_eq!((sweep.rows, sweep.entries, sweep.max_entries, sweep.read_us), (1, 9, 100, 70));
}

/// A broken law must never look like a sweep without loss; what was counted while the totals
/// were read is no broken law.
#[test]
fn a_broken_law_is_told_in_the_row_and_to_the_caller() {
    let (sweep, broken) = reading(10, 11).close(&plan(), true);
    assert!(!sweep.conserved);
    assert_eq!(broken, Some(LawError { unit: "packets", tracked: 10, accounted: 11 }));
    let mut moving = reading(10, 11);
    moving.in_flight = 1;
    assert!(moving.close(&plan(), true).0.conserved);
    moving.tally.attributed_bytes = 1_000 + MAX_PACKET_BYTES + 1;
    assert_eq!(moving.close(&plan(), true).1.map(|law| law.unit), Some("bytes"));
}
