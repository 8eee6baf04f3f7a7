// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each rule: its thresholds with bound and capture, whom it would have acted on, how long;
//! and the candidate set to copy.

use ibsr_replay::model::{Report, RuleRow, Step, TtlRow};

use super::surface::{of, upper};
use super::{
    Block, Card, Cell, Chart, Fact, Section, Style, fact, numbers, or_nothing, units, words,
};

const TITLE: &str = "Rules and their thresholds";

/// A card for each rule.
pub(super) fn rules(report: &Report, style: Style) -> Section {
    if report.rules.is_empty() {
        let blocks = vec![Block::Say("No rule was tried.".into())];
        return Section { id: "rules", title: TITLE, is_summary: true, blocks };
    }
    let mut blocks = vec![Block::Say(
        "Thresholds were fixed before the data was looked at and are tried from the safest on. \
         The search stops at the first one whose bound is above the limit."
            .into(),
    )];
    blocks.extend(
        report.rules.iter().enumerate().map(|(at, rule)| Block::Card(card(at, rule, style))),
    );
    Section { id: "rules", title: TITLE, is_summary: true, blocks }
}

fn card(at: usize, rule: &RuleRow, style: Style) -> Card {
    let state = if rule.is_candidate { (true, "candidate") } else { (false, "not a candidate") };
    let mut blocks = vec![Block::Say(summary(rule))];
    if rule.path.iter().any(|step| step.clusters.n > 0) {
        blocks.push(Block::Chart(Chart::Curve(at)));
    }
    if !rule.path.is_empty() {
        blocks.push(path(rule, style));
    }
    blocks.push(Block::Facts(facts(rule, style)));
    if !rule.ttl.is_empty() {
        blocks.push(ttl(rule, style));
    }
    blocks.push(Block::Code(rule.text.clone()));
    Card { title: rule.name.clone(), state, blocks }
}

/// `drop_syn at 100 SYN/s`, or why not.
fn summary(rule: &RuleRow) -> String {
    let value = rule.chosen.and_then(|chosen| chosen.value);
    let unit = rule.grid_metric.map_or("", units::metric);
    let at = value.map_or_else(String::new, |value| format!(" at {value} {unit}"));
    match (&rule.why_not, rule.is_candidate) {
        (Some(why), false) => format!("{}: {why}", rule.action),
        (None, false) => format!("{}: not in the candidate set", rule.action),
        (_, true) => format!("{}{at}", rule.action),
    }
}

fn path(rule: &RuleRow, style: Style) -> Block {
    let columns = [
        numbers("threshold"),
        numbers("affected"),
        numbers("bound"),
        numbers("capture"),
        words("search"),
    ];
    let caption = rule.grid_metric.map_or_else(
        || "No threshold to search".to_owned(),
        |metric| {
            format!("Thresholds in {}, safest first; clusters affected", units::metric(metric))
        },
    );
    let all = Style { rows: usize::MAX, ..style };
    all.cut(caption, &columns, (&rule.path, 0), |step: &Step| {
        let value = step.threshold.value;
        vec![
            Cell::Number(value.map_or_else(|| "fixed".into(), |value| style.count(value))),
            of(&step.clusters, style),
            upper(&step.clusters),
            Cell::ppm(step.capture_ppm),
            search(rule, step),
        ]
    })
}

fn search(rule: &RuleRow, step: &Step) -> Cell {
    if rule.chosen == Some(step.threshold) {
        return Cell::Flag(true, "chosen");
    }
    match (step.is_tried, step.is_accepted) {
        (true, true) => Cell::text("accepted"),
        (true, false) => Cell::Flag(false, "refused"),
        (false, _) => Cell::text("not tried"),
    }
}

fn facts(rule: &RuleRow, style: Style) -> Vec<Fact> {
    let share = |share: &ibsr_replay::model::Share| {
        let part = style.count(share.part);
        share.ppm.map_or_else(|| part.clone(), |ppm| format!("{part} ({})", units::ppm(ppm)))
    };
    vec![
        fact(
            "Sources acted on",
            format!(
                "{} legitimate, {} unknown, {} abusive, {} spoofable",
                style.count(rule.legitimate_acted),
                style.count(rule.unknown_acted),
                style.count(rule.abusive_acted),
                style.count(rule.spoofable_acted)
            ),
        ),
        fact("Spoofable among them", or_nothing(rule.spoofable_ppm, units::ppm)),
        fact("SYN acted on", share(&rule.syn)),
        fact("Packets acted on", share(&rule.packets)),
        fact(
            "Shortest useful time",
            or_nothing(rule.shortest_ttl_s, |ttl_s| units::duration(ttl_s.saturating_mul(1000))),
        ),
    ]
}

fn ttl(rule: &RuleRow, style: Style) -> Block {
    let columns = [words("lasts"), numbers("capture"), numbers("acts again")];
    style.cut("How long the action should last", &columns, (&rule.ttl, 0), |row: &TtlRow| {
        vec![
            Cell::text(units::duration(row.ttl_s.saturating_mul(1000))),
            Cell::ppm(row.capture_ppm),
            Cell::ppm(row.again_ppm),
        ]
    })
}

/// The rule set that may act, to copy.
pub(super) fn candidate(report: &Report) -> Section {
    let blocks = if report.candidate.is_empty() {
        vec![Block::Say("There is none: no rule may act.".into())]
    } else {
        let mut blocks = Vec::new();
        if report.is_provisional {
            blocks.push(Block::Warn(
                "To read, not to enforce: the safest threshold of every rule, none of which was \
                 shown to be safe."
                    .into(),
            ));
        } else if !report.decision.verdict.is_ready() {
            blocks.push(Block::Warn(
                "To read, not to enforce: the verdict does not allow it.".into(),
            ));
        }
        blocks.push(Block::Code(report.candidate.clone()));
        blocks
    };
    Section { id: "candidate", title: "Candidate rules", is_summary: true, blocks }
}
