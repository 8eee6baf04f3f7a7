// SPDX-License-Identifier: MIT OR Apache-2.0
//! Increments: exact, timed only where they may be, refused where they cannot be.

use super::*;

const NOW: Now = Now {
    ordinal: 2,
    baseline: 1,
    from_ns: 1_000_000_000,
    is_timed: true,
    window: 0,
    known_since_ns: 0,
    is_counted: true,
};

fn row(packets: u64, born_boot_ns: u64) -> Source {
    Source {
        seq: 1,
        src: "192.0.2.1".parse().expect("an address"),
        dst_port: 443,
        syn: packets,
        ack: 0,
        handshakes: 0,
        fin: 0,
        rst: 0,
        packets,
        bytes: packets * 60,
        proven: None,
        born_boot_ns,
        last_boot_ns: 0,
    }
}

/// (packets in all, packets without a rate) after these rows.
fn after(rows: &[(Source, Now)]) -> (u64, u64) {
    let mut sources = Sources::default();
    for (row, now) in rows {
        sources.add(row, now).expect("a good row");
    }
    let (_, facts) = sources.into_facts(0).remove(0);
    (facts.counts.packets, facts.untimed_packets)
}

#[test]
fn the_first_row_of_a_life_counts_from_zero() {
    assert_eq!(after(&[(row(7, NOW.from_ns), NOW)]), (7, 0));
    assert_eq!(after(&[(row(7, NOW.from_ns - TICK_BOUND_NS), NOW)]), (7, 0));
}

/// It is in the totals: it was sent. Nobody knows when.
#[test]
fn a_life_that_began_before_the_interval_has_no_rate_at_first() {
    let born = NOW.from_ns - TICK_BOUND_NS - 1;
    let next = Now { ordinal: 3, ..NOW };
    assert_eq!(after(&[(row(7, born), NOW)]), (7, 7));
    assert_eq!(after(&[(row(7, born), NOW), (row(9, born), next)]), (9, 7));
}

/// Evicted and made anew: the old counts stay, the new ones are added whole.
#[test]
fn a_new_life_is_added_to_the_old_one() {
    let next = Now { ordinal: 3, from_ns: 2_000_000_000, ..NOW };
    assert_eq!(after(&[(row(7, NOW.from_ns), NOW), (row(2, next.from_ns), next)]), (9, 0));
    assert_eq!(after(&[(row(7, NOW.from_ns), NOW), (row(2, NOW.from_ns + 1), next)]), (9, 2));
}

/// The sensor has a table for proven sources and one for the rest. A source that becomes
/// proven goes on in the first, while its old life is listed by every full sweep for as long
/// as it stays in the second.
#[test]
fn a_proven_life_goes_on_beside_the_unproven_one() {
    let of = |proven, packets, born| Source { proven: Some(proven), ..row(packets, born) };
    let at = |ordinal: u32| Now { ordinal, from_ns: NOW.from_ns * u64::from(ordinal), ..NOW };
    let (first, second) = (at(2).from_ns, at(3).from_ns);
    let rows = [
        (of(false, 7, first), at(2)),
        (of(false, 8, first), at(3)),
        (of(true, 5, second), at(3)),
        (of(false, 8, first), at(4)),
        (of(true, 9, second), at(4)),
    ];
    assert_eq!(after(&rows), (17, 0));
    let other_order = [3, 4, 1, 0, 2].map(|at: usize| rows[at]);
    let mut sources = Sources::default();
    let refused = other_order.iter().filter(|(row, now)| sources.add(row, now).is_err()).count();
    assert_eq!(refused, 2, "each life falls back once");
}

/// The set-associative table has one entry for a source, which becomes proven in it, and may be
/// evicted and made anew with or without a proof.
#[test]
fn a_life_that_becomes_proven_is_the_same_life() {
    let of = |proven, packets, born| Source { proven: Some(proven), ..row(packets, born) };
    let at = |ordinal: u32| Now { ordinal, from_ns: NOW.from_ns * u64::from(ordinal), ..NOW };
    let (first, second, third) = (at(2).from_ns, at(5).from_ns, at(7).from_ns);
    let rows = [
        (of(false, 7, first), at(2)),
        (of(true, 9, first), at(3)),
        (of(true, 10, first), at(4)),
        (of(true, 2, second), at(5)),
        (of(true, 5, second), at(6)),
        (of(false, 1, third), at(7)),
        (of(true, 3, third), at(8)),
    ];
    assert_eq!(after(&rows), (18, 0));
}

/// One port, whatever the number of lives: a scan is told by its ports.
#[test]
fn two_lives_are_one_port() {
    let of = |proven, born| Source { proven: Some(proven), ..row(3, born) };
    let mut sources = Sources::default();
    for (proven, born) in [(false, NOW.from_ns), (true, NOW.from_ns + 5)] {
        sources.add(&of(proven, born), &NOW).expect("a good row");
    }
    let mut ports = 0;
    sources.visit_recent(|source| {
        ports = source.recent.ports_in(NOW.window);
        true
    });
    let (_, facts) = sources.into_facts(0).remove(0);
    assert_eq!((ports, facts.ports, facts.counts.packets), (1, 1, 6));
}

