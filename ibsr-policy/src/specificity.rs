// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rule wins. The order is documented in docs/guard-policy.md; this is the one place
//! that computes it, and the slow reading of a policy by which the tables are tested.

use ibsr_proto::guard_abi::{Action, Direction, NameKey, Query};

use crate::compile::Identities;
use crate::model::{Policy, Rule, Verdict};

/// How narrow a match is. Greater wins: the fields are compared in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    /// Labels of the suffix that matched; 0 when the rule asks for no name.
    pub labels: u32,
    /// Bits of the prefix that matched and one; 0 when the rule asks for no address.
    pub prefix: u32,
    /// Ports outside the range that matched and one; 0 when the rule asks for no port.
    pub ports: u32,
    /// Whether the rule names the protocol.
    pub is_protocol: bool,
    /// Whether the rule names the direction.
    pub is_direction: bool,
    /// Whether the rule names the executable.
    pub is_exe: bool,
    /// Whether the rule names the user.
    pub is_user: bool,
    /// Folders in the path of the cgroup that matched and one; 0 when the rule asks for none.
    pub cgroup: u32,
    /// Of two that are equal so far, the one that denies.
    pub is_denial: bool,
}

impl Specificity {
    /// What a rule has before its lists are looked at.
    pub(crate) fn of(rule: &Rule) -> Self {
        Self {
            labels: 0,
            prefix: 0,
            ports: 0,
            is_protocol: !rule.protocols.is_empty(),
            is_direction: !rule.directions.is_empty(),
            is_exe: !rule.exes.is_empty(),
            is_user: !rule.users.is_empty(),
            cgroup: 0,
            is_denial: rule.verdict.action != Action::Allow,
        }
    }
}

/// The most that any entry of a list gives: 0 for an empty list, `None` when no entry matches.
fn of_list<T>(list: &[T], narrow: impl Fn(&T) -> Option<u32>) -> Option<u32> {
    if list.is_empty() {
        return Some(0);
    }
    list.iter().filter_map(narrow).max()
}

/// How narrowly a rule matches; `None` when it does not.
fn matches(
    rule: &Rule,
    identities: &Identities,
    query: &Query,
    name: Option<&NameKey>,
) -> Option<Specificity> {
    let direction = Direction::ALL.into_iter().find(|way| *way as u8 == query.direction)?;
    let has = |is_free: bool, is_in: bool| is_free || is_in;
    let holds = rule.applies_to(direction)
        && has(rule.protocols.is_empty(), rule.protocols.contains(&query.protocol))
        && has(rule.exes.is_empty(), identities.exes.contains(&query.exe))
        && has(rule.users.is_empty(), identities.users.contains(&query.uid));
    if !holds {
        return None;
    }
    let labels = of_list(&rule.domains, |suffix| {
        let is_below = name?.reversed().starts_with(suffix.reversed());
        is_below.then(|| labels(suffix))
    })?;
    let prefix =
        of_list(&rule.prefixes, |prefix| prefix.contains(query.addr).then(|| prefix.bits() + 1))?;
    let ports =
        of_list(&rule.ports, |range| range.contains(query.port).then(|| port_rank(range.width())))?;
    let cgroup = of_list(&rule.cgroups, |path| {
        let is_below = identities.is_below(query.cgroup_id, path);
        is_below.then(|| depth(path))
    })?;
    Some(Specificity { labels, prefix, ports, cgroup, ..Specificity::of(rule) })
}

/// The slow reading: every rule is asked, the most specific one wins, of equals the first in
/// the file; a default where none matches. The rule is `None` then.
#[must_use]
pub fn best(
    policy: &Policy,
    identities: &[Identities],
    query: &Query,
    name: Option<&NameKey>,
) -> (Option<usize>, Option<Verdict>) {
    let mut best: Option<(Specificity, usize)> = None;
    for (at, (rule, identities)) in policy.rules.iter().zip(identities).enumerate() {
        let Some(found) = matches(rule, identities, query, name) else { continue };
        if best.is_none_or(|(so_far, _)| found > so_far) {
            best = Some((found, at));
        }
    }
    match best {
        Some((_, at)) => (Some(at), Some(policy.rules[at].verdict)),
        None if query.direction == Direction::Out as u8 => (None, Some(policy.defaults.out)),
        None if query.direction == Direction::In as u8 => (None, Some(policy.defaults.incoming)),
        None => (None, None),
    }
}

/// Labels of a suffix.
pub(crate) fn labels(suffix: &NameKey) -> u32 {
    u32::try_from(suffix.labels()).expect("a name has at most 127")
}

/// A narrower range gives more; every range gives something.
pub(crate) const fn port_rank(width: u32) -> u32 {
    (1 << 16) - width + 1
}

/// Folders in a path and one.
pub(crate) fn depth(path: &str) -> u32 {
    let folders = path.split('/').filter(|folder| !folder.is_empty()).count();
    u32::try_from(folders).expect("a path is shorter") + 1
}
