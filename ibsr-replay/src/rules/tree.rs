// SPDX-License-Identifier: MIT OR Apache-2.0
//! A TOML document as a tree of values that know their place in the text.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::fault::{Fault, Located};

/// A value, the key that it belongs to, and the whole text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Node<'t> {
    pub key: &'static str,
    value: &'t Spanned<DeValue<'t>>,
    source: &'t str,
}

impl<'t> Node<'t> {
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub fn fault(&self, fault: Fault) -> Located {
        fault.at(self.span())
    }

    pub fn mismatch(&self, expected: &'static str) -> Located {
        let found = match self.value.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.fault(Fault::Type { key: self.key, expected, found })
    }

    pub fn is_string(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::String(_))
    }

    pub fn table(&self, expected: &'static str) -> Result<Table<'t>, Located> {
        match self.value.get_ref() {
            DeValue::Table(entries) => {
                Ok(Table { entries, span: self.span(), source: self.source })
            }
            _ => Err(self.mismatch(expected)),
        }
    }

    /// The entries of a list with at most `most` of them.
    pub fn list(&self, expected: &'static str, most: usize) -> Result<Vec<Self>, Located> {
        let DeValue::Array(entries) = self.value.get_ref() else {
            return Err(self.mismatch(expected));
        };
        if let Some(beyond) = entries.get(most) {
            return Err(Fault::TooMany { key: self.key, most }.at(beyond.span()));
        }
        Ok(entries.iter().map(|value| Self { value, ..*self }).collect())
    }

    /// A whole number from `least` to `most`.
    pub fn integer(&self, least: u64, most: u64) -> Result<u64, Located> {
        let DeValue::Integer(integer) = self.value.get_ref() else {
            return Err(self.mismatch("a whole number"));
        };
        let number = u64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let number = number.filter(|number| (least..=most).contains(number));
        number.ok_or_else(|| self.fault(Fault::Range { what: self.key, least, most }))
    }

    pub fn quoted(&self, expected: &'static str) -> Result<Quoted<'t>, Located> {
        match self.value.get_ref() {
            DeValue::String(text) => Ok(Quoted::new(text, self.span(), self.source)),
            _ => Err(self.mismatch(expected)),
        }
    }
}

/// A table and where it is.
#[derive(Debug, Clone)]
pub(super) struct Table<'t> {
    entries: &'t DeTable<'t>,
    pub span: Range<usize>,
    source: &'t str,
}

impl<'t> Table<'t> {
    pub const fn root(entries: &'t DeTable<'t>, source: &'t str) -> Self {
        Self { entries, span: 0..0, source }
    }

    /// Refuses the first key of the text that is not in `known`.
    pub fn check_keys(&self, known: &'static [&'static str]) -> Result<(), Located> {
        let unknown = self.entries.keys().filter(|key| !known.contains(&key.get_ref().as_ref()));
        match unknown.min_by_key(|key| key.span().start) {
            Some(key) => Err(Fault::UnknownKey { key: clip(key.get_ref()), known }.at(key.span())),
            None => Ok(()),
        }
    }

    pub fn get(&self, key: &'static str) -> Option<Node<'t>> {
        let entry = self.entries.iter().find(|(name, _)| name.get_ref() == key);
        entry.map(|(_, value)| Node { key, value, source: self.source })
    }

    pub fn need(&self, key: &'static str, example: &'static str) -> Result<Node<'t>, Located> {
        let missing = || Fault::Missing { key, example }.at(self.span.clone());
        self.get(key).ok_or_else(missing)
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The contents of a string, and where they are in the text.
#[derive(Debug, Clone)]
pub(super) struct Quoted<'t> {
    pub text: &'t str,
    span: Range<usize>,
    /// Where the contents begin, if the text has them as they are: without escapes.
    start: Option<usize>,
}

impl<'t> Quoted<'t> {
    fn new(text: &'t str, span: Range<usize>, source: &str) -> Self {
        let written = source.get(span.clone()).unwrap_or_default();
        let quotes =
            if written.starts_with("\"\"\"") || written.starts_with("'''") { 3 } else { 1 };
        let inside = written.get(quotes..).unwrap_or_default();
        // A line break behind three quotes is not part of the contents, and then this fails.
        let is_plain = inside.starts_with(text);
        let start = is_plain.then(|| span.start + quotes);
        Self { text, span, start }
    }

    /// The words at `range` of the contents; the whole string where it has escapes.
    pub fn fault(&self, range: Range<usize>, fault: Fault) -> Located {
        match self.start {
            Some(start) => fault.at(start + range.start..start + range.end),
            None => fault.at(self.span.clone()),
        }
    }

    /// All of it.
    pub fn whole(&self, fault: Fault) -> Located {
        fault.at(self.span.clone())
    }

    pub fn scan(&self) -> Scan<'t> {
        Scan { text: self.text, at: 0 }
    }
}

/// Reads a string word by word.
#[derive(Debug, Clone)]
pub(super) struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    /// The longest run of characters that satisfy `is_part`, behind white space.
    pub fn word(&mut self, is_part: impl Fn(char) -> bool) -> (&'t str, Range<usize>) {
        let rest = &self.text[self.at..];
        let start = self.at + rest.len() - rest.trim_start().len();
        let rest = &self.text[start..];
        let len = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at = start + len;
        (&rest[..len], start..self.at)
    }

    /// What is left, without white space around it.
    pub fn rest(&mut self) -> (&'t str, Range<usize>) {
        let (rest, range) = self.word(|_| true);
        let rest = rest.trim_end();
        (rest, range.start..range.start + rest.len())
    }
}

/// A word of a message: what somebody wrote may be a megabyte long.
pub(super) fn clip(word: &str) -> String {
    const MOST: usize = 60;
    match word.char_indices().nth(MOST) {
        Some((at, _)) => format!("{}...", &word[..at]),
        None => word.to_owned(),
    }
}
