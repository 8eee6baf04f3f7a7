// SPDX-License-Identifier: MIT OR Apache-2.0

use std::net::{IpAddr, Ipv4Addr};

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::words::{
    Device, Direction, ErrorName, Family, Flags, Hex, Learned, Protocol, Steps, TcpState,
};
use ibsr_proto::snapshot::cgroup::{Behaviour, Flow, Owner, Sweep};

use super::facts::{App, MAX_APPS, MAX_PEERS, Peer, Program, Talk, Tally};
use super::findings::{Findings, MAX_FINDINGS, Place};
use super::lives::{LivesFold, SweepTime, TalkFacts};
use super::rows::talks;
use crate::fold::horizon::{DAY_MS, Partition};

/// Noon of a day, and a boot two days before it.
pub(super) const NOON: SweepTime =
    SweepTime { at_boot_ns: 172_800_000_000_000, at_unix_ms: 20_000 * DAY_MS + DAY_MS / 2 };
pub(super) const TOMORROW: SweepTime = SweepTime {
    at_boot_ns: NOON.at_boot_ns + DAY_MS * 1_000_000,
    at_unix_ms: NOON.at_unix_ms + DAY_MS,
};

pub(super) fn flow(seq: u64, socket: u64, server: u32, bytes_out: u64) -> Flow<'static> {
    let addr = |number: u32| SourceAddr::from(IpAddr::V4(Ipv4Addr::from(number)));
    Flow {
        seq,
        socket,
        direction: Direction(1),
        protocol: Protocol(6),
        family: Family(2),
        local_addr: Some(addr(1)),
        local_port: 8080,
        remote_addr: Some(addr(server)),
        remote_port: Some(443),
        name: None,
        holder: 7,
        steps: Steps(step::CONNECTED | step::ESTABLISHED),
        tcp_state: TcpState(1),
        error: ErrorName(0),
        packets_in: 1,
        bytes_in: 60,
        packets_out: 2,
        bytes_out,
        retransmits: 0,
        born_boot_ns: NOON.at_boot_ns - 5_000_000_000,
        last_boot_ns: NOON.at_boot_ns - 1_000_000_000,
        connect_boot_ns: 0,
        established_boot_ns: 0,
        closed_boot_ns: 0,
        netns_cookie: 1,
        cgroup_id: 77,
        cgroup_path: Some("/web".into()),
        container: None,
        learned: Learned(6),
        owner_key: Some(Hex(1)),
        owner: Some(owner("curl")),
    }
}

fn owner(comm: &str) -> Owner<'static> {
    Owner {
        tgid: 1,
        comm: comm.to_owned().into(),
        uid: 1000,
        euid: 1000,
        capabilities: Hex(0),
        start_boot_ns: 1,
        met_boot_ns: 1,
        exe_inode: 3,
        exe_device: Device(1 << 20),
        exec_id: 1,
        cgroup_id: 77,
        cgroup_path: None,
        parent_tgid: 1,
        parent_comm: "sh".into(),
        parent_start_boot_ns: 0,
    }
}

