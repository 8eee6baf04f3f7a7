// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text for a terminal: the verdict and its sentence first, then what an operator must see.

use ibsr_cli::table;
use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::{Decision, Report};

use super::doc::{self, Block, Cell, Fact, Head, Section, Style, Table};
use super::escape::plain;

/// Rows of a list before it is cut, with a line that says so.
const STYLE: Style = Style { is_grouped: false, rows: 15 };

/// The summary of the report.
#[must_use]
pub fn report(report: &Report) -> String {
    page(&report.decision, &doc::head(report), &doc::sections(report, STYLE))
}

/// The summary of a report about a policy.
#[must_use]
pub fn egress(report: &EgressReport) -> String {
    let (head, sections) = (doc::egress::head(report), doc::egress::sections(report, STYLE));
    page(&report.decision, &head, &sections)
}

fn page(decision: &Decision, head: &Head, sections: &[Section]) -> String {
    let mut out = String::new();
    self::head(decision, head, &mut out);
    for section in sections.iter().filter(|section| section.is_summary) {
        heading(&mut out, section.title);
        blocks(&mut out, &section.blocks);
    }
    out
}

/// Only its busiest sources.
#[must_use]
pub fn sources(report: &Report) -> String {
    let mut out = String::new();
    if !report.is_whole {
        line(&mut out, "some of the input could not be used: `ibsr-report run` says what");
    }
    put(&mut out, &doc::busiest(report, STYLE));
    out
}

fn head(decision: &Decision, head: &Head, out: &mut String) {
    line(out, &decision.verdict.to_string());
    line(out, &head.meaning);
    line(out, "");
    line(out, &decision.sentence);
    if !decision.reasons.is_empty() {
        line(out, "");
        for reason in &decision.reasons {
            line(out, &format!("- {reason}"));
        }
    }
    line(out, "");
    for note in head.not_whole.iter().chain(&head.provisional) {
        line(out, note);
    }
    line(out, head.next);
    line(out, &format!("{}, {}. {}.", head.hosts, head.period, head.made));
}

fn blocks(out: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Say(text) | Block::Warn(text) => line(out, text),
            Block::Facts(facts) => self::facts(out, facts),
            Block::Table(table) => {
                line(out, &format!("{}:", table.caption));
                put(out, table);
            }
            Block::Code(text) => text.lines().for_each(|text| line(out, &format!("  {text}"))),
            Block::List(points) => points.iter().for_each(|text| line(out, &format!("- {text}"))),
            // A drawing of numbers that stand in the tables; a rule's details, of which the
            // first line is enough here.
            Block::Chart(_) => {}
            Block::Card(card) => {
                let said = card.blocks.iter().find_map(|block| match block {
                    Block::Say(text) => Some(text.as_str()),
                    _ => None,
                });
                line(out, &format!("{} ({}): {}", card.title, card.state.1, said.unwrap_or("")));
            }
        }
    }
}

fn facts(out: &mut String, facts: &[Fact]) {
    let width = facts.iter().map(|fact| fact.name.len()).max().unwrap_or(0) + 2;
    for Fact { name, value } in facts {
        line(out, &format!("{name:<width$}{value}"));
    }
}

fn line(out: &mut String, text: &str) {
    out.push_str(&plain(text));
    out.push('\n');
}

fn heading(out: &mut String, text: &str) {
    line(out, "");
    line(out, text);
    line(out, &"─".repeat(text.chars().count()));
}

fn put(out: &mut String, content: &Table) {
    let names: Vec<_> = content.columns.iter().map(|column| column.name).collect();
    let numbers: Vec<_> = (0..names.len()).filter(|at| content.columns[*at].is_number).collect();
    let mut table = table(&names, &numbers);
    for row in &content.rows {
        table.add_row(row.iter().map(cell));
    }
    for row in table.to_string().lines() {
        // The table leaves blanks at the ends of lines.
        out.push_str(row.trim_end());
        out.push('\n');
    }
    if content.left_out > 0 {
        line(out, &format!("... and {} more", content.left_out));
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Code(text) | Cell::Number(text) | Cell::Time(text) => plain(text),
        Cell::Flag(_, word) => (*word).to_owned(),
    }
}
