// SPDX-License-Identifier: MIT OR Apache-2.0
//! Clusters by the day of their first appearance, and what would have been done to them on
//! that day.
//!
//! Every day but the first is held out. Each cluster counts once, on the first held-out day
//! on which it was seen: the same customer seen on ten days is one witness, not ten.

use crate::fold::vector::{Choice, Vector};

/// A cluster that some rule at some threshold would have hurt.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hit {
    /// Index of the first day on which it was seen, and what hurt it then.
    first: (usize, Vec<Vector>),
    /// The same for the first held-out day.
    held: Option<(usize, Vec<Vector>)>,
}

/// All clusters of one definition of legitimate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HoldOut {
    first: Vec<u64>,
    held: Vec<u64>,
    hits: Vec<Hit>,
}

impl HoldOut {
    /// For `days` days.
    #[must_use]
    pub fn new(days: usize) -> Self {
        Self { first: vec![0; days], held: vec![0; days], hits: Vec::new() }
    }

    /// Adds a cluster that was seen on `days` (indices, ascending, at least one) and hurt on
    /// some of them.
    pub fn add(&mut self, days: &[usize], hurt: &[(usize, Vector)]) {
        let Some(first) = days.first().copied() else { return };
        let held = days.iter().copied().find(|day| *day > 0);
        self.first[first] += 1;
        if let Some(held) = held {
            self.held[held] += 1;
        }
        if hurt.is_empty() {
            return;
        }
        let on = |day: usize| {
            let mut by: Vec<_> =
                hurt.iter().filter(|(at, _)| *at == day).map(|(_, v)| *v).collect();
            by.sort_unstable();
            by.dedup();
            (day, by)
        };
        let hit = Hit { first: on(first), held: held.map(on) };
        if !hit.first.1.is_empty() || hit.held.as_ref().is_some_and(|(_, by)| !by.is_empty()) {
            self.hits.push(hit);
        }
    }

    /// Clusters in the held-out days.
    #[must_use]
    pub fn held_out(&self) -> u64 {
        self.held.iter().sum()
    }

    /// Clusters first seen in the held-out day `day`, by index.
    #[must_use]
    pub fn held_out_on(&self, day: usize) -> u64 {
        self.held.get(day).copied().unwrap_or(0)
    }

    /// Clusters that `choice` would have hurt on their held-out day.
    #[must_use]
    pub fn hurt(&self, choice: &Choice) -> u64 {
        self.hurt_where(|_| *choice)
    }

    /// The same on one day.
    #[must_use]
    pub fn hurt_on(&self, day: usize, choice: &Choice) -> u64 {
        let is_hurt = |(at, by): &&(usize, Vec<Vector>)| *at == day && acts(choice, by);
        self.hits.iter().filter_map(|hit| hit.held.as_ref()).filter(is_hurt).count() as u64
    }

    /// The same where the choice depends on the day.
    #[must_use]
    pub fn hurt_where(&self, choice: impl Fn(usize) -> Choice) -> u64 {
        let held = self.hits.iter().filter_map(|hit| hit.held.as_ref());
        held.filter(|(day, by)| acts(&choice(*day), by)).count() as u64
    }

    /// (hurt, all) among the clusters first seen before day `day`: what was known by then.
    #[must_use]
    pub fn known_before(&self, day: usize, choice: &Choice) -> (u64, u64) {
        let all = self.first.iter().take(day).sum();
        let known = self.hits.iter().map(|hit| &hit.first).filter(|(at, _)| *at < day);
        (known.filter(|(_, by)| acts(choice, by)).count() as u64, all)
    }
}

fn acts(choice: &Choice, by: &[Vector]) -> bool {
    by.iter().any(|vector| choice.acts(*vector))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(level: u8) -> Vector {
        Vector::default().with(0, level)
    }

    fn choice(index: usize) -> Choice {
        Choice::default().with(0, Some(index), 3)
    }

    /// A cluster that was hurt on its tenth day was not hurt on the day that counts.
    #[test]
    fn a_cluster_counts_once_on_its_first_held_out_day() {
        let mut all = HoldOut::new(4);
        all.add(&[0], &[(0, at(3))]);
        all.add(&[0, 1, 2], &[(2, at(3))]);
        all.add(&[0, 2, 3], &[(2, at(2)), (3, at(3))]);
        all.add(&[3], &[]);
        assert_eq!((all.held_out(), all.held_out_on(1), all.held_out_on(2)), (3, 1, 1));
        assert_eq!([0, 1, 2].map(|index| all.hurt(&choice(index))), [0, 1, 1]);
        assert_eq!((all.hurt_on(2, &choice(1)), all.hurt_on(3, &choice(1))), (1, 0));
    }

    /// What later days show must not choose the thresholds of earlier ones.
    #[test]
    fn what_is_known_before_a_day_is_of_the_days_before() {
        let mut all = HoldOut::new(3);
        all.add(&[0, 1], &[(0, at(1)), (1, at(3))]);
        all.add(&[1], &[(1, at(3))]);
        assert_eq!(all.known_before(0, &choice(2)), (0, 0));
        assert_eq!(all.known_before(1, &choice(2)), (1, 1));
        assert_eq!(all.known_before(2, &choice(0)), (1, 2));
    }
}
