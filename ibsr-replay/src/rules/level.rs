// SPDX-License-Identifier: MIT OR Apache-2.0
//! How far a window of one source satisfies a rule.
//!
//! Every comparison is a product on both sides, in 128 bits, so nothing is rounded and a
//! kernel program comes to the same answer. Total: any rule and any counters have a level.

use crate::fold::counts::Counts;
use crate::rules::ast::{Grid, Metric, Op, Predicate, Rule};

const NS_PER_S: u64 = 1_000_000_000;
const PPM: u64 = 1_000_000;

/// Number of thresholds of the rule's grid that the window satisfies; 0 unless all other
/// predicates hold. A rule without a grid has level 1 or 0. Thresholds are nested, so level
/// `l` means the `l` loosest ones.
///
/// `counts` and `ports` are those of one complete window of `window_ns`.
///
/// Cost: one comparison for a window that is below the loosest threshold, which is nearly
/// every window; no allocation.
#[must_use]
pub fn level(rule: &Rule, counts: &Counts, ports: u32, window_ns: u64) -> u8 {
    let Some(grid) = &rule.grid else {
        return u8::from(all_hold(rule, None, counts, ports, window_ns));
    };
    let reached = reached(rule, grid, counts, ports, window_ns);
    if reached > 0 && all_hold(rule, Some(grid.predicate), counts, ports, window_ns) {
        reached
    } else {
        0
    }
}

/// Thresholds that hold, counted from the loosest, which is the last one.
fn reached(rule: &Rule, grid: &Grid, counts: &Counts, ports: u32, window_ns: u64) -> u8 {
    let Some(predicate) = rule.when.get(grid.predicate) else { return 0 };
    let Some(measure) = Measure::of(predicate.metric, counts, ports, window_ns) else { return 0 };
    let holding = grid.values.iter().rev().take_while(|value| measure.is(predicate.op, **value));
    holding.fold(0, |level: u8, _| level.saturating_add(1))
}

/// Whether each predicate holds, but for the one at `except`.
fn all_hold(
    rule: &Rule,
    except: Option<usize>,
    counts: &Counts,
    ports: u32,
    window_ns: u64,
) -> bool {
    let mut others = rule.when.iter().enumerate().filter(|(at, _)| Some(*at) != except);
    others.all(|(_, predicate)| holds(predicate, counts, ports, window_ns))
}

fn holds(predicate: &Predicate, counts: &Counts, ports: u32, window_ns: u64) -> bool {
    let measure = Measure::of(predicate.metric, counts, ports, window_ns);
    measure.is_some_and(|measure| measure.is(predicate.op, predicate.value))
}

/// A measured value as a fraction: both factors of both sides are below 2^64, so no product
/// leaves 128 bits.
#[derive(Debug, Clone, Copy)]
struct Measure {
    part: u64,
    scale: u64,
    whole: u64,
}

impl Measure {
    /// `None` where the metric has no value: a ratio to nothing.
    fn of(metric: Metric, counts: &Counts, ports: u32, window_ns: u64) -> Option<Self> {
        let rate = |part| Some(Self { part, scale: NS_PER_S, whole: window_ns });
        let ratio = |part, whole| (whole > 0).then_some(Self { part, scale: PPM, whole });
        match metric {
            Metric::SynPs => rate(counts.syn),
            Metric::PacketsPs => rate(counts.packets),
            Metric::BytesPs => rate(counts.bytes),
            Metric::HandshakeRatioPpm => ratio(counts.handshakes, counts.syn),
            Metric::RstRatioPpm => ratio(counts.rst, counts.packets),
            Metric::AckRatioPpm => ratio(counts.ack, counts.packets),
            Metric::Ports => Some(Self { part: u64::from(ports), scale: 1, whole: 1 }),
        }
    }

