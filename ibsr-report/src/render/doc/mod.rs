// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report as sections of paragraphs, facts and tables, made once of the model. Text,
//! Markdown and HTML differ in how they write these, not in what they say.

mod decision;
pub mod egress;
mod hits;
mod method;
mod observed;
mod rules;
mod surface;
mod talk;
mod traffic;

use ibsr_replay::model::Report;

use super::units;

pub use decision::{Head, exit_code, head};
pub use surface::{Bounded, bounds};
pub use talk::{app_words, peer_words};
pub use traffic::busiest;

/// A part of the report with a heading.
#[derive(Debug)]
pub struct Section {
    /// Anchor: lower-case letters.
    pub id: &'static str,
    /// Heading.
    pub title: &'static str,
    /// Whether a terminal shows it too.
    pub is_summary: bool,
    /// Content, in order.
    pub blocks: Vec<Block>,
}

/// A piece of a section.
#[derive(Debug)]
pub enum Block {
    /// A paragraph.
    Say(String),
    /// A paragraph that must not be overlooked.
    Warn(String),
    /// Names and values.
    Facts(Vec<Fact>),
    /// A table.
    Table(Table),
    /// A drawing of numbers that the blocks around it hold too.
    Chart(Chart),
    /// Text to copy.
    Code(String),
    /// Short points.
    List(Vec<String>),
    /// A part with a heading of its own.
    Card(Card),
}

/// A name and its value.
#[derive(Debug)]
pub struct Fact {
    /// What it is.
    pub name: &'static str,
    /// How much.
    pub value: String,
}

/// Columns and rows.
#[derive(Debug)]
pub struct Table {
    /// What the rows are.
    pub caption: String,
    /// Headings, left to right.
    pub columns: Vec<Column>,
    /// Cells, as many as columns.
    pub rows: Vec<Vec<Cell>>,
    /// Rows that were left out.
    pub left_out: u64,
}

/// Heading of a column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Whether it holds numbers.
    pub is_number: bool,
}

/// A cell.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Prose; may hold anything.
    Text(String),
    /// A name or an address; may hold anything.
    Code(String),
    /// A number that is written already.
    Number(String),
    /// A day, a time, a few words: never broken into two lines.
    Time(String),
    /// Good or bad, in a word.
    Flag(bool, &'static str),
}

/// Which numbers to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chart {
    /// SYN over time, all and acted on.
    Impact,
    /// Upper bounds beside their limits.
    Bounds,
    /// Bound and capture of a rule, by its place in the report, along its thresholds.
    Curve(usize),
    /// Time with and without rates, by scope.
    Coverage,
    /// Applications, their peers and the bytes between them.
    Talk,
}

/// A part with a heading of its own.
#[derive(Debug)]
pub struct Card {
    /// Its heading.
    pub title: String,
    /// Good or not, in a word.
    pub state: (bool, &'static str),
    /// Content, in order.
    pub blocks: Vec<Block>,
}

/// How numbers are written, and how long lists may be.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Whether digits stand in groups.
    pub is_grouped: bool,
    /// Rows of a table before it is cut.
    pub rows: usize,
}

impl Style {
    /// A number of things.
    #[must_use]
    pub fn count(self, number: u64) -> String {
        if self.is_grouped { units::grouped(number) } else { number.to_string() }
    }

    /// `2 rows`.
    fn plural(self, number: u64, noun: &str) -> String {
        let ending = if number == 1 { "" } else { "s" };
        format!("{} {noun}{ending}", self.count(number))
    }

    fn number(self, number: u64) -> Cell {
        Cell::Number(self.count(number))
    }

    /// A table of the first rows of a list that has `total`.
    fn cut<T>(
        self,
        caption: impl Into<String>,
        columns: &[Column],
        (list, total): (&[T], u64),
        row: impl Fn(&T) -> Vec<Cell>,
    ) -> Block {
        let rows: Vec<_> = list.iter().take(self.rows).map(row).collect();
        let left_out = total.max(list.len() as u64).saturating_sub(rows.len() as u64);
        Block::Table(Table { caption: caption.into(), columns: columns.to_vec(), rows, left_out })
    }
}

impl Cell {
    fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    fn code(text: impl ToString) -> Self {
        Self::Code(text.to_string())
    }

    /// A share in millionths, where there is one.
    fn ppm(share: Option<u64>) -> Self {
        Self::Number(or_nothing(share, units::ppm))
    }
}

/// The sections behind the head, in their order.
#[must_use]
pub fn sections(report: &Report, style: Style) -> Vec<Section> {
    let mut sections = vec![decision::gates(&report.decision, style)];
    sections.extend(decision::plan(report, style));
    sections.extend([
        traffic::impact(report, style),
        surface::surface(report, style),
        rules::rules(report, style),
        surface::labels(report, style),
        observed::coverage(report, style),
        hits::capture(report, style),
        traffic::places(report, style),
    ]);
    sections.extend(report.talks.as_ref().map(|talks| talk::talk(talks, style)));
    sections.extend([
        rules::candidate(report),
        observed::input(report, style),
        traffic::sources(report, style),
        method::method(report, style),
        method::verify(),
    ]);
    sections
}

const fn words(name: &'static str) -> Column {
    Column { name, is_number: false }
}

const fn numbers(name: &'static str) -> Column {
    Column { name, is_number: true }
}

fn fact(name: &'static str, value: impl Into<String>) -> Fact {
    Fact { name, value: value.into() }
}

fn or_nothing<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| units::NOTHING.to_owned(), show)
}
