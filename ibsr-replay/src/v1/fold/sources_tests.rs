// SPDX-License-Identifier: MIT OR Apache-2.0
//! Increments: exact, timed only where they may be, refused where they cannot be.

use super::*;

const NOW: Now = Now { ordinal: 2, baseline: 1, from_ns: 1_000_000_000, is_timed: true };

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
        sources.add(row, *now).expect("a good row");
    }
    let (_, totals) = sources.into_totals().next().expect("one source");
    (totals.counts.packets, totals.untimed_packets)
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
    sources.add(&row(7, NOW.from_ns), NOW).expect("a good row");
    let now = |ordinal| Now { ordinal, ..NOW };
    assert_eq!(sources.add(&row(6, NOW.from_ns), now(3)), Err(RowFault::Backwards));
    assert_eq!(sources.add(&row(99, NOW.from_ns - 1), now(4)), Err(RowFault::OlderLife));
    assert_eq!(sources.add(&row(9, NOW.from_ns), now(5)), Ok(2));
    assert_eq!(sources.add(&row(10, NOW.from_ns), now(6)), Ok(1));
    let (_, totals) = sources.into_totals().next().expect("one source");
    assert_eq!((totals.counts.packets, totals.untimed_packets), (10, 2));
}

#[test]
fn ports_of_one_address_add_up_to_one_source() {
    let mut sources = Sources::default();
    for dst_port in [80, 443, 80] {
        let row = Source { dst_port, ..row(5, NOW.from_ns) };
        sources.add(&row, NOW).expect("a good row");
    }
    let mut deltas = Vec::new();
    sources.visit_recent(|_, recent| {
        deltas.push(recent.delta.packets);
        false
    });
    assert_eq!(deltas, [10]);
    let totals: Vec<_> = sources.into_totals().map(|(_, totals)| totals).collect();
    assert_eq!((totals.len(), totals[0].ports, totals[0].counts.packets), (1, 2, 10));
}

#[test]
fn a_source_that_is_forgotten_comes_back_when_it_talks() {
    let mut sources = Sources::default();
    sources.add(&row(5, NOW.from_ns), NOW).expect("a good row");
    sources.visit_recent(|_, _| false);
    let mut visits = 0;
    sources.visit_recent(|_, _| true);
    sources.add(&row(6, NOW.from_ns), Now { ordinal: 3, ..NOW }).expect("a good row");
    sources.visit_recent(|_, recent| {
        assert_eq!(recent.delta.packets, 1);
        visits += 1;
        true
    });
    assert_eq!(visits, 1);
}
