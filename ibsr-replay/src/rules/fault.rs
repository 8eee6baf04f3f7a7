// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can be wrong with the text of a rule set, where, and what to write instead.

use std::fmt;
use std::ops::Range;

use thiserror::Error;

/// A text that is no rule set.
///
/// As text: line and column, what is wrong, the line with carets below the words that it is
/// about, and a hint where there is something to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    fault: Fault,
    line: usize,
    column: usize,
    excerpt: Excerpt,
}

impl ParseError {
    pub(super) fn new(text: &str, located: Located) -> Self {
        let Located { fault, span } = located;
        let start = floor_boundary(text, span.start);
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[start..].find('\n').map_or(text.len(), |at| start + at);
        let end = floor_boundary(text, span.end).clamp(start, line_end);
        let before = text[line_start..start].chars().count();
        let marked = text[start..end].chars().count().max(1);
        let line = text[..start].bytes().filter(|byte| *byte == b'\n').count() + 1;
        let excerpt = Excerpt::new(&text[line_start..line_end], before, marked);
        Self { fault, line, column: before + 1, excerpt }
    }

    /// What is wrong.
    #[must_use]
    pub const fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Line of the first character that it is about, from 1.
    #[must_use]
    pub const fn line(&self) -> usize {
        self.line
    }

    /// Its place in the line, in characters, from 1.
    #[must_use]
    pub const fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fault, line, column, excerpt } = self;
        let number = line.to_string();
        writeln!(f, "line {line}, column {column}: {fault}")?;
        writeln!(f, "{number} | {}", excerpt.shown)?;
        let (margin, indent, carets) = (number.len(), excerpt.before, excerpt.marked);
        write!(f, "{:margin$} | {:indent$}{:^<carets$}", "", "", "")?;
        match fault.hint() {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ParseError {}

fn floor_boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

/// A line as a terminal can show it, and the place of the carets.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Excerpt {
    shown: String,
    before: usize,
    marked: usize,
}

impl Excerpt {
    /// What fits beside the line number on a terminal of usual width.
    const WIDTH: usize = 90;
    /// Left of the carets where a line is longer than that.
    const LEFT: usize = 30;

    /// Tabs become one space, so that the carets stay below their words.
    fn new(line: &str, before: usize, marked: usize) -> Self {
        let is_long = line.chars().nth(Self::WIDTH).is_some();
        let skipped = if is_long { before.saturating_sub(Self::LEFT) } else { 0 };
        let shown = line.trim_end_matches('\r').chars().skip(skipped).take(Self::WIDTH);
        let shown = shown.map(|c| if c.is_control() { ' ' } else { c }).collect();
        let before = before - skipped;
        Self { shown, before, marked: marked.min(Self::WIDTH.saturating_sub(before).max(1)) }
    }
}

/// A fault and the bytes of the text that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Located {
    pub fault: Fault,
    pub span: Range<usize>,
}

