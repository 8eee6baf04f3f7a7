// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rule set made ready for one length of window: what can be known before the first row.

use ibsr_proto::addr::SourceAddr;
use ipnet::IpNet;

use super::counts::Counts;
use super::vector::Vector;
use crate::rules::ast::{Action, Guard, Limited, Rule, RuleSet};
use crate::rules::level::level;

const NS_PER_S: u64 = 1_000_000_000;
/// Time that a fold of one day begins before the day, without windows: an action of at most
/// an hour, decided with a guard that looks back at most an hour.
const WARM_NS: u64 = 7_200 * NS_PER_S;
/// Windows that it begins before that: what a rule looks back at, and the delay.
const WARM_WINDOWS: u64 = 10;
/// Memory of the guard for shared addresses: this block and the one before.
const BLOCK_NS: u64 = 1_800 * NS_PER_S;

/// Rules for windows of one length.
#[derive(Debug, Clone)]
pub struct Compiled {
    set: RuleSet,
    rules: Vec<CompiledRule>,
    window_ns: u64,
}

/// One rule.
#[derive(Debug, Clone)]
pub struct CompiledRule {
    /// Windows that must count.
    pub k: u8,
    /// Of so many.
    pub of: u8,
    /// How long it acts.
    pub ttl_windows: u64,
    /// Thresholds.
    pub thresholds: u8,
    /// Frames that a limit lets pass in a window and at first.
    pub limit: Option<WindowLimit>,
    within_windows: Option<u64>,
    shared_at_least: Option<u64>,
    allow: Vec<IpNet>,
    ports: Vec<u16>,
}

/// A token bucket, by windows.
#[derive(Debug, Clone, Copy)]
pub struct WindowLimit {
    /// What takes a token.
    pub of: Limited,
    /// Tokens that come in a window.
    pub refill: u64,
    /// Tokens at most.
    pub burst: u64,
}

/// What a guard may know of a source: nothing that is younger than the window judged.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Last window with a completed handshake, plus one; 0 for none.
    handshake: u64,
    /// Half hour, and the most handshakes of a complete window in it.
    block: (u64, u64),
    /// The same of an earlier half hour.
    before: (u64, u64),
}

impl Compiled {
    /// Makes `set` ready for windows of `window_ns`, at least 1.
    #[must_use]
    pub fn new(set: RuleSet, window_ns: u64) -> Self {
        let rules = set.rules.iter().map(|rule| CompiledRule::new(&set, rule, window_ns)).collect();
        Self { set, rules, window_ns }
    }

    /// As it was written.
    #[must_use]
    pub const fn set(&self) -> &RuleSet {
        &self.set
    }

    /// Length of a window.
    #[must_use]
    pub const fn window_ns(&self) -> u64 {
        self.window_ns
    }

