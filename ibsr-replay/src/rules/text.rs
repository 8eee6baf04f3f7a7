// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes a rule set: one text for each, so that a hash of the text names the set.

use std::fmt::{self, Display, Write as _};

use ibsr_proto::abi::hex;
use sha2::{Digest as _, Sha256};

use crate::rules::ast::{Action, Grid, Guard, Limit, Predicate, Rule, RuleSet};

/// The canonical text: every key in a fixed order, defaults written out, no comments.
/// Reading it gives the set again.
///
/// The set must be within the limits that `ast` states, as every set that was read is.
#[must_use]
pub fn to_toml(set: &RuleSet) -> String {
    let mut text = String::new();
    if !set.allow.is_empty() {
        line(&mut text, "allow", &List(&set.allow, Quoted));
    }
    for rule in &set.rules {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&rule_to_toml(rule));
    }
    text
}

/// One rule of the canonical text, beginning with `[[rule]]`.
#[must_use]
pub fn rule_to_toml(rule: &Rule) -> String {
    let mut text = "[[rule]]\n".to_owned();
    line(&mut text, "name", &Quoted(&rule.name));
    line(&mut text, "when", &List(&rule.when, Quoted));
    let (k, of) = (rule.span.k, rule.span.of);
    line(&mut text, "for", &format_args!("{{ k = {k}, of = {of} }}"));
    line(&mut text, "then", &rule.then);
    line(&mut text, "ttl_s", &rule.ttl_s);
    if !rule.unless.is_empty() {
        line(&mut text, "unless", &List(&rule.unless, Quoted));
    }
    if let Some((Grid { values, .. }, metric)) = grid(rule) {
        let values = List(values, |value| value);
        line(&mut text, "grid", &format_args!("{{ {metric} = {values} }}"));
    }
    text
}

/// SHA-256 of [`to_toml`], as 64 hexadecimal digits.
#[must_use]
pub fn sha256(set: &RuleSet) -> String {
    hex(&Sha256::digest(to_toml(set)))
}

/// The grid with the word of its metric.
fn grid(rule: &Rule) -> Option<(&Grid, &'static str)> {
    let grid = rule.grid.as_ref()?;
    Some((grid, rule.when.get(grid.predicate)?.metric.as_str()))
}

fn line(text: &mut String, key: &str, value: &dyn Display) {
    writeln!(text, "{key} = {value}").expect("a string takes every byte");
}

/// Text between quotes. Nothing that a rule set holds needs an escape.
struct Quoted<'a, T>(&'a T);

impl<T: Display> Display for Quoted<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0)
    }
}

/// Values between brackets, each as the function shows it.
struct List<'a, T, F>(&'a [T], F);

impl<'a, T, D: Display, F: Fn(&'a T) -> D> Display for List<'a, T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        separated(f, self.0.iter().map(&self.1))?;
        f.write_str("]")
    }
}

fn separated(
    f: &mut fmt::Formatter<'_>,
    values: impl Iterator<Item = impl Display>,
) -> fmt::Result {
    for (at, value) in values.enumerate() {
        f.write_str(if at == 0 { "" } else { ", " })?;
        value.fmt(f)?;
    }
    Ok(())
}

impl Display for Predicate {
    /// As it stands in `when`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric.as_str(), self.op.as_str(), self.value)
    }
}

impl Display for Action {
    /// As it stands behind `then =`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DropSyn | Self::DropAll => write!(f, "\"{}\"", self.as_str()),
            Self::Limit(Limit { of, rate_ps, burst }) => {
                let of = of.as_str();
                write!(f, "{{ limit = \"{of}\", rate_ps = {rate_ps}, burst = {burst} }}")
            }
        }
    }
}

impl Display for Guard {
    /// As it stands in `unless`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())?;
        match self {
            Self::Allow(prefixes) if prefixes.is_empty() => return Ok(()),
            Self::Allow(prefixes) => {
                f.write_str("(")?;
                separated(f, prefixes.iter())?;
            }
            Self::Established { within_s } => write!(f, "({within_s}")?,
            Self::Shared { at_least } => write!(f, "({at_least}")?,
            Self::Port(ports) => {
                f.write_str("(")?;
                separated(f, ports.iter())?;
            }
        }
        f.write_str(")")
    }
}

impl RuleSet {
    /// The set that a search ended with: of each rule the threshold with the chosen index,
    /// 0 the safest, and no grid. Rules without a choice, or with one that their grid does
    /// not have, are left out; a rule without a grid has index 0 only.
    #[must_use]
    pub fn pinned(&self, chosen: &[Option<usize>]) -> Self {
        let rules = self.rules.iter().zip(chosen);
        let rules = rules.filter_map(|(rule, chosen)| rule.pinned((*chosen)?)).collect();
        Self { rules, allow: self.allow.clone() }
    }
}

impl Rule {
    /// The rule with one threshold of its grid, or as it is when it has none.
    fn pinned(&self, index: usize) -> Option<Self> {
        let mut rule = self.clone();
        if let Some(Grid { predicate, values }) = rule.grid.take() {
            rule.when.get_mut(predicate)?.value = *values.get(index)?;
            return Some(rule);
        }
        (index == 0).then_some(rule)
    }
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
