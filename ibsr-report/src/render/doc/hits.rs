// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sources that a rule would have acted on, and how much of the abuse that is.

use ibsr_replay::model::{AffectedRow, Capture, Report, Share};

use super::{Block, Cell, Fact, Section, Style, fact, numbers, or_nothing, units, words};

/// A list of sources that would have been acted on, and why.
pub(super) fn affected(
    caption: &'static str,
    rows: &[AffectedRow],
    total: u64,
    style: Style,
) -> Block {
    let columns = [
        words("source"),
        words("label"),
        words("why"),
        words("rules"),
        words("days"),
        numbers("SYN acted on"),
        numbers("handshakes meanwhile"),
    ];
    style.cut(caption, &columns, (rows, total), |row| {
        vec![
            Cell::code(row.src),
            Cell::text(row.label.as_str()),
            Cell::text(&row.why),
            Cell::text(row.rules.join(", ")),
            Cell::Time(days(&row.days)),
            style.number(row.syn_acted),
            style.number(row.handshakes_acted),
        ]
    })
}

/// The day, or the first one and how many more.
fn days(days: &[String]) -> String {
    match days {
        [] => String::new(),
        [one] => one.clone(),
        [first, rest @ ..] => format!("{first} +{}", rest.len()),
    }
}

/// What the rules would have caught.
pub(super) fn capture(report: &Report, style: Style) -> Section {
    let capture = &report.capture;
    let mut blocks = Vec::new();
    if capture.sources == 0 {
        blocks
            .push(Block::Say("No abusive source was seen, so there was nothing to catch.".into()));
    } else {
        blocks.push(Block::Say(format!(
            "{} of {} would have been acted on.",
            style.count(capture.sources_acted),
            style.plural(capture.sources, "abusive source")
        )));
        blocks.push(Block::Facts(facts(capture, style)));
    }
    if !capture.top.is_empty() {
        blocks.push(affected(
            "Abusive sources acted on",
            &capture.top,
            capture.sources_acted,
            style,
        ));
    }
    Section { id: "capture", title: "Capture", is_summary: true, blocks }
}

fn facts(capture: &Capture, style: Style) -> Vec<Fact> {
    let share = |share: &Share| match share.ppm {
        Some(ppm) => {
            format!(
                "{} ({} of {})",
                units::ppm(ppm),
                style.count(share.part),
                style.count(share.whole)
            )
        }
        None => units::NOTHING.to_owned(),
    };
    let rate = |rate: Option<u64>| or_nothing(rate, |mps| format!("{} SYN/s", units::milli(mps)));
    vec![
        fact("Their packets acted on", share(&capture.packets)),
        fact("Of these taken away", share(&capture.packets_dropped)),
        fact("Time to act, median", or_nothing(capture.time_to_act_median_ms, units::duration)),
        fact(
            "Time to act, 95th percentile",
            or_nothing(capture.time_to_act_p95_ms, units::duration),
        ),
        fact("Peak before", rate(capture.peak_syn_before_mps)),
        fact("Peak after", rate(capture.peak_syn_after_mps)),
    ]
}