impl Fault {
    pub(super) const fn at(self, span: Range<usize>) -> Located {
        Located { fault: self, span }
    }
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// More text than any rule set needs.
    #[error("the text has {bytes} bytes, {most} at most are read")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        most: usize,
    },
    /// Not TOML; the words are those of the TOML parser.
    #[error("{0}")]
    Toml(String),
    /// A key that means nothing here.
    #[error("unknown key `{key}`")]
    UnknownKey {
        /// As written.
        key: String,
        /// Those that mean something.
        known: &'static [&'static str],
    },
    /// A key without which there is no rule.
    #[error("`{key}` is missing")]
    Missing {
        /// Its name.
        key: &'static str,
        /// What it could look like.
        example: &'static str,
    },
    /// A value of another type.
    #[error("`{key}` must be {expected}, not {found}")]
    Type {
        /// Whose value.
        key: &'static str,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A list or text with nothing in it.
    #[error("`{key}` is empty")]
    Empty {
        /// Whose value.
        key: &'static str,
        /// What it could look like.
        example: &'static str,
    },
    /// A list that is too long.
    #[error("`{key}` has more than {most} entries")]
    TooMany {
        /// Whose value.
        key: &'static str,
        /// The limit.
        most: usize,
    },
    /// An integer outside its limits, or of more than 64 bits.
    #[error("`{what}` must be {least} to {most}")]
    Range {
        /// What it counts.
        what: &'static str,
        /// The least that is allowed.
        least: u64,
        /// The most.
        most: u64,
    },
    /// A name with other characters, or too long.
    #[error("`{0}` is not a name")]
    Name(String),
    /// Two rules with one name.
    #[error("two rules are called `{0}`")]
    SameName(String),
    /// No metric.
    #[error("`{0}` is not a metric")]
    Metric(String),
    /// No comparison.
    #[error("`{0}` is not a comparison")]
    Comparison(String),
    /// No whole number.
    #[error("`{0}` is not a whole number")]
    Number(String),
    /// More than was expected.
    #[error("`{0}` is one word too many")]
    Trailing(String),
    /// A comparison without a value, and no grid that has one.
    #[error("`{metric} {op}` has no value")]
    NoValue {
        /// Its metric.
        metric: &'static str,
        /// Its comparison.
        op: &'static str,
    },
    /// One metric, one comparison, two values.
    #[error("`{metric} {op}` is there twice")]
    SamePredicate {
        /// Its metric.
        metric: &'static str,
        /// Its comparison.
        op: &'static str,
    },
    /// `k` of fewer windows than `k`.
    #[error("{k} of {of} windows cannot be")]
    Span {
        /// Windows that must satisfy the predicates.
        k: u64,
        /// Of so many.
        of: u64,
    },
    /// No action.
    #[error("`{0}` is not an action")]
    Action(String),
    /// Nothing that can be limited.
    #[error("`{0}` cannot be limited")]
    Limited(String),
    /// No guard.
    #[error("`{0}` is not a guard")]
    Guard(String),
    /// A guard of one kind twice.
    #[error("`{0}` is there twice")]
    SameGuard(&'static str),
    /// A parenthesis without its other half.
    #[error("`{0}` has no closing parenthesis")]
    Parenthesis(&'static str),
    /// A guard with another number of arguments.
    #[error("`{guard}` takes {expected}")]
    Arguments {
        /// Which.
        guard: &'static str,
        /// What it takes.
        expected: &'static str,
        /// What it could look like.
        example: &'static str,
    },
    /// No prefix.
    #[error("`{0}` is not an address prefix")]
    Prefix(String),
    /// An address without the length of its prefix, or one with bits behind the prefix.
    #[error("`{written}` is not a prefix: {reason}")]
    PrefixForm {
        /// As written.
        written: String,
        /// What is wrong with it.
        reason: &'static str,
        /// What was probably meant.
        meant: String,
    },
    /// Something in a list twice.
    #[error("`{0}` is there twice")]
    Same(String),
    /// A grid for none or for several metrics.
    #[error("a grid has one metric, this one has {0}")]
    GridMetrics(usize),
    /// A grid for a metric that the rule does not look at, or looks at twice.
    #[error("`when` has `{metric}` {times} times, a grid needs it once")]
    GridMetric {
        /// Its metric.
        metric: &'static str,
        /// Predicates with it.
        times: usize,
    },
    /// Thresholds that are not ordered from the safest to the loosest.
    #[error("`{value}` does not follow `{before}` in a grid for `{op}`")]
    GridOrder {
        /// This one.
        value: u64,
        /// The one before.
        before: u64,
        /// How the metric is compared.
        op: &'static str,
    },
    /// A value in `when` that is not the safest of the grid.
    #[error("`{value}` is not the safest threshold of the grid, which is {safest}")]
    GridValue {
        /// In `when`.
        value: u64,
        /// First of the grid.
        safest: u64,
    },
}

impl Fault {
    /// What to write instead, where it can be said.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooLong { .. } | Self::Toml(_) | Self::Range { .. } | Self::TooMany { .. } => {
                return None;
            }
            Self::UnknownKey { known, .. } => format!("the keys here are {}", known.join(", ")),
            Self::Missing { example, .. } | Self::Empty { example, .. } => {
                format!("write `{example}`")
            }
            Self::Type { key: "rule", .. } => "write `[[rule]]`".into(),
            Self::Type { .. } => return None,
            Self::Arguments { example, .. } => format!("write `{example}`"),
            Self::Name(_) => "write 1 to 32 of a-z, 0-9 and _".into(),
            Self::SameName(_) => "give one of them another name".into(),
            Self::Metric(_) => format!("write one of {}", super::words::METRICS.join(", ")),
            Self::Comparison(_) => "write >= or <=".into(),
            Self::Number(_) => "write digits only, as in `syn_ps >= 100`".into(),
            Self::Trailing(_) => "write one comparison or guard a string".into(),
            Self::NoValue { metric, op } => {
                format!("write `{metric} {op} 100`, or thresholds in `grid`")
            }
            Self::SamePredicate { .. } | Self::SameGuard(_) | Self::Same(_) => {
                "leave one of them out".into()
            }
            Self::Span { .. } => "write the smaller number as `k`".into(),
            Self::Action(_) => {
                "write \"drop_syn\", \"drop_all\" or { limit = \"syn\", rate_ps = 10, burst = 20 }"
                    .into()
            }
            Self::Limited(_) => "write \"syn\" or \"packets\"".into(),
            Self::Guard(_) => "write allow, allow(10.0.0.0/8), established(3600), shared(4) or \
                               port(22)"
                .into(),
            Self::Parenthesis(_) => "write `)` at the end".into(),
            Self::Prefix(_) => "write it as 203.0.113.0/24 or 2001:db8::/32".into(),
            Self::PrefixForm { meant, .. } => format!("write `{meant}`"),
            Self::GridMetrics(_) => "write one list, as in `grid = { syn_ps = [400, 200] }`".into(),
            Self::GridMetric { metric, .. } => format!("write `{metric}` in `when` once"),
            Self::GridOrder { op, .. } => match *op {
                "<=" => "write the smallest first: the safest threshold acts on the fewest".into(),
                _ => "write the largest first: the safest threshold acts on the fewest".into(),
            },
            Self::GridValue { safest, .. } => {
                format!("write {safest}, or leave the value out of `when`")
            }
        };
        Some(hint)
    }
}
