// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rules act on a packet, at every threshold at once.
//!
//! The thresholds of a grid are nested: whatever a safe one acts on, a looser one acts on
//! too. So the highest level at which a rule acts says everything about that rule, and the
//! levels of all rules, four bits each, say what any choice of thresholds would have done.
//! Packets are booked under this vector; rule sets are priced afterwards, without reading
//! anything again.

use serde::{Deserialize, Serialize};

use crate::rules::ast::{MAX_GRID, MAX_RULES};

const BITS: usize = 4;
const _: () = assert!(MAX_RULES * BITS == u32::BITS as usize && MAX_GRID < 1 << BITS);

/// The highest acting level of each rule; 0 where it does not act.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Vector(u32);

impl Vector {
    /// Level of rule `rule`.
    #[must_use]
    pub const fn level(self, rule: usize) -> u8 {
        (self.0 >> (rule * BITS) & 0xf) as u8
    }

    /// With rule `rule` at `level`, at most [`MAX_GRID`].
    #[must_use]
    pub const fn with(self, rule: usize, level: u8) -> Self {
        let mask = 0xf << (rule * BITS);
        Self(self.0 & !mask | ((level & 0xf) as u32) << (rule * BITS))
    }

    /// Whether no rule acts.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Rules that act.
    pub fn rules(self) -> impl Iterator<Item = (usize, u8)> {
        (0..MAX_RULES).map(move |rule| (rule, self.level(rule))).filter(|(_, level)| *level > 0)
    }
}

/// A choice of thresholds: for each rule the lowest level at which it acts, 0 where the rule
/// is left out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Choice([u8; MAX_RULES]);

impl Choice {
    /// With rule `rule` at index `index` of its `thresholds`, 0 being the safest: the safest
    /// one needs the highest level.
    #[must_use]
    pub fn with(mut self, rule: usize, index: Option<usize>, thresholds: usize) -> Self {
        let level = index.map_or(0, |index| thresholds.saturating_sub(index));
        self.0[rule] = u8::try_from(level).expect("a grid has at most 15 thresholds");
        self
    }

    /// Lowest level at which rule `rule` acts; `None` when it is left out.
    #[must_use]
    pub fn needs(&self, rule: usize) -> Option<u8> {
        Some(self.0[rule]).filter(|level| *level > 0)
    }

    /// Whether `rule` acts under `vector`.
    #[must_use]
    pub fn acts_by(&self, rule: usize, vector: Vector) -> bool {
        self.needs(rule).is_some_and(|needed| vector.level(rule) >= needed)
    }

    /// Whether any rule acts under `vector`.
    #[must_use]
    pub fn acts(&self, vector: Vector) -> bool {
        (0..MAX_RULES).any(|rule| self.acts_by(rule, vector))
    }

    /// Whether no rule is chosen.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_rule_has_a_place_of_its_own() {
        let vector =
            (0..MAX_RULES).fold(Vector::default(), |v, rule| v.with(rule, 15 - rule as u8));
        for rule in 0..MAX_RULES {
            assert_eq!(vector.level(rule), 15 - rule as u8);
            assert_eq!(vector.with(rule, 3).with(rule, 15 - rule as u8), vector);
        }
        assert_eq!(Vector::default().with(7, 2).rules().collect::<Vec<_>>(), [(7, 2)]);
    }

    /// The safest threshold acts on the highest level only.
    #[test]
    fn a_looser_threshold_acts_on_more() {
        let vector = |level| Vector::default().with(1, level);
        let choice = |index| Choice::default().with(1, Some(index), 3);
        let acts =
            |index| (0..=3).map(|level| choice(index).acts(vector(level))).collect::<Vec<_>>();
        assert_eq!(acts(0), [false, false, false, true]);
        assert_eq!(acts(1), [false, false, true, true]);
        assert_eq!(acts(2), [false, true, true, true]);
        assert!(!Choice::default().acts(vector(3)) && Choice::default().is_empty());
        assert!(!choice(0).acts(Vector::default().with(0, 15)));
    }
}