    /// Time before a day at which its fold begins.
    #[must_use]
    pub const fn warm_ns(&self) -> u64 {
        WARM_NS.saturating_add(self.window_ns.saturating_mul(WARM_WINDOWS))
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[CompiledRule] {
        &self.rules
    }

    /// Level of rule `rule` in a window.
    #[must_use]
    pub fn level(&self, rule: usize, counts: &Counts, ports: u32) -> u8 {
        level(&self.set.rules[rule], counts, ports, self.window_ns)
    }

    /// `vector` without the rules that leave `port` alone.
    #[must_use]
    pub fn at_port(&self, vector: Vector, port: u16) -> Vector {
        let excepted = |rule: &CompiledRule| rule.ports.contains(&port);
        let rules = self.rules.iter().enumerate();
        rules.filter(|(_, rule)| excepted(rule)).fold(vector, |v, (at, _)| v.with(at, 0))
    }

    /// Whether rule `rule` leaves the source alone in `window`.
    #[must_use]
    pub fn spares(&self, rule: usize, addr: SourceAddr, memory: &Memory, window: u64) -> bool {
        let rule = &self.rules[rule];
        let is_established =
            rule.within_windows.is_some_and(|within| memory.is_established(window, within));
        let is_shared = || {
            rule.shared_at_least.is_some_and(|least| memory.hosts(window, self.window_ns) >= least)
        };
        let is_allowed = || {
            let ip = addr.to_ip();
            rule.allow.iter().any(|prefix| prefix.contains(&ip))
        };
        is_established || is_shared() || is_allowed()
    }
}

impl CompiledRule {
    fn new(set: &RuleSet, rule: &Rule, window_ns: u64) -> Self {
        let windows = |seconds: u32| u64::from(seconds).saturating_mul(NS_PER_S);
        let mut compiled = Self {
            k: rule.span.k,
            of: rule.span.of,
            ttl_windows: windows(rule.ttl_s).div_ceil(window_ns),
            thresholds: u8::try_from(rule.thresholds()).expect("a grid has at most 15 thresholds"),
            limit: limit(rule.then, window_ns),
            within_windows: None,
            shared_at_least: None,
            allow: Vec::new(),
            ports: Vec::new(),
        };
        for guard in &rule.unless {
            match guard {
                Guard::Allow(prefixes) => {
                    compiled.allow.extend(prefixes);
                    compiled.allow.extend(&set.allow);
                }
                Guard::Established { within_s } => {
                    let within = windows(*within_s) / window_ns;
                    compiled.within_windows = compiled.within_windows.max(Some(within));
                }
                Guard::Shared { at_least } => {
                    let least = u64::from(*at_least);
                    let known = compiled.shared_at_least;
                    compiled.shared_at_least = Some(known.map_or(least, |known| known.min(least)));
                }
                Guard::Port(ports) => compiled.ports.extend(ports),
            }
        }
        compiled
    }
}

fn limit(action: Action, window_ns: u64) -> Option<WindowLimit> {
    let Action::Limit(limit) = action else { return None };
    let refill = u128::from(limit.rate_ps) * u128::from(window_ns) / u128::from(NS_PER_S);
    let refill = u64::try_from(refill).unwrap_or(u64::MAX);
    Some(WindowLimit { of: limit.of, refill, burst: limit.burst })
}

impl Memory {
    /// Takes note of a window that is over. Windows come in order.
    pub fn note(&mut self, window: u64, handshakes: u64, is_complete: bool, window_ns: u64) {
        if handshakes == 0 {
            return;
        }
        self.handshake = window.saturating_add(1);
        if !is_complete {
            return;
        }
        let block = block(window, window_ns);
        if self.block.0 != block {
            self.before = self.block;
            self.block = (block, 0);
        }
        self.block.1 = self.block.1.max(handshakes);
    }

    const fn is_established(&self, window: u64, within: u64) -> bool {
        self.handshake > 0 && window.saturating_sub(self.handshake - 1) <= within
    }

    /// Hosts that probably share the address: one, and another for each completed handshake
    /// a second that one host would hardly make.
    fn hosts(&self, window: u64, window_ns: u64) -> u64 {
        let now = block(window, window_ns);
        let is_recent = |(block, _): &&(u64, u64)| now.saturating_sub(*block) <= 1;
        let most = [self.block, self.before].iter().filter(is_recent).map(|(_, most)| *most).max();
        let per_second =
            u128::from(most.unwrap_or(0)) * u128::from(NS_PER_S) / u128::from(window_ns);
        1 + u64::try_from(per_second).unwrap_or(u64::MAX - 1)
    }
}

const fn block(window: u64, window_ns: u64) -> u64 {
    window.saturating_mul(window_ns) / BLOCK_NS
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW_NS: u64 = 10 * NS_PER_S;

    #[test]
    fn a_handshake_is_remembered_for_its_time() {
        let mut memory = Memory::default();
        assert!(!memory.is_established(0, 360));
        memory.note(0, 1, false, WINDOW_NS);
        assert!(memory.is_established(0, 0) && memory.is_established(360, 360));
        assert!(!memory.is_established(361, 360));
    }

    /// 40 handshakes in 10 s are those of five hosts, until the next half hour is over.
    #[test]
    fn hosts_behind_an_address_are_counted_for_a_while() {
        let mut memory = Memory::default();
        assert_eq!(memory.hosts(5, WINDOW_NS), 1);
        memory.note(5, 40, true, WINDOW_NS);
        memory.note(6, 9, true, WINDOW_NS);
        memory.note(7, 4000, false, WINDOW_NS);
        assert_eq!(memory.hosts(7, WINDOW_NS), 5);
        memory.note(181, 10, true, WINDOW_NS);
        assert_eq!(memory.hosts(181, WINDOW_NS), 5);
        assert_eq!(memory.hosts(360, WINDOW_NS), 2);
        assert_eq!(memory.hosts(540, WINDOW_NS), 1);
    }
}
