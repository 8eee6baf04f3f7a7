// SPDX-License-Identifier: MIT OR Apache-2.0
//! `report.html`: one file that loads nothing and runs nothing, for a desk, a phone and
//! paper. The template engine escapes whatever is put into it; only the style sheet and the
//! drawings, which escape for themselves, go in as they are.

mod figures;
mod view;

use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::{Decision, Report, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::doc::{self, Head, Style};

/// Longer lists are in report.json and evidence.csv.
const STYLE: Style = Style { is_grouped: true, rows: 25 };
const PAGE: &str = include_str!("page.html");
const BLOCK: &str = include_str!("block.html");
const CSS: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn report(report: &Report) -> String {
    let sections = doc::sections(report, STYLE);
    let sections = sections.iter().map(|section| view::section(Some(report), section)).collect();
    page(
        &report.decision,
        doc::head(report),
        doc::exit_code(report),
        figures::of_report(report),
        sections,
    )
}

/// The whole page about a policy.
#[must_use]
pub fn egress(report: &EgressReport) -> String {
    let sections = doc::egress::sections(report, STYLE);
    let sections = sections.iter().map(|section| view::section(None, section)).collect();
    page(
        &report.decision,
        doc::egress::head(report),
        doc::egress::exit_code(report),
        figures::of_egress(report),
        sections,
    )
}

fn page(
    decision: &Decision,
    head: Head,
    exit_code: u8,
    figures: Vec<Value>,
    sections: Vec<Value>,
) -> String {
    let text = |text: &str| Value::from(view::plain(text));
    let page = context! {
        verdict => decision.verdict.as_str(),
        tone => tone(decision.verdict),
        exit_code => exit_code,
        head => context! {
            title => head.title,
            meaning => head.meaning,
            next => head.next,
            notes => head.not_whole.into_iter().chain(head.provisional).collect::<Vec<_>>(),
            hosts => text(&head.hosts),
            period => text(&head.period),
            made => text(&head.made),
        },
        reasons => decision.reasons.iter().map(|reason| text(reason)).collect::<Vec<_>>(),
        sentence => text(&decision.sentence),
        figures => figures,
        style => Value::from_safe_string(CSS.to_owned()),
        sections => sections,
    };
    render(page).expect("the templates ask for what they are given")
}

fn render(page: Value) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let mut syntax = SyntaxConfig::builder();
    syntax.keep_trailing_newline(true).trim_blocks(true).lstrip_blocks(true);
    environment.set_syntax(syntax.build()?);
    environment.add_template("page.html", PAGE)?;
    environment.add_template("block.html", BLOCK)?;
    environment.get_template("page.html")?.render(page)
}

const fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::InsufficientEvidence => "wait",
        Verdict::NotReady => "bad",
        Verdict::NoBenefit => "idle",
        Verdict::ReadyCanary | Verdict::Ready => "good",
    }
}
