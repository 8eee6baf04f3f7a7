// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes down what sources sent, by time and by who would have acted on it.

use super::compiled::Compiled;
use super::counts::Counts;
use super::facts::{BUCKET_MS, Load, UnitFacts};
use super::source_facts::{Acted, Booked, SourceFacts, TTL_GRID_S};
use super::sources::Recent;
use super::state::RuleState;
use super::timeline::WallClock;
use super::vector::Vector;
use super::window::{Stretch, apportion};

const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MS: u64 = 1_000_000;

/// The books of one sweep.
#[derive(Debug)]
pub struct Book<'a> {
    /// The rules.
    pub rules: &'a Compiled,
    /// UTC day.
    pub day: u32,
    /// Whether anything is written down: not before the day begins.
    pub is_open: bool,
    /// Interval of the sweep.
    pub over: Stretch,
    /// What everybody sent, by window.
    windows: Vec<(u64, Load)>,
    /// What would have been acted on.
    acted: Vec<(u64, u16, Vector, Load)>,
}

impl<'a> Book<'a> {
    /// For a sweep over `over`.
    #[must_use]
    pub const fn new(rules: &'a Compiled, day: u32, is_open: bool, over: Stretch) -> Self {
        Self { rules, day, is_open, over, windows: Vec::new(), acted: Vec::new() }
    }

    /// Writes down a source's share of `window`.
    pub fn add(&mut self, window: u64, share: &Counts) {
        if self.is_open {
            load(&mut self.windows, window).add(share.into());
        }
    }

    /// Writes down what of the sweep's increments rules would have acted on.
    pub fn add_acted(&mut self, facts: &mut SourceFacts, recent: &mut Recent) {
        let by_port = std::mem::take(&mut recent.by_port);
        if !self.is_open {
            return;
        }
        for (port, counts) in by_port {
            for (window, share) in apportion(counts, self.over, self.rules.window_ns()) {
                self.add_age(facts, recent, window, share.packets);
                let vector = self.rules.at_port(acting(&recent.rules, window), port);
                if vector.is_none() {
                    continue;
                }
                let acted = facts.acted.get_or_insert_default();
                acted.book(self.day, vector, &Booked::of(&share));
                self.acted.push((window, port, vector, Load::from(&share)));
            }
        }
    }

    fn add_age(&self, facts: &mut SourceFacts, recent: &Recent, window: u64, packets: u64) {
        let rules = (0_u8..).zip(&recent.rules);
        for (rule, state) in rules.filter_map(|(rule, state)| Some((rule, state.as_ref()?))) {
            for (level, age) in state.ages(window) {
                let age_s = age.saturating_mul(self.rules.window_ns()) / NS_PER_S;
                let Some(slot) = TTL_GRID_S.iter().position(|ttl| age_s < *ttl) else { continue };
                // A decision that was made before the day began left its mark there.
                let acted = facts.acted.get_or_insert_default();
                let by_age = &mut acted.mark(rule, level, u64::MAX).packets_by_age[slot];
                *by_age = by_age.saturating_add(packets);
            }
        }
    }

    /// Lets each rule that decided act from the window behind `current`, and writes down how
    /// long that took.
    pub fn publish(&self, facts: &mut SourceFacts, recent: &mut Recent, current: u64) {
        let window_ns = self.rules.window_ns();
        let states = (0_u8..).zip(&mut recent.rules).zip(self.rules.rules());
        for ((rule, state), compiled) in states {
            let Some(state) = state else { continue };
            state.publish(compiled, current, |decided| {
                if !self.is_open {
                    return;
                }
                let acted: &mut Acted = facts.acted.get_or_insert_default();
                let delay_ms = decided.delay.saturating_mul(window_ns) / NS_PER_MS;
                let mark = acted.mark(rule, decided.level, delay_ms);
                mark.delay_ms = mark.delay_ms.min(delay_ms);
                let again_s = decided.again.unwrap_or(0).saturating_mul(window_ns) / NS_PER_S;
                mark.again_s = mark.again_s.max(again_s);
            });
        }
    }

    /// Writes down what limits would have taken away of a window that is over.
    pub fn limit(&self, facts: &mut SourceFacts, recent: &mut Recent, counts: &Counts) {
        let window = recent.window;
        let vector = acting(&recent.rules, window);
        let mut excess: Option<u64> = None;
        for (rule, state) in recent.rules.iter_mut().enumerate() {
            let (Some(state), Some(limit)) = (state, self.rules.rules()[rule].limit) else {
                continue;
            };
            let is_acting = vector.level(rule) > 0;
            let beyond = state.excess(limit, counts, is_acting);
            if is_acting {
                excess = Some(excess.map_or(beyond, |known| known.min(beyond)));
            }
        }
        if let Some(excess) = excess.filter(|excess| *excess > 0 && self.is_open) {
            let booked = Booked { excess, ..Booked::default() };
            facts.acted.get_or_insert_default().book(self.day, vector, &booked);
        }
    }

    /// Closes the books of the sweep.
    pub fn close(self, clock: WallClock, facts: &mut UnitFacts) {
        let window_ns = self.rules.window_ns();
        let bucket = |window: u64| clock.unix_ms(window.saturating_mul(window_ns)) / BUCKET_MS;
        for (window, load) in self.windows {
            facts.buckets.entry(bucket(window)).or_default().all.add(load);
        }
        for (window, port, vector, load) in self.acted {
            let all = facts.buckets.entry(bucket(window)).or_default();
            all.acted.entry(vector).or_default().add(load);
            facts.ports.entry((port, vector)).or_default().add(load);
        }
    }
}

/// Highest level of each rule that acts in `window`.
fn acting(rules: &[Option<RuleState>], window: u64) -> Vector {
    let states = rules.iter().enumerate().filter_map(|(at, state)| Some((at, state.as_ref()?)));
    states.fold(Vector::default(), |v, (at, state)| v.with(at, state.acts_at(window)))
}

/// The windows of one sweep are few and come in order.
fn load(windows: &mut Vec<(u64, Load)>, window: u64) -> &mut Load {
    let at = windows.iter().rposition(|(at, _)| *at == window).unwrap_or_else(|| {
        windows.push((window, Load::default()));
        windows.len() - 1
    });
    &mut windows[at].1
}
