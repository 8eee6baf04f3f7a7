// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads a rule set from TOML.
//!
//! Everything that `ast` says about a rule set holds for what is read here. What does not
//! is refused with its place in the text and with what to write instead.

use std::collections::BTreeSet;

use ipnet::IpNet;
use toml::de::DeTable;

use crate::rules::ast::{
    Action, Grid, Guard, Limit, Limited, MAX_GRID, MAX_NAME, MAX_OF, MAX_PREFIXES, MAX_RULES,
    MAX_SECONDS, MAX_TOKENS, Metric, Predicate, Rule, RuleSet, Span,
};
use crate::rules::fault::{Fault, Located, ParseError};
use crate::rules::terms::{self, Term};
use crate::rules::tree::{Node, Table, clip};

/// Longest text that is read. Eight rules with the longest lists need a third of it.
pub const MAX_TEXT_BYTES: usize = 1 << 20;

const ROOT_KEYS: &[&str] = &["allow", "rule"];
const RULE_KEYS: &[&str] = &["name", "when", "for", "then", "ttl_s", "unless", "grid"];
const SPAN_KEYS: &[&str] = &["k", "of"];
const LIMIT_KEYS: &[&str] = &["limit", "rate_ps", "burst"];

/// Reads a rule set.
///
/// # Errors
/// The first fault of the text; see [`Fault`].
pub fn parse(text: &str) -> Result<RuleSet, ParseError> {
    read(text).map_err(|located| ParseError::new(text, located))
}

fn read(text: &str) -> Result<RuleSet, Located> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault::TooLong { bytes: text.len(), most: MAX_TEXT_BYTES }.at(0..0));
    }
    let document = DeTable::parse(text).map_err(|error| {
        let words = clip_message(error.message());
        Fault::Toml(words).at(error.span().unwrap_or_default())
    })?;
    let root = Table::root(document.get_ref(), text);
    root.check_keys(ROOT_KEYS)?;
    let allow = match root.get("allow") {
        Some(node) => allow_list(&node)?,
        None => Vec::new(),
    };
    let node = root.need("rule", "[[rule]]")?;
    let tables = node.list("a list of tables", MAX_RULES)?;
    if tables.is_empty() {
        return Err(node.fault(Fault::Empty { key: "rule", example: "[[rule]]" }));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(tables.len());
    for table in tables {
        let table = table.table("a list of tables")?;
        let name = name(&table, &rules)?;
        rules.push(rule(&table, name)?);
    }
    Ok(RuleSet { rules, allow })
}

/// The TOML parser's words, on one line.
fn clip_message(message: &str) -> String {
    clip(&message.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn allow_list(node: &Node<'_>) -> Result<Vec<IpNet>, Located> {
    const EXPECTED: &str = "a list of strings";
    let mut prefixes = BTreeSet::new();
    for entry in node.list(EXPECTED, MAX_PREFIXES)? {
        let quoted = entry.quoted(EXPECTED)?;
        let (word, range) = quoted.scan().rest();
        let prefix = terms::prefix(word).map_err(|fault| quoted.fault(range.clone(), fault))?;
        if !prefixes.insert(prefix) {
            return Err(quoted.fault(range, Fault::Same(clip(word))));
        }
    }
    Ok(prefixes.into_iter().collect())
}

fn name(table: &Table<'_>, before: &[Rule]) -> Result<String, Located> {
    let node = table.need("name", "name = \"dead_syn\"")?;
    let name = node.quoted("a string")?.text;
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_');
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_part) {
        return Err(node.fault(Fault::Name(clip(name))));
    }
    if before.iter().any(|rule| rule.name == name) {
        return Err(node.fault(Fault::SameName(name.to_owned())));
    }
    Ok(name.to_owned())
}

fn rule(table: &Table<'_>, name: String) -> Result<Rule, Located> {
    table.check_keys(RULE_KEYS)?;
    let terms = terms(&table.need("when", "when = [\"syn_ps >= 100\"]")?)?;
    let grid = match table.get("grid") {
        Some(node) => Some(grid(&node, &terms)?),
        None => None,
    };
    let when = terms
        .into_iter()
        .enumerate()
        .map(|(at, term)| valued(term, grid.as_ref().filter(|grid| grid.predicate == at)))
        .collect::<Result<_, _>>()?;
    let seconds = table.need("ttl_s", "ttl_s = 300")?.integer(1, u64::from(MAX_SECONDS))?;
    Ok(Rule {
        name,
        when,
        span: table.get("for").map_or(Ok(Span { k: 1, of: 1 }), |node| span(&node))?,
        then: action(&table.need("then", "then = \"drop_syn\"")?)?,
        ttl_s: u32::try_from(seconds).expect("at most MAX_SECONDS"),
        unless: table.get("unless").map_or(Ok(Vec::new()), |node| guards(&node))?,
        grid,
    })
}

fn terms<'t>(node: &Node<'t>) -> Result<Vec<Term<'t>>, Located> {
    const EXPECTED: &str = "a list of strings";
    // Two comparisons of every metric: more cannot differ.
    let entries = node.list(EXPECTED, Metric::ALL.len() * 2)?;
    if entries.is_empty() {
        let example = "when = [\"syn_ps >= 100\"]";
        return Err(node.fault(Fault::Empty { key: "when", example }));
    }
    let mut read: Vec<Term<'t>> = Vec::with_capacity(entries.len());
    for entry in entries {
        let term = Term::read(entry.quoted(EXPECTED)?)?;
        if read.iter().any(|other| (other.metric, other.op) == (term.metric, term.op)) {
            let (metric, op) = (term.metric.as_str(), term.op.as_str());
            return Err(term.quoted.whole(Fault::SamePredicate { metric, op }));
        }
        read.push(term);
    }
    Ok(read)
}

