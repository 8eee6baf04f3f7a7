// SPDX-License-Identifier: MIT OR Apache-2.0
//! Any rule set within the limits, for tests.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use crate::rules::ast::{
    Action, Grid, Guard, Limit, Limited, MAX_EXCEPTED_PORTS, MAX_GRID, MAX_OF, MAX_RULES,
    MAX_SECONDS, MAX_SHARED, MAX_TOKENS, Metric, Op, Predicate, Rule, RuleSet, Span,
};

/// Rule sets as `parse` gives them.
pub(crate) fn rule_set() -> impl Strategy<Value = RuleSet> {
    let rules = vec(rule(), 1..=MAX_RULES);
    (rules, prefixes(0..6)).prop_map(|(mut rules, allow)| {
        for (at, rule) in rules.iter_mut().enumerate() {
            rule.name.truncate(30);
            rule.name.push_str(&at.to_string());
        }
        RuleSet { rules, allow }
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    let span = (1..=MAX_OF).prop_flat_map(|of| (1..=of).prop_map(move |k| Span { k, of }));
    ("[a-z0-9_]{1,32}", when(), span, action(), 1..=MAX_SECONDS, guards()).prop_map(
        |(name, (when, grid), span, then, ttl_s, unless)| Rule {
            name,
            when,
            span,
            then,
            ttl_s,
            unless,
            grid,
        },
    )
}

/// Predicates that differ in metric or comparison; a grid for the first, if it is the only
/// one of its metric and one is wanted.
fn when() -> impl Strategy<Value = (Vec<Predicate>, Option<Grid>)> {
    let kinds: Vec<(Metric, Op)> = Metric::ALL
        .into_iter()
        .flat_map(|metric| [(metric, Op::AtLeast), (metric, Op::AtMost)])
        .collect();
    let chosen = proptest::sample::subsequence(kinds, 1..=6).prop_shuffle();
    chosen.prop_flat_map(|kinds| {
        let predicates: Vec<_> = kinds.into_iter().map(predicate).collect();
        (predicates, btree_set(1..1000_u64, 0..=MAX_GRID)).prop_map(|(mut when, values)| {
            let grid = grid(&when, values);
            if let Some(grid) = &grid {
                when[grid.predicate].value = grid.values[0];
            }
            (when, grid)
        })
    })
}

fn predicate((metric, op): (Metric, Op)) -> impl Strategy<Value = Predicate> {
    (op.least()..=metric.most()).prop_map(move |value| Predicate { metric, op, value })
}

fn grid(when: &[Predicate], values: BTreeSet<u64>) -> Option<Grid> {
    let predicate = (0..when.len())
        .find(|at| when.iter().filter(|other| other.metric == when[*at].metric).count() == 1)?;
    let mut values: Vec<u64> = values.into_iter().collect();
    if when[predicate].op == Op::AtLeast {
        values.reverse();
    }
    (!values.is_empty()).then_some(Grid { predicate, values })
}

fn action() -> impl Strategy<Value = Action> {
    let of = prop_oneof![Just(Limited::Syn), Just(Limited::Packets)];
    let limit = (of, 1..=MAX_TOKENS, 1..=MAX_TOKENS)
        .prop_map(|(of, rate_ps, burst)| Action::Limit(Limit { of, rate_ps, burst }));
    prop_oneof![Just(Action::DropSyn), Just(Action::DropAll), limit]
}

fn guards() -> impl Strategy<Value = Vec<Guard>> {
    let ports = btree_set(1..=u16::MAX, 1..=MAX_EXCEPTED_PORTS);
    let all = (
        prefixes(0..4).prop_map(Guard::Allow),
        (1..=MAX_SECONDS).prop_map(|within_s| Guard::Established { within_s }),
        (2..=MAX_SHARED).prop_map(|at_least| Guard::Shared { at_least }),
        ports.prop_map(|ports| Guard::Port(ports.into_iter().collect())),
    );
    all.prop_flat_map(|(allow, established, shared, port)| {
        proptest::sample::subsequence(vec![allow, established, shared, port], 0..=4).prop_shuffle()
    })
}

fn prefixes(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<IpNet>> {
    let v4 = (any::<u32>(), 0..=32_u8).prop_map(|(bits, len)| {
        IpNet::from(Ipv4Net::new(Ipv4Addr::from_bits(bits), len).expect("up to 32").trunc())
    });
    let v6 = (any::<u128>(), 0..=128_u8).prop_map(|(bits, len)| {
        IpNet::from(Ipv6Net::new(Ipv6Addr::from_bits(bits), len).expect("up to 128").trunc())
    });
    btree_set(prop_oneof![v4, v6], count).prop_map(|set| set.into_iter().collect())
}
