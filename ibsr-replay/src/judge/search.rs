// SPDX-License-Identifier: MIT OR Apache-2.0
//! Chooses thresholds: a fixed sequence of nested rule sets, from the safest on.
//!
//! Rule by rule, in the order of the file, thresholds are tried from the safest; each is
//! tried together with what was chosen before it. The first that the bound refuses ends the
//! rule. A sequence that is fixed before the data is looked at may be tested step by step
//! without paying for every step; that there are several rules is paid for by sharing the
//! error among them.

use super::holdout::HoldOut;
use crate::fold::compiled::Compiled;
use crate::fold::vector::Choice;
use crate::rules::ast::MAX_RULES;
use crate::stats::sequence;

/// What a search may spend.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// Largest share of clusters that may be hurt.
    pub limit_ppb: u64,
    /// Error of the whole search.
    pub alpha_ppb: u64,
}

impl Budget {
    /// Error of one rule's sequence.
    #[must_use]
    pub fn alpha_of_one_ppb(&self, rules: usize) -> u64 {
        self.alpha_ppb / (rules.max(1) as u64)
    }
}

/// What a search came to.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// By rule, index of the chosen threshold.
    pub chosen: [Option<usize>; MAX_RULES],
    /// By rule, what was tried.
    pub paths: Vec<sequence::Path>,
}

/// Searches with `count`, which says (hurt, all) for a choice. `settle` may move an accepted
/// index to a safer one that gains as much, or leave the rule out.
pub fn search(
    rules: &Compiled,
    budget: Budget,
    count: impl Fn(&Choice) -> (u64, u64),
    settle: impl Fn(usize, usize) -> Option<usize>,
) -> Found {
    let mut found = Found::default();
    let mut so_far = Choice::default();
    let alpha_ppb = budget.alpha_of_one_ppb(rules.rules().len());
    for (rule, compiled) in rules.rules().iter().enumerate() {
        let thresholds = usize::from(compiled.thresholds);
        let tries = (0..thresholds).map(|i| count(&so_far.with(rule, Some(i), thresholds)));
        let path = sequence::search(tries, budget.limit_ppb, alpha_ppb);
        found.chosen[rule] = path.accepted().and_then(|last| settle(rule, last));
        so_far = so_far.with(rule, found.chosen[rule], thresholds);
        found.paths.push(path);
    }
    found
}

/// The choice of these thresholds.
#[must_use]
pub fn choice(rules: &Compiled, chosen: &[Option<usize>; MAX_RULES]) -> Choice {
    let rules = rules.rules().iter().enumerate();
    rules.fold(Choice::default(), |choice, (rule, compiled)| {
        choice.with(rule, chosen[rule], usize::from(compiled.thresholds))
    })
}

/// For each day the choice that the days before it led to; before anything was accepted,
/// the safest thresholds.
#[must_use]
pub fn rolling(rules: &Compiled, budget: Budget, table: &HoldOut, days: usize) -> Vec<Choice> {
    let safest = safest(rules);
    let on = |day: usize| {
        let count = |choice: &Choice| table.known_before(day, choice);
        let found = search(rules, budget, count, |_, last| Some(last));
        let found = choice(rules, &found.chosen);
        if found.is_empty() { choice(rules, &safest) } else { found }
    };
    (0..days).map(on).collect()
}

/// The safest threshold of every rule.
#[must_use]
pub fn safest(rules: &Compiled) -> [Option<usize>; MAX_RULES] {
    let mut safest = [None; MAX_RULES];
    safest[..rules.rules().len()].fill(Some(0));
    safest
}
