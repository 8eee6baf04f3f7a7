// SPDX-License-Identifier: MIT OR Apache-2.0
//! The SYN-rate rule: `syn_ps >= N` in K of K windows, then `drop_syn` for a time.
//!
//! Causal: a window is judged when the sweep that completes it has ended, and what follows
//! from it acts from the window behind the one in which that sweep ended. With sweeps no
//! longer than a window that is one window of delay, for publication and load. Totals of
//! the whole period decide nothing.

use std::ops::Range;

/// What to look for and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SynRule {
    /// SYN per second and source, from which a window counts.
    pub syn_ps: u64,
    /// Windows in a row that must count.
    pub windows: u32,
    /// How long the action lasts, in windows.
    pub ttl_windows: u64,
}

impl SynRule {
    /// Whether a window of `window_ns` with `syn` SYN counts.
    #[must_use]
    pub fn is_hit(&self, syn: u64, window_ns: u64) -> bool {
        const NS_PER_S: u128 = 1_000_000_000;
        u128::from(syn) * NS_PER_S >= u128::from(self.syn_ps) * u128::from(window_ns)
    }
}

/// What the rule remembers of one source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleState {
    streak: u32,
    last_hit: Option<u64>,
    acting: Range<u64>,
    is_decided: bool,
}

impl RuleState {
    /// Takes note of a complete window. Windows come in order; one that is left out was
    /// empty or not complete, and ends a streak.
    pub fn judge(&mut self, rule: &SynRule, window: u64, is_hit: bool) {
        if !is_hit {
            self.streak = 0;
            return;
        }
        let is_next = self.last_hit.is_some_and(|last| last + 1 == window);
        self.streak = if is_next { self.streak.saturating_add(1) } else { 1 };
        self.last_hit = Some(window);
        self.is_decided |= self.streak >= rule.windows;
    }

    /// Ends the sweep that ended in window `current`: what was decided acts from the window
    /// behind it. Called after the windows that the sweep completed were judged.
    pub fn publish(&mut self, rule: &SynRule, current: u64) {
        if !std::mem::take(&mut self.is_decided) {
            return;
        }
        let from = current.saturating_add(1);
        let is_extended = self.acting.end >= from;
        self.acting.start = if is_extended { self.acting.start } else { from };
        self.acting.end = from.saturating_add(rule.ttl_windows);
    }

    /// Whether the rule acts on the source in `window`.
    #[must_use]
    pub fn is_acting(&self, window: u64) -> bool {
        self.acting.contains(&window)
    }

    /// Whether nothing of this matters from window `current` on.
    #[must_use]
    pub fn is_idle(&self, current: u64) -> bool {
        let is_cold = self.last_hit.is_none_or(|last| last.saturating_add(1) < current);
        is_cold && self.acting.end <= current
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: SynRule = SynRule { syn_ps: 100, windows: 3, ttl_windows: 5 };

    /// One sweep a window, ending in the window behind the one that it completes.
    fn acts(hits: &[bool]) -> Vec<u64> {
        let mut state = RuleState::default();
        let mut acted = Vec::new();
        for (window, &is_hit) in (0..).zip(hits) {
            if state.is_acting(window) {
                acted.push(window);
            }
            state.judge(&RULE, window, is_hit);
            state.publish(&RULE, window + 1);
        }
        acted
    }

    #[test]
    fn a_rate_is_compared_without_rounding() {
        let window_ns = 10_000_000_000;
        assert!(RULE.is_hit(1000, window_ns));
        assert!(!RULE.is_hit(999, window_ns));
        assert!(SynRule { syn_ps: u64::MAX, ..RULE }.is_hit(u64::MAX, 1_000_000_000));
    }

    /// Three windows, one of delay, five of action: 0 1 2 decide, 4 to 8 are acted on.
    #[test]
    fn it_acts_behind_the_delay_and_ends_after_its_time() {
        let mut hits = [false; 14];
        hits[..3].fill(true);
        assert_eq!(acts(&hits), [4, 5, 6, 7, 8]);
    }

    #[test]
    fn a_broken_streak_begins_again() {
        let hits = [true, true, false, true, true, false, false, false, false];
        assert!(acts(&hits).is_empty());
    }

    /// Windows that are left out (empty, or in a gap) must not join two streaks.
    #[test]
    fn windows_that_are_not_next_to_each_other_are_no_streak() {
        let mut state = RuleState::default();
        for window in [1, 2, 4, 5, 7, 8] {
            state.judge(&RULE, window, true);
            state.publish(&RULE, window + 1);
        }
        assert_eq!(state.acting, 0..0);
    }

    #[test]
    fn a_flood_that_goes_on_is_acted_on_without_a_break() {
        assert_eq!(acts(&[true; 20]), (4..20).collect::<Vec<_>>());
    }

    #[test]
    fn a_source_is_forgotten_only_when_nothing_can_follow() {
        let mut state = RuleState::default();
        assert!(state.is_idle(0));
        state.judge(&RULE, 3, true);
        assert!(!state.is_idle(4));
        assert!(state.is_idle(5));
        state.acting = 6..8;
        assert!(!state.is_idle(7));
        assert!(state.is_idle(8));
    }
}
