// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sections as the templates read them.

use ibsr_replay::model::Report;
use minijinja::context;
use minijinja::value::Value;

use super::super::chart::{self, Size};
use super::super::doc::{Block, Cell, Chart, Section, Table};
use super::super::escape;
use super::super::units;

/// A phone shows a row of at most so many cells as lines of their own; longer ones scroll.
const MOST_STACKED: usize = 7;

/// A section with its blocks.
pub(super) fn section(report: Option<&Report>, section: &Section) -> Value {
    context! { id => section.id, title => section.title, blocks => blocks(report, &section.blocks) }
}

fn blocks(report: Option<&Report>, blocks: &[Block]) -> Vec<Value> {
    blocks.iter().map(|block| self::block(report, block)).collect()
}

fn block(report: Option<&Report>, block: &Block) -> Value {
    match block {
        Block::Say(text) => context! { kind => "say", text => plain(text) },
        Block::Warn(text) => context! { kind => "warn", text => plain(text) },
        Block::Facts(facts) => {
            let fact = |name: &str, value: &str| context! { name, value => plain(value) };
            let facts: Vec<_> = facts.iter().map(|row| fact(row.name, &row.value)).collect();
            context! { kind => "facts", facts }
        }
        Block::Table(table) => self::table(table),
        Block::Chart(chart) => context! {
            kind => "chart",
            drawings => drawings(report, *chart),
            key => chart::key(*chart),
        },
        Block::Code(text) => {
            let lines: Vec<String> = text.lines().map(escape::plain).collect();
            context! { kind => "code", text => lines.join("\n") }
        }
        Block::List(points) => {
            context! { kind => "list", points => points.iter().map(|text| plain(text)).collect::<Vec<_>>() }
        }
        Block::Card(card) => context! {
            kind => "card",
            title => plain(&card.title),
            state => card.state.1,
            tone => if card.state.0 { "good" } else { "idle" },
            blocks => blocks(report, &card.blocks),
        },
    }
}

fn table(table: &Table) -> Value {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| context! { name => column.name, is_number => column.is_number })
        .collect();
    let rows: Vec<Vec<Value>> =
        table.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let is_evidence = table.columns.iter().any(|column| column.name == "why");
    let (is_small, is_stacked) = match table.columns.len() {
        0..=3 => (true, false),
        4..=MOST_STACKED => (false, true),
        _ => (false, false),
    };
    let shape = [(is_small, "small"), (is_stacked, "stack"), (is_evidence, "hits")];
    let shape: Vec<_> = shape.iter().filter(|(is, _)| *is).map(|(_, name)| *name).collect();
    context! {
        kind => "table",
        shape => shape.join(" "),
        is_stacked,
        is_evidence,
        caption => plain(&table.caption),
        columns,
        rows,
        left_out => (table.left_out > 0).then(|| units::grouped(table.left_out)),
    }
}

/// Text, class of the cell, element around the text.
fn cell(cell: &Cell) -> Value {
    let (text, class, tag) = match cell {
        Cell::Text(text) => (plain(text), "", ""),
        Cell::Code(text) => (plain(text), "", "code"),
        Cell::Number(text) => (plain(text), "n", ""),
        Cell::Time(text) => (plain(text), "t", ""),
        Cell::Flag(true, word) => ((*word).to_owned(), "", "good"),
        Cell::Flag(false, word) => ((*word).to_owned(), "", "bad"),
    };
    context! { text, class, tag }
}

/// Inert, and with every percentage in one piece.
pub(super) fn plain(text: &str) -> String {
    escape::plain(text).replace(" %", "\u{a0}%")
}

/// A drawing for each width, or one that fits both.
fn drawings(report: Option<&Report>, chart: Chart) -> Vec<Value> {
    let sizes = if chart::is_sized(chart) {
        vec![(Size::Wide, "wide"), (Size::Narrow, "narrow")]
    } else {
        vec![(Size::Narrow, "both")]
    };
    let draw = |(size, name): (Size, &str)| {
        let svg = chart::draw(report?, chart, size)?;
        Some(context! { size => name, svg => Value::from_safe_string(svg) })
    };
    sizes.into_iter().filter_map(draw).collect()
}
