// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `check` says about a policy beside that it can be read: rules that never decide.

use std::collections::HashSet;
use std::hash::Hash;

use crate::compile::Identities;
use crate::model::{Policy, Rule};
use crate::specificity::Specificity;

/// Something that the author should know about one rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// Another rule always wins and does the same.
    Repeated {
        /// The rule that never decides.
        rule: usize,
        /// The one that wins.
        by: usize,
    },
    /// Another rule always wins and does something else.
    Shadowed {
        /// The rule that never decides.
        rule: usize,
        /// The one that wins.
        by: usize,
    },
    /// It names a domain, and no resolver is listed: no address ever has a name.
    NothingLearned {
        /// The rule.
        rule: usize,
    },
    /// It names executables, users or cgroups, none of which this machine has.
    NobodyHere {
        /// The rule.
        rule: usize,
        /// Which field.
        field: &'static str,
    },
}

/// Every rule that can never decide or only decides about queries, as far as that can be seen from two rules at a time.
#[must_use]
pub fn findings(policy: &Policy, identities: &[Identities]) -> Vec<Finding> {
    let sets: Vec<Sets<'_>> = policy.rules.iter().map(Sets::new).collect();
    let mut findings = Vec::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let nobody = [
            ("exe", rule.exes.is_empty() || !identities[at].exes.is_empty()),
            ("user", rule.users.is_empty() || !identities[at].users.is_empty()),
            ("cgroup", rule.cgroups.is_empty() || !identities[at].cgroups.is_empty()),
        ];
        let absent = nobody.into_iter().filter(|(_, is_here)| !is_here);
        findings.extend(absent.map(|(field, _)| Finding::NobodyHere { rule: at, field }));
        if !rule.domains.is_empty() && policy.resolvers.is_empty() {
            findings.push(Finding::NothingLearned { rule: at });
        }
        let by = (0..policy.rules.len()).find(|by| {
            let wins = (Specificity::of(&policy.rules[*by]), at) > (Specificity::of(rule), *by);
            *by != at && wins && sets[*by].hold(&sets[at])
        });
        let Some(by) = by else { continue };
        let does_the_same = policy.rules[by].verdict == rule.verdict;
        findings.push(if does_the_same {
            Finding::Repeated { rule: at, by }
        } else {
            Finding::Shadowed { rule: at, by }
        });
    }
    findings
}

/// The lists of a rule, for questions.
struct Sets<'rule> {
    rule: &'rule Rule,
    prefixes: HashSet<crate::model::Prefix>,
    domains: HashSet<&'rule [u8]>,
}

impl<'rule> Sets<'rule> {
    fn new(rule: &'rule Rule) -> Self {
        Self {
            rule,
            prefixes: rule.prefixes.iter().copied().collect(),
            domains: rule.domains.iter().map(|name| name.reversed()).collect(),
        }
    }

    /// Whether whatever matches `other` matches this with the same prefix, suffix and range. A
    /// wider entry here does not count: the other rule would win.
    fn hold(&self, other: &Self) -> bool {
        let (a, b) = (self.rule, other.rule);
        same_or_more(&self.prefixes, &other.prefixes)
            && same_or_more(&self.domains, &other.domains)
            && same_or_more(&set(&a.ports), &set(&b.ports))
            && same_or_more(&set(&a.cgroups), &set(&b.cgroups))
            && more(&a.protocols, &b.protocols)
            && more(&a.exes, &b.exes)
            && more(&a.users, &b.users)
            && ibsr_proto::guard_abi::Direction::ALL
                .iter()
                .all(|way| a.applies_to(*way) || !b.applies_to(*way))
    }
}

fn set<T: Eq + Hash>(list: &[T]) -> HashSet<&T> {
    list.iter().collect()
}

fn same_or_more<T: Eq + Hash>(this: &HashSet<T>, other: &HashSet<T>) -> bool {
    this.is_empty() == other.is_empty() && this.is_superset(other)
}

/// Empty asks nothing, so it holds everything.
fn more<T: Eq + Hash>(this: &[T], other: &[T]) -> bool {
    this.is_empty() || (!other.is_empty() && set(this).is_superset(&set(other)))
}
