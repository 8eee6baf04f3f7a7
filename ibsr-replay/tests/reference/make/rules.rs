// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random rule sets whose thresholds lie where the traffic is.

use ibsr_replay::rules::ast::{
    Action, Grid, Guard, Limit, Limited, MAX_GRID, MAX_OF, MAX_RULES, MAX_SECONDS, Metric, Op,
    Predicate, Rule, RuleSet, Span,
};
use ipnet::IpNet;

use super::Rng;
use super::traffic::Habit;

const METRICS: [Metric; 7] = [
    Metric::SynPs,
    Metric::PacketsPs,
    Metric::BytesPs,
    Metric::HandshakeRatioPpm,
    Metric::RstRatioPpm,
    Metric::AckRatioPpm,
    Metric::Ports,
];

/// A rule set for these sources.
pub fn rule_set(rng: &mut Rng, window_ns: u64, sources: &[Habit]) -> RuleSet {
    let most = if rng.chance(10) { MAX_RULES as u64 } else { 3 };
    let rules = (0..rng.between(1, most)).map(|n| rule(rng, n, window_ns, sources)).collect();
    let allow = if rng.chance(30) { prefixes(rng, sources) } else { Vec::new() };
    RuleSet { rules, allow }
}

fn rule(rng: &mut Rng, number: u64, window_ns: u64, sources: &[Habit]) -> Rule {
    let mut when = vec![predicate(rng)];
    while rng.chance(35) && when.len() < 3 {
        let next = predicate(rng);
        if when.iter().all(|one| one.metric != next.metric) {
            when.push(next);
        }
    }
    let grid = rng.chance(60).then(|| grid(rng, &mut when));
    let longest = if rng.chance(20) { u64::from(MAX_OF) } else { 3 };
    let of = rng.between(1, longest);
    let k = rng.between(1, of);
    let small = |n: u64| u8::try_from(n).expect("at most MAX_OF");
    Rule {
        name: format!("rule_{number}"),
        when,
        span: Span { k: small(k), of: small(of) },
        then: action(rng),
        ttl_s: seconds(rng, window_ns),
        unless: guards(rng, window_ns, sources),
        grid,
    }
}

/// From below a window to the longest.
fn seconds(rng: &mut Rng, window_ns: u64) -> u32 {
    let window_s = window_ns / 1_000_000_000;
    let most = u64::from(MAX_SECONDS);
    let drawn = match rng.between(0, 9) {
        0 => most,
        1..=3 => window_s * rng.between(1, 4),
        _ => rng.between(1, window_s * 8 + 1),
    };
    u32::try_from(drawn.clamp(1, most)).expect("clamped")
}

fn predicate(rng: &mut Rng) -> Predicate {
    let metric = if rng.chance(50) { rng.pick(&METRICS[..3]) } else { rng.pick(&METRICS) };
    let op = if rng.chance(65) { Op::AtLeast } else { Op::AtMost };
    Predicate { metric, op, value: threshold(rng, metric) }
}

fn threshold(rng: &mut Rng, metric: Metric) -> u64 {
    match metric {
        Metric::SynPs => rng.between(0, 12),
        Metric::PacketsPs => rng.between(0, 25),
        Metric::BytesPs => rng.between(0, 25_000),
        Metric::HandshakeRatioPpm | Metric::RstRatioPpm | Metric::AckRatioPpm => {
            let percent = rng.between(0, 100);
            rng.pick(&[0, 10_000, 333_333, 500_000, 1_000_000, percent * 10_000])
        }
        Metric::Ports => rng.between(0, 4),
    }
}

/// Thresholds for one of the predicates, whose own value becomes the safest of them.
fn grid(rng: &mut Rng, when: &mut [Predicate]) -> Grid {
    let predicate = usize::try_from(rng.between(0, when.len() as u64 - 1)).expect("small");
    let searched = &mut when[predicate];
    let most = if rng.chance(10) { MAX_GRID as u64 } else { 5 };
    let mut values: Vec<u64> =
        (0..rng.between(1, most)).map(|_| threshold(rng, searched.metric)).collect();
    values.sort_unstable();
    values.dedup();
    if searched.op == Op::AtLeast {
        values.reverse();
    }
    searched.value = values[0];
    Grid { predicate, values }
}

fn action(rng: &mut Rng) -> Action {
    match rng.between(0, 3) {
        0 => Action::DropAll,
        1 => Action::Limit(Limit { of: Limited::Syn, rate_ps: 1, burst: 5 }),
        2 => Action::Limit(Limit { of: Limited::Packets, rate_ps: 10, burst: 20 }),
        _ => Action::DropSyn,
    }
}

fn guards(rng: &mut Rng, window_ns: u64, sources: &[Habit]) -> Vec<Guard> {
    let mut guards = Vec::new();
    if rng.chance(20) {
        let own = if rng.chance(50) { prefixes(rng, sources) } else { Vec::new() };
        guards.push(Guard::Allow(own));
    }
    if rng.chance(25) {
        guards.push(Guard::Established { within_s: seconds(rng, window_ns) });
    }
    if rng.chance(25) {
        guards.push(Guard::Shared { at_least: u32::try_from(rng.between(2, 6)).expect("small") });
    }
    if rng.chance(25) {
        let one = rng.pick(&[22, 443]);
        guards.push(Guard::Port(if rng.chance(50) { vec![one] } else { vec![one, 80] }));
    }
    guards
}

fn prefixes(rng: &mut Rng, sources: &[Habit]) -> Vec<IpNet> {
    (0..rng.between(1, 3))
        .map(|_| {
            let at = usize::try_from(rng.between(0, sources.len() as u64 - 1)).expect("small");
            let ip = sources[at].src.to_ip();
            let length = if ip.is_ipv4() {
                rng.pick(&[24, 29, 32, 32])
            } else {
                rng.pick(&[56, 64, 124, 128])
            };
            IpNet::new(ip, length).expect("shorter than an address").trunc()
        })
        .collect()
}
