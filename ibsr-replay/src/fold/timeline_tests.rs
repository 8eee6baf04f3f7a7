// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each way in which an interval can lose its rates.

use ibsr_proto::conservation::Totals;

use super::*;

const S: u64 = 1_000_000_000;
const PACE: Pace = Pace { period_ms: 10_000, attached_boot_ns: 100 * S };

fn sweep(seq: u64, since_s: u64, at_s: u64) -> Sweep {
    Sweep {
        seq,
        merged_from_seq: None,
        since_boot_ns: since_s * S,
        at_boot_ns: at_s * S,
        at_unix_ms: 0,
        rows: 0,
        entries: 0,
        max_entries: 0,
        attributed: 0,
        evicted: 0,
        during_read: 0,
        conserved: true,
        totals: Totals::default(),
        losses: Vec::new(),
        rx_packets: None,
        attached: true,
        read_us: 0,
    }
}

/// A timeline after a full sweep 1 at 110 s.
fn started() -> Timeline {
    let mut timeline = Timeline::new(10 * S);
    step(&mut timeline, &sweep(1, 0, 110));
    timeline
}

fn step(timeline: &mut Timeline, sweep: &Sweep) -> Interval {
    match timeline.place(PACE, sweep, true) {
        Placement::Next(interval) => {
            timeline.advance(sweep, &interval);
            interval
        }
        other => panic!("{other:?}"),
    }
}

fn why(sweep: &Sweep) -> Option<Why> {
    let interval = step(&mut started(), sweep);
    assert_eq!(interval.is_timed, interval.why.is_none());
    interval.why
}

#[test]
fn a_sweep_in_time_is_timed_from_the_one_before() {
    let mut timeline = started();
    let interval = step(&mut timeline, &sweep(2, 110, 121));
    assert_eq!(interval.over, Stretch { from_ns: 110 * S, to_ns: 121 * S });
    assert!(interval.is_timed && !interval.is_break);
}

#[test]
fn each_kind_of_gap_has_its_reason() {
    assert_eq!(why(&sweep(2, 110, 140)), None, "three periods");
    assert_eq!(why(&sweep(2, 110, 141)), Some(Why::Late));
    assert_eq!(why(&sweep(3, 110, 120)), Some(Why::Missing));
    assert_eq!(why(&sweep(3, 0, 120)), Some(Why::Missing), "a full sweep does not heal time");
    assert_eq!(why(&sweep(2, 111, 120)), Some(Why::Missing), "changes before 111 s are not listed");
    assert_eq!(why(&Sweep { attached: false, ..sweep(2, 110, 120) }), Some(Why::Detached));
    let merged = |seq, at_s| Sweep { merged_from_seq: Some(2), ..sweep(seq, 110, at_s) };
    assert_eq!(why(&merged(3, 130)), None, "merged, but short");
    assert_eq!(why(&merged(9, 200)), Some(Why::Merged));
}

/// Only what may be unlisted breaks the chain: a full sweep lists everything.
#[test]
fn a_hole_is_a_break_only_where_changes_may_be_unlisted() {
    assert!(step(&mut started(), &sweep(5, 140, 150)).is_break);
    assert!(!step(&mut started(), &sweep(5, 0, 150)).is_break);
    assert!(!step(&mut started(), &sweep(2, 110, 150)).is_break);
}

#[test]
fn a_sweep_whose_rows_are_not_all_there_is_a_gap_and_a_break() {
    let placed = started().place(PACE, &sweep(2, 110, 120), false);
    let Placement::Next(interval) = placed else { panic!("{placed:?}") };
    assert_eq!((interval.why, interval.is_break), (Some(Why::Incomplete), true));
}

#[test]
fn a_sweep_that_was_seen_is_a_duplicate_and_one_that_cannot_be_is_refused() {
    let mut timeline = started();
    step(&mut timeline, &sweep(4, 0, 140));
    assert_eq!(timeline.place(PACE, &sweep(4, 0, 140), true), Placement::Duplicate);
    assert_eq!(timeline.place(PACE, &sweep(2, 110, 120), true), Placement::Duplicate);
    assert_eq!(timeline.place(PACE, &sweep(5, 0, 139), true), Placement::Backwards);
}

/// What was counted before the first sweep has no time, unless that is the whole epoch.
#[test]
fn the_first_sweep_is_timed_only_when_it_is_full_and_soon() {
    let first = |sweep: &Sweep| step(&mut Timeline::new(10 * S), sweep);
    assert!(first(&sweep(1, 0, 110)).is_timed);
    for late in [sweep(1, 0, 131), sweep(9, 105, 110), sweep(1, 0, 50)] {
        let interval = first(&late);
        assert_eq!((interval.is_timed, interval.why), (false, None), "{late:?}");
    }
}

/// `once` has no period; three windows bound it.
#[test]
fn single_sweeps_are_timed_by_the_window() {
    let pace = Pace { period_ms: 0, ..PACE };
    let mut timeline = Timeline::new(10 * S);
    let first = timeline.place(pace, &sweep(1, 0, 130), true);
    assert!(matches!(first, Placement::Next(Interval { is_timed: true, .. })));
    timeline.advance(
        &sweep(1, 0, 130),
        &Interval {
            over: Stretch { from_ns: 100 * S, to_ns: 130 * S },
            is_timed: true,
            why: None,
            is_break: false,
        },
    );
    let late = timeline.place(pace, &sweep(2, 0, 161), true);
    assert!(matches!(late, Placement::Next(Interval { why: Some(Why::Late), .. })));
}

/// P1: a header may claim any period; what one row is spread over stays bounded.
#[test]
fn no_period_makes_an_interval_of_more_than_an_hour_timed() {
    let pace = Pace { period_ms: u64::MAX, attached_boot_ns: 0 };
    let timeline = Timeline::new(10 * S);
    let placed = timeline.place(pace, &sweep(1, 0, 3601), true);
    assert!(matches!(placed, Placement::Next(Interval { is_timed: false, .. })));
}

#[test]
fn a_window_is_complete_only_inside_one_run_of_timed_intervals() {
    let mut timeline = started();
    step(&mut timeline, &sweep(2, 110, 125));
    step(&mut timeline, &sweep(4, 135, 138));
    step(&mut timeline, &sweep(5, 138, 161));
    let complete: Vec<_> = (0..20).filter(|&window| timeline.is_complete(window)).collect();
    assert_eq!(complete, [10, 11, 14, 15]);
    assert!(!timeline.is_complete(u64::MAX));
}

#[test]
fn the_wall_clock_is_known_on_both_sides_of_a_sweep() {
    let clock = WallClock { at_boot_ns: 10 * S, at_unix_ms: 50_000 };
    assert_eq!(clock.unix_ms(8 * S), 48_000);
    assert_eq!(clock.unix_ms(11 * S), 51_000);
    assert_eq!(clock.unix_ms(u64::MAX), 50_000 + (u64::MAX - 10 * S) / 1_000_000);
    assert_eq!(WallClock { at_boot_ns: u64::MAX, at_unix_ms: 5 }.unix_ms(0), 0);
}
