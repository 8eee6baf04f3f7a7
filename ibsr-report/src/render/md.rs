// SPDX-License-Identifier: MIT OR Apache-2.0
//! `report.md`: everything, in GitHub's Markdown. Drawings are left out: the tables beside
//! them hold the same numbers.

use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::{Decision, Report};

use super::doc::{self, Block, Card, Cell, Fact, Head, Section, Style, Table};
use super::escape::{md_code, md_prose, plain};

/// Longer lists are in report.json and evidence.csv.
const STYLE: Style = Style { is_grouped: false, rows: 100 };

/// The whole report.
#[must_use]
pub fn report(report: &Report) -> String {
    page(&report.decision, &doc::head(report), &doc::sections(report, STYLE))
}

/// The whole report about a policy.
#[must_use]
pub fn egress(report: &EgressReport) -> String {
    let (head, sections) = (doc::egress::head(report), doc::egress::sections(report, STYLE));
    page(&report.decision, &head, &sections)
}

fn page(decision: &Decision, head: &Head, sections: &[Section]) -> String {
    let mut out = String::new();
    self::head(decision, head, &mut out);
    for section in sections {
        put(&mut out, section);
    }
    out
}

fn head(decision: &Decision, head: &Head, out: &mut String) {
    let verdict = decision.verdict;
    paragraph(out, &format!("# {}: `{verdict}`", head.title));
    paragraph(out, &format!("**{}** {}", md_prose(&head.meaning), md_prose(head.next)));
    for note in head.not_whole.iter().chain(&head.provisional) {
        paragraph(out, &format!("> **Note:** {}", md_prose(note)));
    }
    for reason in &decision.reasons {
        out.push_str(&format!("- {}\n", md_prose(reason)));
    }
    if !decision.reasons.is_empty() {
        out.push('\n');
    }
    paragraph(out, &format!("> {}", md_prose(&decision.sentence)));
    let facts = [&head.hosts, &head.period, &head.made].map(|fact| md_prose(fact));
    paragraph(out, &format!("{}.", facts.join(". ")));
}

fn put(out: &mut String, section: &Section) {
    paragraph(out, &format!("## {}", section.title));
    blocks(out, &section.blocks);
}

fn blocks(out: &mut String, blocks: &[Block]) {
    for block in blocks {
        match block {
            Block::Say(text) => paragraph(out, &md_prose(text)),
            Block::Warn(text) => paragraph(out, &format!("> **Note:** {}", md_prose(text))),
            Block::Facts(facts) => facts_table(out, facts),
            Block::Table(table) => self::table(out, table),
            Block::Chart(_) => {}
            Block::Code(text) => code(out, text),
            Block::List(points) => {
                for point in points {
                    out.push_str(&format!("- {}\n", md_prose(point)));
                }
                out.push('\n');
            }
            Block::Card(card) => self::card(out, card),
        }
    }
}

fn card(out: &mut String, card: &Card) {
    paragraph(out, &format!("### {} ({})", md_code(&card.title), card.state.1));
    blocks(out, &card.blocks);
}

fn paragraph(out: &mut String, text: &str) {
    out.push_str(text);
    out.push_str("\n\n");
}

/// A fence that is longer than any in the text.
fn code(out: &mut String, text: &str) {
    let mut fence = String::from("```");
    while text.contains(&fence) {
        fence.push('`');
    }
    let lines: Vec<String> = text.lines().map(plain).collect();
    paragraph(out, &format!("{fence}toml\n{}\n{fence}", lines.join("\n")));
}

fn facts_table(out: &mut String, facts: &[Fact]) {
    out.push_str("| what | value |\n|---|---|\n");
    for fact in facts {
        out.push_str(&format!("| {} | {} |\n", fact.name, md_prose(&fact.value)));
    }
    out.push('\n');
}

fn table(out: &mut String, table: &Table) {
    paragraph(out, &format!("**{}**", md_prose(&table.caption)));
    let names: Vec<_> = table.columns.iter().map(|column| column.name).collect();
    let rules: Vec<_> =
        table.columns.iter().map(|column| if column.is_number { "--:" } else { "---" }).collect();
    out.push_str(&format!("| {} |\n|{}|\n", names.join(" | "), rules.join("|")));
    for row in &table.rows {
        let cells: Vec<_> = row.iter().map(cell).collect();
        out.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    out.push('\n');
    if table.left_out > 0 {
        paragraph(out, &format!("… and {} more.", table.left_out));
    }
}

fn cell(cell: &Cell) -> String {
    match cell {
        Cell::Text(text) | Cell::Number(text) | Cell::Time(text) => md_prose(text),
        Cell::Code(text) => md_code(text),
        Cell::Flag(true, word) => (*word).to_owned(),
        Cell::Flag(false, word) => format!("**{word}**"),
    }
}