#[test]
fn what_falls_into_a_gap_is_counted_without_a_rate() {
    let gap = Now { ordinal: 3, is_timed: false, ..NOW };
    let next = Now { ordinal: 4, ..NOW };
    let born = NOW.from_ns;
    let rows = [(row(7, born), NOW), (row(10, born), gap), (row(11, born), next)];
    assert_eq!(after(&rows), (11, 3));
}

/// After a hole a source that was not listed since may have changed inside the hole.
#[test]
fn a_source_last_seen_before_a_break_has_no_rate_until_it_is_seen_again() {
    let behind = Now { ordinal: 9, baseline: 5, ..NOW };
    let next = Now { ordinal: 10, ..behind };
    let born = NOW.from_ns;
    assert_eq!(after(&[(row(7, born), NOW), (row(10, born), behind)]), (10, 3));
    let rows = [(row(7, born), NOW), (row(10, born), behind), (row(11, born), next)];
    assert_eq!(after(&rows), (11, 3));
}

#[test]
fn a_corrupt_row_is_refused_and_what_follows_has_no_rate() {
    let mut sources = Sources::default();
    sources.add(&row(7, NOW.from_ns), &NOW).expect("a good row");
    let now = |ordinal| Now { ordinal, ..NOW };
    assert_eq!(sources.add(&row(6, NOW.from_ns), &now(3)), Err(RowFault::Backwards));
    assert_eq!(sources.add(&row(99, NOW.from_ns - 1), &now(4)), Err(RowFault::OlderLife));
    assert_eq!(sources.add(&row(9, NOW.from_ns), &now(5)), Ok(Added { packets: 2, before: 0 }));
    assert_eq!(sources.add(&row(10, NOW.from_ns), &now(6)), Ok(Added { packets: 1, before: 0 }));
    let (_, facts) = sources.into_facts(0).remove(0);
    assert_eq!((facts.counts.packets, facts.untimed_packets), (10, 2));
}

#[test]
fn ports_of_one_address_add_up_to_one_source() {
    let mut sources = Sources::default();
    for dst_port in [80, 443, 80] {
        let row = Source { dst_port, ..row(5, NOW.from_ns) };
        sources.add(&row, &NOW).expect("a good row");
    }
    let mut deltas = Vec::new();
    sources.visit_recent(|source| {
        deltas.push(source.recent.delta.packets);
        false
    });
    assert_eq!(deltas, [10]);
    let all = sources.into_facts(0);
    assert_eq!((all.len(), all[0].1.ports, all[0].1.counts.packets), (1, 2, 10));
}

/// A port counts once for the window in which the sweep ends.
#[test]
fn ports_are_counted_by_window() {
    let mut sources = Sources::default();
    let mut seen = Vec::new();
    for (window, port, packets) in [(4, 80, 1), (4, 80, 2), (4, 81, 1), (5, 80, 3), (6, 80, 3)] {
        let row = Source { dst_port: port, ..row(packets, NOW.from_ns) };
        sources.add(&row, &Now { window, ..NOW }).expect("a good row");
        sources.visit_recent(|source| {
            seen.push((source.recent.ports_in(4), source.recent.ports_in(window)));
            true
        });
    }
    assert_eq!(seen, [(1, 1), (1, 1), (2, 2), (2, 1), (2, 0)]);
}

/// What stands in the table when a day begins was counted before it.
#[test]
fn a_life_from_before_anything_is_known_is_only_a_baseline() {
    let mut sources = Sources::default();
    let now = Now { known_since_ns: NOW.from_ns, ..NOW };
    let born = NOW.from_ns - TICK_BOUND_NS - 1;
    assert_eq!(sources.add(&row(7, born), &now), Ok(Added { packets: 0, before: 7 }));
    let later = Now { ordinal: 3, ..now };
    assert_eq!(sources.add(&row(9, born), &later), Ok(Added { packets: 2, before: 0 }));
    let (_, facts) = sources.into_facts(0).remove(0);
    assert_eq!((facts.counts.packets, facts.untimed_packets, facts.ports), (2, 0, 1));
}

/// The hours before the day move the automata; they are not the day's.
#[test]
fn what_came_before_the_day_is_differenced_and_not_counted() {
    let mut sources = Sources::default();
    let before = Now { is_counted: false, ..NOW };
    assert_eq!(sources.add(&row(7, NOW.from_ns), &before), Ok(Added::default()));
    let mut deltas = Vec::new();
    sources.visit_recent(|source| {
        deltas.push(source.recent.delta.packets);
        false
    });
    assert_eq!(deltas, [7]);
    assert!(sources.into_facts(0).is_empty());
}

#[test]
fn a_source_that_is_forgotten_comes_back_when_it_talks() {
    let mut sources = Sources::default();
    sources.add(&row(5, NOW.from_ns), &NOW).expect("a good row");
    sources.visit_recent(|_| false);
    let mut visits = 0;
    sources.visit_recent(|_| true);
    sources.add(&row(6, NOW.from_ns), &Now { ordinal: 3, ..NOW }).expect("a good row");
    sources.visit_recent(|source| {
        assert_eq!(source.recent.delta.packets, 1);
        visits += 1;
        true
    });
    assert_eq!(visits, 1);
}