fn fold(rows: &[(Flow<'static>, SweepTime)], of: u32) -> Vec<TalkFacts> {
    let mut days: std::collections::BTreeMap<u32, TalkFacts> = std::collections::BTreeMap::new();
    for index in 0..of {
        let mut fold = LivesFold::new("h", Partition { index, of });
        for (row, time) in rows {
            fold.flow(row, *time);
        }
        for (day, folded) in fold.finish() {
            days.entry(day).or_default().join(&folded.facts);
        }
    }
    days.into_values().collect()
}

/// Evictions are cumulative, and what was tracked during a read is none.
#[test]
fn what_was_on_its_way_during_a_sweep_was_not_evicted() {
    let mut fold = LivesFold::new("h", Partition { index: 0, of: 1 });
    for (evicted, during_read) in [(500, 700), (30, 0), (90, 40), (80, 0)] {
        fold.sweep(&Sweep { evicted, during_read, ..Sweep::default() }, NOON);
    }
    let days: Vec<_> = fold.finish().into_values().collect();
    assert_eq!(days[0].facts.evicted_packets, 80);
}

fn only(facts: &TalkFacts) -> (App, Peer, Tally) {
    let ((_, app), all) = facts.talk.apps.first_key_value().expect("an application");
    let mut kept = all.outgoing.kept.iter().chain(&all.incoming.kept);
    let ((_, peer), tally) = kept.next().expect("a peer");
    assert_eq!(tally, &all.total);
    (app.clone(), peer.clone(), tally.clone())
}

/// Rows are cumulative: a flow that is listed in each sweep is one connection with the bytes
/// of its last row, and a full sweep long after its end adds nothing.
#[test]
fn a_flow_of_many_sweeps_is_one_connection() {
    let rows = [100, 250, 400, 400].into_iter().zip(1..);
    let rows: Vec<_> = rows.map(|(bytes, seq)| (flow(seq, 9, 50, bytes), NOON)).collect();
    let days = fold(&rows, 1);
    let (app, peer, tally) = only(&days[0]);
    assert_eq!((tally.connections, tally.established, tally.bytes_out), (1, 1, 400));
    assert_eq!(tally.first_unix_ms, Some(NOON.at_unix_ms - 5_000));
    assert_eq!(tally.last_unix_ms, Some(NOON.at_unix_ms - 1_000));
    assert_eq!((app.host.as_str(), app.place.as_str(), peer.port), ("h", "/web", 443));
    assert_eq!(app.program.expect("known").comm, "curl");
    assert_eq!((days[0].rows, days[0].rejected), (4, 0));
}

#[test]
fn a_socket_cookie_in_other_hands_or_born_again_is_another_connection() {
    let mut passed_on = flow(2, 9, 50, 10);
    passed_on.holder = 8;
    let mut again = flow(2, 9, 50, 20);
    again.born_boot_ns += 1;
    let rows = [(flow(1, 9, 50, 5), NOON), (passed_on, NOON), (again, NOON)];
    let (_, _, tally) = only(&fold(&rows, 1)[0]);
    assert_eq!((tally.connections, tally.bytes_out), (3, 35));
}

#[test]
fn a_day_gets_what_passed_on_it_and_a_connection_counts_where_it_began() {
    let mut ended = flow(3, 9, 50, 700);
    ended.steps = Steps(ended.steps.0 | step::FAILED | step::CLOSED);
    ended.error = ErrorName(104);
    ended.last_boot_ns = TOMORROW.at_boot_ns;
    let rows = [(flow(1, 9, 50, 100), NOON), (flow(2, 9, 50, 100), TOMORROW), (ended, TOMORROW)];
    let days = fold(&rows, 1);
    let ((_, _, first), (_, _, second)) = (only(&days[0]), only(&days[1]));
    assert_eq!((first.connections, first.bytes_out, first.failed.len()), (1, 100, 0));
    assert_eq!((second.connections, second.established, second.bytes_out), (0, 0, 600));
    assert_eq!(second.failed.get(&104), Some(&1));
}

#[test]
fn a_row_that_goes_backwards_is_counted_and_not_used() {
    let mut unborn = flow(3, 10, 50, 5);
    unborn.born_boot_ns = NOON.at_boot_ns + 1;
    let rows = [(flow(1, 9, 50, 100), NOON), (flow(2, 9, 50, 90), NOON), (unborn, NOON)];
    let days = fold(&rows, 1);
    assert_eq!((only(&days[0]).2.bytes_out, days[0].rejected), (100, 2));
    let old_file = [(flow(2, 9, 50, 100), NOON), (flow(1, 9, 50, 90), NOON)];
    let days = fold(&old_file, 1);
    assert_eq!((only(&days[0]).2.bytes_out, days[0].rejected), (100, 0));
}

#[test]
fn an_owner_that_was_known_once_stays_known() {
    let mut later = flow(2, 9, 50, 200);
    (later.owner, later.cgroup_path) = (None, None);
    let rows = [(flow(1, 9, 50, 100), NOON), (later, NOON)];
    let (app, _, tally) = only(&fold(&rows, 1)[0]);
    assert_eq!((app.place.as_str(), tally.bytes_out), ("/web", 200));
    assert_eq!(app.program.expect("known").comm, "curl");
    let mut taken = flow(2, 9, 50, 200);
    taken.owner = Some(owner("worker"));
    let (app, _, tally) = only(&fold(&[(flow(1, 9, 50, 100), NOON), (taken, NOON)], 1)[0]);
    assert_eq!(app.program.expect("known").comm, "worker");
    assert_eq!(tally.connections, 1);
}

/// One address by two names: two peers. A text that was evicted later stays known.
#[test]
fn an_address_is_a_peer_under_each_name() {
    let named = |seq, socket, name: Option<&str>| Flow {
        name: name.map(|name| name.to_owned().into()),
        ..flow(seq, socket, 9, 100 * seq)
    };
    let rows = [
        (named(1, 1, Some("a.example")), NOON),
        (named(1, 2, Some("b.example")), NOON),
        (named(1, 3, None), NOON),
        (named(2, 1, None), NOON),
        (named(2, 3, Some("a.example")), NOON),
    ];
    let facts = fold(&rows, 1);
    let talks = talks(facts.iter()).expect("a table");
    let mut names: Vec<_> =
        talks.pairs.iter().map(|pair| (pair.name.as_deref(), pair.passed.bytes_out)).collect();
    names.sort();
    assert_eq!(names, [(Some("a.example"), 400), (Some("b.example"), 100)]);
}

/// Of what came in, the port of the service is the local one: the remote one means nothing.
#[test]
fn a_client_is_one_peer_whatever_port_it_came_from() {
    let came = |socket: u64| {
        let mut came = flow(1, socket, 50, 10);
        came.direction = Direction(2);
        came.remote_port = Some(40_000 + u16::try_from(socket).expect("small"));
        (came, NOON)
    };
    let mut listener = flow(1, 99, 50, 10);
    listener.direction = Direction(3);
    let rows: Vec<_> = (1..=5).map(came).chain([(listener, NOON)]).collect();
    let (_, peer, tally) = only(&fold(&rows, 1)[0]);
    assert_eq!((peer.port, peer.direction, tally.connections), (8080, 2, 5));
}

#[test]
fn folding_in_shares_gives_the_same() {
    let rows: Vec<_> = (1..300_u32)
        .flat_map(|n| {
            let socket = u64::from(n / 3);
            [(flow(1, socket, n, 7), NOON), (flow(2, socket, n, 9), TOMORROW)]
        })
        .collect();
    let whole = fold(&rows, 1);
    assert_eq!(whole[0].talk.apps.len(), 1);
    for of in [2, 3, 7] {
        assert_eq!(fold(&rows, of), whole, "{of} shares");
    }
}

fn noise(apps: u32, peers: u32, salt: u32) -> Talk {
    let mut talk = Talk::default();
    for app in 0..apps {
        let program = Program {
            comm: format!("a{app}"),
            exe_device: 1,
            exe_inode: app.into(),
            uid: salt % 2,
        };
        let app = App { host: "h".into(), place: String::new(), program: Some(program) };
        for peer in 0..peers {
            let addr = SourceAddr::from(IpAddr::V4(Ipv4Addr::from(peer * (salt + 1))));
            let direction = u8::try_from(peer % 3).expect("small");
            let tally = Tally { connections: 1, bytes_in: u64::from(peer), ..Tally::default() };
            talk.add(&app, Peer { direction, protocol: 6, port: 1, addr, name: None }, &tally);
        }
    }
    talk
}

/// The bounds hold, nothing is lost from the sums, and no order of merging is seen.
#[test]
fn parts_merge_to_the_same_in_any_order_also_beyond_the_bounds() {
    let parts = [noise(2, 2_000, 0), noise(3, 1_700, 1), noise(1, 3_000, 2), noise(4_200, 1, 3)];
    let merge = |order: [usize; 4]| {
        let mut all = Talk::default();
        for at in order {
            all.join(&parts[at]);
        }
        all
    };
    let all = merge([0, 1, 2, 3]);
    let mut right = parts[2].clone();
    right.join(&parts[3]);
    let mut left = parts[0].clone();
    left.join(&parts[1]);
    left.join(&right);
    for other in [merge([3, 2, 1, 0]), merge([2, 0, 3, 1]), left] {
        assert_eq!(other.apps.len(), MAX_APPS);
        assert!(other == all, "another order, another result");
    }
    let kept = all.apps.values().map(|facts| facts.total.connections).sum::<u64>();
    assert_eq!(kept + all.rest.connections, 2 * 2_000 + 3 * 1_700 + 3_000 + 4_200);
    for facts in all.apps.values() {
        let peers = [&facts.outgoing, &facts.incoming];
        let sum = |tally: &Tally| tally.connections;
        let all = peers.iter().map(|p| p.kept.values().map(sum).sum::<u64>() + sum(&p.rest));
        assert_eq!(all.sum::<u64>(), facts.total.connections);
        assert!(peers.iter().all(|peers| peers.kept.len() <= MAX_PEERS));
    }
    assert!(all.apps.values().any(|facts| facts.incoming.kept.len() == MAX_PEERS));
}

#[test]
fn a_table_is_sorted_by_bytes_and_sums_to_the_total() {
    assert!(talks(std::iter::empty()).is_none());
    let rows = [(flow(1, 9, 50, 100), NOON), (flow(1, 10, 51, 900), NOON)];
    let days = fold(&rows, 1);
    let talks = talks(days.iter()).expect("something");
    let order: Vec<u64> = talks.pairs.iter().map(|row| row.passed.bytes_out).collect();
    assert_eq!((order, talks.pairs_known), (vec![900, 100], 2));
    assert_eq!((talks.apps.len(), talks.apps[0].destinations), (1, 2));
    assert_eq!((talks.total.bytes_out, talks.total.connections), (1_000, 2));
    assert_eq!(talks.pairs[0].protocol, "tcp");
}

/// The newest row of each flag, in any order; a flag that says that all is well is none.
#[test]
fn findings_merge_to_the_newest_in_any_order_also_beyond_the_bound() {
    let row = |seq: u64, inode: u64, flags: u32| Behaviour {
        seq,
        exe_device: Device(1),
        exe_inode: inode,
        remote_addr: SourceAddr::from(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        remote_port: 443,
        protocol: Protocol(6),
        name: None,
        flags: Flags(flags),
        born_boot_ns: 1,
        last_boot_ns: NOON.at_boot_ns - (9 - seq) * 1_000_000_000,
        last_connect_boot_ns: 1,
        flagged_boot_ns: 1,
        connects: seq,
        failed: 0,
        unsent: 0,
        bytes_out: 0,
        bytes_in: 0,
        intervals: 0,
        intervals_long: 0,
        batch_intervals: 0,
        batch_mean_ns: 0,
        batch_min_ns: 0,
        batch_max_ns: 0,
        batch_cv_ppm: None,
    };
    let place = |line| Place { host: "h", file: "f", line };
    let mut parts = [Findings::default(), Findings::default(), Findings::default()];
    parts[0].behaviour(&row(2, 1, 0x1), NOON, place(2));
    parts[1].behaviour(&row(1, 1, 0x1), NOON, place(1));
    parts[1].behaviour(&row(1, 1, 0x20), NOON, place(3));
    for inode in 2..MAX_FINDINGS as u64 + 10 {
        parts[2].behaviour(&row(3, inode, 0x2), NOON, place(inode));
    }
    let merged = |order: [usize; 3]| {
        let mut all = Findings::default();
        order.iter().for_each(|&part| all.join(&parts[part]));
        all
    };
    let all = merged([0, 1, 2]);
    assert_eq!((all.kept.len(), all.is_cut), (MAX_FINDINGS, true));
    for order in [[2, 1, 0], [1, 0, 2], [1, 2, 0]] {
        assert!(merged(order) == all, "{order:?}");
    }
    let mut few = parts[1].clone();
    few.join(&parts[0]);
    let kept: Vec<_> =
        few.kept.values().map(|finding| (finding.connections, finding.line)).collect();
    assert_eq!((kept, few.is_cut), (vec![(2, 2)], false));
}