    fn is(self, op: Op, value: u64) -> bool {
        let left = u128::from(self.part) * u128::from(self.scale);
        let right = u128::from(value) * u128::from(self.whole);
        match op {
            Op::AtLeast => left >= right,
            Op::AtMost => left <= right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::ast::{Action, Span};

    const WINDOW_NS: u64 = 10_000_000_000;

    fn at_least(metric: Metric, value: u64) -> Predicate {
        Predicate { metric, op: Op::AtLeast, value }
    }

    fn at_most(metric: Metric, value: u64) -> Predicate {
        Predicate { metric, op: Op::AtMost, value }
    }

    fn rule(when: Vec<Predicate>, grid: Option<Grid>) -> Rule {
        Rule {
            name: "r".into(),
            when,
            span: Span { k: 1, of: 1 },
            then: Action::DropSyn,
            ttl_s: 300,
            unless: Vec::new(),
            grid,
        }
    }

    fn syn_grid(others: &[Predicate]) -> Rule {
        let mut when = others.to_vec();
        when.push(at_least(Metric::SynPs, 400));
        let grid = Grid { predicate: others.len(), values: vec![400, 200, 100] };
        rule(when, Some(grid))
    }

    fn syn(syn: u64) -> Counts {
        Counts { syn, packets: syn, ..Counts::default() }
    }

    /// The fast answer must not differ from asking every threshold on its own.
    #[test]
    fn a_level_is_the_number_of_thresholds_that_hold() {
        let rule = syn_grid(&[]);
        let cases = [(999, 0), (1000, 1), (1999, 1), (2000, 2), (3999, 2), (4000, 3), (9999, 3)];
        for (count, expected) in cases {
            assert_eq!(level(&rule, &syn(count), 1, WINDOW_NS), expected, "{count}");
        }
    }

    #[test]
    fn a_threshold_means_nothing_where_another_predicate_fails() {
        let rule = syn_grid(&[at_most(Metric::HandshakeRatioPpm, 10_000)]);
        let with = |handshakes| Counts { handshakes, ..syn(10_000) };
        assert_eq!(level(&rule, &with(100), 1, WINDOW_NS), 3);
        assert_eq!(level(&rule, &with(101), 1, WINDOW_NS), 0);
    }

    #[test]
    fn a_grid_of_an_upper_limit_counts_from_its_largest_value() {
        let when = vec![at_most(Metric::HandshakeRatioPpm, 10_000)];
        let rule = rule(when, Some(Grid { predicate: 0, values: vec![10_000, 50_000, 100_000] }));
        let with = |handshakes| Counts { handshakes, ..syn(100) };
        let levels: Vec<u8> =
            [0, 1, 2, 5, 6, 10, 11].map(|n| level(&rule, &with(n), 1, WINDOW_NS)).to_vec();
        assert_eq!(levels, [3, 3, 2, 2, 1, 1, 0]);
    }

    #[test]
    fn a_rule_without_a_grid_has_one_level() {
        let rule = rule(vec![at_least(Metric::Ports, 3), at_least(Metric::BytesPs, 7)], None);
        let bytes = |bytes| Counts { bytes, ..Counts::default() };
        assert_eq!(level(&rule, &bytes(70), 3, WINDOW_NS), 1);
        assert_eq!(level(&rule, &bytes(69), 3, WINDOW_NS), 0);
        assert_eq!(level(&rule, &bytes(70), 2, WINDOW_NS), 0);
    }

    /// A window of 3 s has no whole number of SYN at 1 SYN/s and a third: nothing may round.
    #[test]
    fn rates_are_not_rounded() {
        let third = |value| rule(vec![at_least(Metric::SynPs, value)], None);
        assert_eq!(level(&third(3), &syn(8), 1, 3_000_000_000), 0);
        assert_eq!(level(&third(3), &syn(9), 1, 3_000_000_000), 1);
        assert_eq!(level(&third(1), &syn(1), 1, 1_000_000_001), 0);
        assert_eq!(level(&third(1), &syn(1), 1, 1_000_000_000), 1);
    }

    #[test]
    fn each_metric_reads_its_own_counter() {
        let counts = Counts {
            syn: 20,
            ack: 30,
            handshakes: 5,
            fin: 7,
            rst: 12,
            packets: 120,
            bytes: 90_000,
        };
        let exact = [
            (Metric::SynPs, 2),
            (Metric::PacketsPs, 12),
            (Metric::BytesPs, 9_000),
            (Metric::HandshakeRatioPpm, 250_000),
            (Metric::RstRatioPpm, 100_000),
            (Metric::AckRatioPpm, 250_000),
            (Metric::Ports, 4),
        ];
        for (metric, value) in exact {
            for (predicate, expected) in [
                (at_least(metric, value), 1),
                (at_least(metric, value + 1), 0),
                (at_most(metric, value), 1),
                (at_most(metric, value - 1), 0),
            ] {
                let rule = rule(vec![predicate], None);
                assert_eq!(level(&rule, &counts, 4, WINDOW_NS), expected, "{predicate:?}");
            }
        }
    }

    /// 0 of 0 is no ratio: neither small nor large.
    #[test]
    fn a_ratio_to_nothing_satisfies_no_comparison() {
        for metric in [Metric::HandshakeRatioPpm, Metric::RstRatioPpm, Metric::AckRatioPpm] {
            for predicate in [at_least(metric, 0), at_most(metric, u64::MAX)] {
                let counts = Counts { handshakes: 5, rst: 5, ack: 5, ..Counts::default() };
                assert_eq!(level(&rule(vec![predicate], None), &counts, 1, WINDOW_NS), 0);
                let grid = Grid { predicate: 0, values: vec![predicate.value] };
                assert_eq!(level(&rule(vec![predicate], Some(grid)), &counts, 1, WINDOW_NS), 0);
            }
        }
    }

    #[test]
    fn the_largest_numbers_are_compared_and_do_not_overflow() {
        let all =
            |n| Counts { syn: n, ack: n, handshakes: n, fin: n, rst: n, packets: n, bytes: n };
        let most = rule(vec![at_least(Metric::BytesPs, u64::MAX)], None);
        assert_eq!(level(&most, &all(u64::MAX), u32::MAX, u64::MAX), 0);
        assert_eq!(level(&most, &all(u64::MAX), u32::MAX, 1_000_000_000), 1);
        let ratio = rule(vec![at_most(Metric::AckRatioPpm, u64::MAX)], None);
        assert_eq!(level(&ratio, &all(u64::MAX), u32::MAX, u64::MAX), 1);
        let grid = Grid { predicate: 9, values: vec![1] };
        assert_eq!(level(&rule(vec![], Some(grid)), &all(1), 1, 0), 0);
    }
}
