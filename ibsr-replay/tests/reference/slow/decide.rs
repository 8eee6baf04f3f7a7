// SPDX-License-Identifier: MIT OR Apache-2.0
//! One threshold of one rule, replayed over one source.

use std::collections::BTreeMap;

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::rules::ast::{Guard, Metric, Op, Predicate, Rule, RuleSet};
use ipnet::IpNet;

use super::SECOND_NS;
use super::tally::Tally;
use super::timing::Placed;
use super::windows::Windows;

/// Length of the blocks over which simultaneous hosts are estimated.
const BLOCK_NS: i128 = 1800 * SECOND_NS;
/// Handshakes that one host completes in a second at most.
const HANDSHAKES_PS: u128 = 1;

/// What does not change from source to source.
#[derive(Debug)]
pub struct Unit<'a> {
    /// Sweeps in order.
    pub placed: &'a [Placed<'a>],
    /// Which windows are complete.
    pub complete: &'a BTreeMap<i128, bool>,
    /// Length of a window.
    pub window_ns: i128,
    /// The rules.
    pub rules: &'a RuleSet,
}

/// One source of a unit.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Where.
    pub unit: &'a Unit<'a>,
    /// Who.
    pub src: SourceAddr,
    /// Its windows.
    pub windows: &'a Windows,
}

/// Windows in which a threshold acts: from the first up to the second.
pub type Acting = Vec<(i128, i128)>;

/// How often each kind of guard changed what happened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Saved {
    /// By a list of prefixes.
    pub allow: u64,
    /// By a handshake.
    pub established: u64,
    /// As a shared address.
    pub shared: u64,
    /// By port, in shares.
    pub port: u64,
}

impl Subject<'_> {
    /// Replays `rule` with the threshold at `index` of its grid, safest first.
    pub fn acting(&self, rule: &Rule, index: usize, saved: &mut Saved) -> Acting {
        let hits: Vec<i128> = self
            .windows
            .numbers()
            .into_iter()
            .filter(|window| self.is_hit(rule, index, *window))
            .collect();
        let mut acting = Vec::new();
        let Some(first) = self.unit.placed.first() else { return acting };
        // Before an untimed first sweep no window holds anything.
        let start_ns = if first.is_timed { first.from_ns } else { first.to_ns };
        let mut entered = start_ns / self.unit.window_ns;
        for (sweep, at) in self.unit.placed.iter().enumerate() {
            let until = self.entered_until(at);
            for window in entered..until {
                let oldest = window - i128::from(rule.span.of) + 1;
                let count = hits.iter().filter(|hit| (oldest..=window).contains(*hit)).count();
                // A window that is no hit itself decides nothing, or a threshold would act
                // longer for standing in a grid with lower ones.
                if hits.contains(&window)
                    && count >= usize::from(rule.span.k)
                    && !self.is_guarded(rule, window, sweep, saved)
                {
                    let start = at.to_ns / self.unit.window_ns + 1;
                    acting.push((start, start + self.ttl_windows(rule)));
                }
            }
            entered = entered.max(until);
        }
        acting
    }

    /// The first window that a sweep leaves open. One without a rate closes every window
    /// that it reaches into: nothing can make them complete any more.
    fn entered_until(&self, at: &Placed<'_>) -> i128 {
        let window_ns = self.unit.window_ns;
        if at.is_timed { at.to_ns / window_ns } else { (at.to_ns - 1) / window_ns + 1 }
    }

    fn ttl_windows(&self, rule: &Rule) -> i128 {
        let ttl_ns = i128::from(rule.ttl_s) * SECOND_NS;
        (ttl_ns + self.unit.window_ns - 1) / self.unit.window_ns
    }

    fn is_hit(&self, rule: &Rule, index: usize, window: i128) -> bool {
        if !self.unit.complete.get(&window).copied().unwrap_or(false) {
            return false;
        }
        let tally = self.windows.tally(window, usize::MAX);
        let ports = self.windows.ports(window);
        rule.when.iter().enumerate().all(|(position, predicate)| {
            let value = match &rule.grid {
                Some(grid) if grid.predicate == position => grid.values[index],
                _ => predicate.value,
            };
            holds(&Predicate { value, ..*predicate }, &tally, ports, self.unit.window_ns)
        })
    }

    fn is_guarded(&self, rule: &Rule, window: i128, sweep: usize, saved: &mut Saved) -> bool {
        let mut is_guarded = false;
        for guard in &rule.unless {
            let (holds, counter) = match guard {
                Guard::Allow(prefixes) => (self.is_allowed(prefixes), &mut saved.allow),
                Guard::Established { within_s } => {
                    (self.is_established(*within_s, window, sweep), &mut saved.established)
                }
                Guard::Shared { at_least } => {
                    (self.hosts(window) >= u128::from(*at_least), &mut saved.shared)
                }
                Guard::Port(_) => continue,
            };
            *counter += u64::from(holds);
            is_guarded |= holds;
        }
        is_guarded
    }

    fn is_allowed(&self, prefixes: &[IpNet]) -> bool {
        let ip = self.src.to_ip();
        prefixes.iter().chain(&self.unit.rules.allow).any(|prefix| prefix.contains(&ip))
    }

    fn is_established(&self, within_s: u32, window: i128, sweep: usize) -> bool {
        self.windows.numbers().into_iter().any(|earlier| {
            earlier <= window
                && self.windows.tally(earlier, sweep).handshakes > 0
                && (window - earlier) * self.unit.window_ns <= i128::from(within_s) * SECOND_NS
        })
    }

    /// How many hosts seem to share the address.
    fn hosts(&self, window: i128) -> u128 {
        let block = |window: i128| window * self.unit.window_ns / BLOCK_NS;
        let most = self
            .windows
            .numbers()
            .into_iter()
            .filter(|earlier| *earlier <= window && block(*earlier) + 1 >= block(window))
            .filter(|earlier| self.unit.complete.get(earlier).copied().unwrap_or(false))
            .map(|earlier| self.windows.tally(earlier, usize::MAX).handshakes)
            .max()
            .unwrap_or(0);
        let per = u128::try_from(self.unit.window_ns).expect("windows have a length");
        1 + most * SECOND_NS.unsigned_abs() / (per * HANDSHAKES_PS)
    }
}

fn holds(predicate: &Predicate, tally: &Tally, ports: u128, window_ns: i128) -> bool {
    const MILLION: u128 = 1_000_000;
    let second = SECOND_NS.unsigned_abs();
    let per_second = |n: u128| (n * second, window_ns.unsigned_abs());
    let ratio = |part: u128, base: u128| (part * MILLION, base);
    let (measured, unit) = match predicate.metric {
        Metric::SynPs => per_second(tally.syn),
        Metric::PacketsPs => per_second(tally.packets),
        Metric::BytesPs => per_second(tally.bytes),
        Metric::HandshakeRatioPpm => ratio(tally.handshakes, tally.syn),
        Metric::RstRatioPpm => ratio(tally.rst, tally.packets),
        Metric::AckRatioPpm => ratio(tally.ack, tally.packets),
        Metric::Ports => (ports, 1),
    };
    let limit = u128::from(predicate.value) * unit;
    unit > 0
        && match predicate.op {
            Op::AtLeast => measured >= limit,
            Op::AtMost => measured <= limit,
        }
}