/// The predicate of a comparison. Where it has a grid the value may be left out.
fn valued(term: Term<'_>, grid: Option<&Grid>) -> Result<Predicate, Located> {
    let Term { metric, op, value, .. } = term;
    let safest = grid.and_then(|grid| grid.values.first().copied());
    let value = match (value, safest) {
        (Some((value, range)), Some(safest)) if value != safest => {
            return Err(term.quoted.fault(range, Fault::GridValue { value, safest }));
        }
        (Some((value, _)), _) | (None, Some(value)) => value,
        (None, None) => {
            let fault = Fault::NoValue { metric: metric.as_str(), op: op.as_str() };
            return Err(term.quoted.whole(fault));
        }
    };
    Ok(Predicate { metric, op, value })
}

fn span(node: &Node<'_>) -> Result<Span, Located> {
    let table = node.table("a table, as in { k = 2, of = 3 }")?;
    table.check_keys(SPAN_KEYS)?;
    let number = |key, example| table.need(key, example)?.integer(1, u64::from(MAX_OF));
    let (k, of) = (number("k", "k = 2")?, number("of", "of = 3")?);
    if k > of {
        return Err(node.fault(Fault::Span { k, of }));
    }
    let narrow = |number: u64| u8::try_from(number).expect("at most MAX_OF");
    Ok(Span { k: narrow(k), of: narrow(of) })
}

fn action(node: &Node<'_>) -> Result<Action, Located> {
    if !node.is_string() {
        return limit(node).map(Action::Limit);
    }
    let quoted = node.quoted("a string")?;
    match quoted.text {
        "drop_syn" => Ok(Action::DropSyn),
        "drop_all" => Ok(Action::DropAll),
        other => Err(node.fault(Fault::Action(clip(other)))),
    }
}

fn limit(node: &Node<'_>) -> Result<Limit, Located> {
    let table = node.table("a string or a table")?;
    table.check_keys(LIMIT_KEYS)?;
    let of = table.need("limit", "limit = \"syn\"")?;
    let word = of.quoted("a string")?.text;
    let tokens = |key, example| table.need(key, example)?.integer(1, MAX_TOKENS);
    Ok(Limit {
        of: Limited::from_word(word).ok_or_else(|| of.fault(Fault::Limited(clip(word))))?,
        rate_ps: tokens("rate_ps", "rate_ps = 10")?,
        burst: tokens("burst", "burst = 20")?,
    })
}

fn guards(node: &Node<'_>) -> Result<Vec<Guard>, Located> {
    const EXPECTED: &str = "a list of strings";
    // One of each kind, and one more that is then there twice.
    let entries = node.list(EXPECTED, terms::GUARDS + 1)?;
    let mut read: Vec<Guard> = Vec::with_capacity(entries.len());
    for entry in entries {
        let quoted = entry.quoted(EXPECTED)?;
        let guard = terms::guard(&quoted)?;
        if read.iter().any(|other| other.as_str() == guard.as_str()) {
            return Err(quoted.whole(Fault::SameGuard(guard.as_str())));
        }
        read.push(guard);
    }
    Ok(read)
}

/// The thresholds, and which of the comparisons they are for.
fn grid(node: &Node<'_>, terms: &[Term<'_>]) -> Result<Grid, Located> {
    const EXAMPLE: &str = "grid = { syn_ps = [400, 200] }";
    let table = node.table("a table, as in { syn_ps = [400, 200] }")?;
    table.check_keys(&super::words::METRICS)?;
    let metrics = || Metric::ALL.into_iter().filter_map(|m| Some((m, table.get(m.as_str())?)));
    let Some((metric, list)) = metrics().next().filter(|_| table.len() == 1) else {
        return Err(node.fault(Fault::GridMetrics(table.len())));
    };
    let mut places = terms.iter().enumerate().filter(|(_, term)| term.metric == metric);
    let (Some((predicate, term)), None) = (places.next(), places.next()) else {
        let times = terms.iter().filter(|term| term.metric == metric).count();
        return Err(node.fault(Fault::GridMetric { metric: metric.as_str(), times }));
    };
    let op = term.op;
    let mut values: Vec<u64> = Vec::new();
    for entry in list.list("a list of numbers, safest first", MAX_GRID)? {
        let value = entry.integer(op.least(), metric.most())?;
        if let Some(&before) = values.last()
            && !op.is_looser(before, value)
        {
            return Err(entry.fault(Fault::GridOrder { value, before, op: op.as_str() }));
        }
        values.push(value);
    }
    if values.is_empty() {
        return Err(list.fault(Fault::Empty { key: metric.as_str(), example: EXAMPLE }));
    }
    Ok(Grid { predicate, values })
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
