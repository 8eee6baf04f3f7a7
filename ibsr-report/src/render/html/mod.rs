// SPDX-License-Identifier: MIT OR Apache-2.0
//! `report.html`: one file that loads nothing and runs nothing, for a desk, a phone and
//! paper. The template engine escapes whatever is put into it; only the style sheet and the
//! drawings, which escape for themselves, go in as they are.

mod view;

use ibsr_replay::model::{Report, Verdict};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Value;
use minijinja::{Environment, UndefinedBehavior, context};

use super::doc::{self, Style};
use super::units;

/// Longer lists are in report.json and evidence.csv.
const STYLE: Style = Style { is_grouped: true, rows: 25 };
const PAGE: &str = include_str!("page.html");
const BLOCK: &str = include_str!("block.html");
const CSS: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn report(report: &Report) -> String {
    let decision = &report.decision;
    let head = doc::head(report);
    let sections: Vec<Value> =
        doc::sections(report, STYLE).iter().map(|section| view::section(report, section)).collect();
    let text = |text: &str| Value::from(view::plain(text));
    let page = context! {
        verdict => decision.verdict.as_str(),
        tone => tone(decision.verdict),
        exit_code => doc::exit_code(report),
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
        figures => figures(report),
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

/// The four numbers that someone asks for first.
fn figures(report: &Report) -> Vec<Value> {
    let (clusters, capture) = (&report.surface.clusters, &report.capture.packets);
    let bound = (clusters.n > 0).then(|| units::bound(clusters.upper_ppb));
    let held_out = report.days.iter().filter(|day| day.is_held_out).count() as u64;
    let figure = |name: &str, value: Option<String>, beside: String| {
        let value = view::plain(&value.unwrap_or_else(|| units::NOTHING.to_owned()));
        context! { name, value, beside => view::plain(&beside) }
    };
    vec![
        figure(
            "Clusters affected",
            bound.map(|bound| format!("< {bound}")),
            format!(
                "{} of {}, limit {}",
                STYLE.count(clusters.k),
                STYLE.count(clusters.n),
                units::bound(report.settings.limit_ppb)
            ),
        ),
        figure(
            "Abuse acted on",
            capture.ppm.map(units::ppm),
            format!(
                "{} of {} sources",
                STYLE.count(report.capture.sources_acted),
                STYLE.count(report.capture.sources)
            ),
        ),
        figure("Coverage", report.coverage.ppm.map(units::ppm), "of received packets".to_owned()),
        figure(
            "Observed",
            Some(units::plural(report.days.len() as u64, "day")),
            format!("{held_out} held out"),
        ),
    ]
}
