// SPDX-License-Identifier: MIT OR Apache-2.0
//! What one rule remembers of one source, at every threshold at once.
//!
//! Causal: a window is judged when the sweep that completes it has ended, and what follows
//! from it acts from the window behind the one in which that sweep ended. With sweeps no
//! longer than a window that is one window of delay, for publication and load. Totals of a
//! whole period decide nothing.
//!
//! A source that never reaches the lowest level has no state: that is nearly every one.

use std::ops::Range;

use super::compiled::{CompiledRule, WindowLimit};
use super::counts::Counts;
use crate::rules::ast::{Limited, MAX_OF};

/// Windows that a ring holds.
const RING: usize = MAX_OF as usize;

/// State of one rule and source.
#[derive(Debug, Clone)]
pub struct RuleState {
    /// Levels of the last windows, newest first.
    ring: [u8; RING],
    /// The newest of them.
    newest: u64,
    /// What was decided since the last sweep ended.
    decided: u8,
    /// By level, from 1: what acts when.
    acting: Vec<Acting>,
    /// Tokens of a limit.
    tokens: u64,
    /// Whether the rule acted in the window that was entered last.
    is_limiting: bool,
}

/// One level of a rule that has decided at least once.
#[derive(Debug, Clone, Default)]
struct Acting {
    windows: Range<u64>,
    /// Starts of the two latest decisions: the latest may lie in the future of a window that
    /// is entered now.
    starts: [Option<u64>; 2],
}

/// What a decision tells the books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Level, from 1.
    pub level: u8,
    /// First window in which it acts.
    pub from: u64,
    /// Windows from the first one that counted to `from`.
    pub delay: u64,
    /// Windows since the start of the decision before.
    pub again: Option<u64>,
}

impl RuleState {
    /// For a rule with `thresholds` levels.
    #[must_use]
    pub fn new(rule: &CompiledRule) -> Self {
        Self {
            ring: [0; RING],
            newest: 0,
            decided: 0,
            acting: vec![Acting::default(); usize::from(rule.thresholds)],
            tokens: 0,
            is_limiting: false,
        }
    }

    /// Takes note of a complete window at `level`, at least 1. Windows come in order; those
    /// that are left out count as level 0. Returns the level that is reached, before guards.
    pub fn judge(&mut self, rule: &CompiledRule, window: u64, level: u8) -> u8 {
        let shift = window.saturating_sub(self.newest);
        let shift = usize::try_from(shift).unwrap_or(RING).min(RING);
        self.ring.rotate_right(shift % RING);
        self.ring[..shift].fill(0);
        self.newest = window;
        self.ring[0] = level;
        let mut last = self.ring;
        let last = &mut last[..usize::from(rule.of)];
        last.sort_unstable_by(|a, b| b.cmp(a));
        last[usize::from(rule.k) - 1].min(level)
    }

    /// Takes note that no guard spares the source at `level`.
    pub fn decide(&mut self, level: u8) {
        self.decided = self.decided.max(level);
    }

    /// Ends the sweep that ended in window `current`: what was decided acts from the window
    /// behind it. `tell` hears of each level.
    pub fn publish(&mut self, rule: &CompiledRule, current: u64, mut tell: impl FnMut(Decided)) {
        let from = current.saturating_add(1);
        for level in 1..=std::mem::take(&mut self.decided) {
            let first = self.first_at(rule, level);
            let acting = &mut self.acting[usize::from(level) - 1];
            if acting.windows.end < from {
                acting.windows.start = from;
            }
            acting.windows.end = from.saturating_add(rule.ttl_windows);
            let again = acting.starts[0].map(|start| from - start);
            acting.starts = [Some(from), acting.starts[0]];
            tell(Decided { level, from, delay: from - first, again });
        }
    }

    /// First window of the ring that counts at `level`.
    fn first_at(&self, rule: &CompiledRule, level: u8) -> u64 {
        let ring = &self.ring[..usize::from(rule.of)];
        let oldest = ring.iter().rposition(|of| *of >= level).unwrap_or(0);
        self.newest.saturating_sub(oldest as u64)
    }

    /// Highest level at which the rule acts in `window`.
    #[must_use]
    pub fn acts_at(&self, window: u64) -> u8 {
        let highest = self.acting.iter().rposition(|acting| acting.windows.contains(&window));
        highest.map_or(0, |at| u8::try_from(at + 1).expect("a grid has at most 15 thresholds"))
    }

    /// Levels that have decided before `window`, with the windows since the latest start.
    pub fn ages(&self, window: u64) -> impl Iterator<Item = (u8, u64)> {
        (1..).zip(&self.acting).filter_map(move |(level, acting)| {
            let start = acting.starts.iter().flatten().find(|start| **start <= window)?;
            Some((level, window - start))
        })
    }

    /// Frames of a window beyond what a limit lets pass. The bucket is full when the rule
    /// begins to act.
    pub fn excess(&mut self, limit: WindowLimit, counts: &Counts, is_acting: bool) -> u64 {
        if !is_acting {
            self.is_limiting = false;
            return 0;
        }
        if !self.is_limiting {
            self.is_limiting = true;
            self.tokens = limit.burst;
        }
        let wanted = match limit.of {
            Limited::Syn => counts.syn,
            Limited::Packets => counts.packets,
        };
        let tokens = self.tokens.saturating_add(limit.refill);
        let passed = wanted.min(tokens);
        self.tokens = (tokens - passed).min(limit.burst);
        wanted - passed
    }

    /// Whether nothing of this matters from window `current` on. `memory` is the number of
    /// windows over which decisions are told apart.
    #[must_use]
    pub fn is_idle(&self, rule: &CompiledRule, current: u64, memory: u64) -> bool {
        let is_cold = self.newest.saturating_add(u64::from(rule.of)) < current;
        let is_over = |acting: &Acting| {
            let start = acting.starts[0].map_or(0, |start| start.saturating_add(memory));
            acting.windows.end <= current && start <= current
        };
        is_cold && self.acting.iter().all(is_over)
    }
}
