// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the rules would have acted on, whoever sent it: over time, by port, by prefix; and
//! who sent most.

use ibsr_replay::model::{PortRow, PrefixRow, Report, Share, SourceRow};

use super::{Block, Cell, Chart, Column, Section, Style, Table, numbers, or_nothing, units, words};
use crate::clock;

/// Totals and shares, and the chart over time.
pub(super) fn impact(report: &Report, style: Style) -> Section {
    let impact = &report.impact;
    let mut blocks = vec![Block::Say(summary(&impact.syn, style))];
    if impact.series.is_empty() {
        blocks.push(Block::Say(
            "There is no chart: no stretch of the observed time has rates.".into(),
        ));
    } else {
        blocks.push(Block::Chart(Chart::Impact));
    }
    let worst = impact.worst_hour_unix_ms.map_or_else(
        || "Packets, worst hour".into(),
        |at| format!("Packets, worst hour ({})", clock::text(at)),
    );
    let row = |name: String, share: &Share| {
        vec![
            Cell::text(name),
            style.number(share.part),
            style.number(share.whole),
            Cell::ppm(share.ppm),
            Cell::ppm(share.at_most_ppm),
        ]
    };
    blocks.push(Block::Table(Table {
        caption: "While a rule acts on their source".into(),
        columns: vec![
            words("what"),
            numbers("acted on"),
            numbers("of"),
            numbers("share"),
            numbers("at most"),
        ],
        rows: vec![
            row("SYN".into(), &impact.syn),
            row("New connections".into(), &impact.handshakes),
            row("Packets".into(), &impact.packets),
            row("Bytes".into(), &impact.bytes),
            row(worst, &impact.worst_hour_packets),
        ],
        left_out: 0,
    }));
    Section { id: "impact", title: "Impact over time", is_summary: true, blocks }
}

fn summary(syn: &Share, style: Style) -> String {
    match syn.ppm {
        Some(share) => format!(
            "The candidate rules would have acted on {} of {} SYN ({}).",
            style.count(syn.part),
            style.count(syn.whole),
            units::ppm(share)
        ),
        None => "No SYN was observed with a rate, so no rule could have acted.".into(),
    }
}

/// By destination port and by prefix.
pub(super) fn places(report: &Report, style: Style) -> Section {
    let (ports, prefixes) = (&report.impact.ports, &report.impact.prefixes);
    let mut blocks = Vec::new();
    if ports.is_empty() && prefixes.is_empty() {
        blocks.push(Block::Say("The candidate rules would have acted on nothing.".into()));
    }
    if !ports.is_empty() {
        blocks.push(style.cut(
            "By destination port",
            &[words("port"), numbers("SYN acted on"), numbers("packets acted on")],
            (ports, 0),
            |row: &PortRow| {
                vec![
                    Cell::text(row.port.to_string()),
                    style.number(row.syn_acted),
                    style.number(row.packets_acted),
                ]
            },
        ));
    }
    if !prefixes.is_empty() {
        let columns = [
            words("prefix"),
            numbers("sources"),
            numbers("acted on"),
            numbers("legitimate or unknown"),
            numbers("packets acted on"),
        ];
        blocks.push(style.cut("By prefix", &columns, (prefixes, 0), |row: &PrefixRow| {
            vec![
                Cell::code(&row.prefix),
                style.number(row.sources),
                style.number(row.sources_acted),
                style.number(row.legitimate_acted),
                style.number(row.packets_acted),
            ]
        }));
    }
    Section { id: "places", title: "By port and by prefix", is_summary: false, blocks }
}

/// Who sent most.
pub(super) fn sources(report: &Report, style: Style) -> Section {
    let population = &report.population;
    let by_connections = match report.label_basis.sources {
        0 => String::new(),
        sources => format!(" By connections: {}.", style.count(sources)),
    };
    let mut blocks = vec![Block::Say(format!(
        "{}: {} legitimate, {} abusive, {} spoofable, {} unknown.{by_connections}",
        style.plural(population.count, "source"),
        style.count(population.legitimate),
        style.count(population.abusive),
        style.count(population.spoofable),
        style.count(population.unknown)
    ))];
    if !report.shown().is_empty() {
        blocks.push(Block::Table(busiest(report, style)));
    }
    Section { id: "sources", title: "Sources", is_summary: true, blocks }
}

/// The busiest sources, as many as were asked for.
#[must_use]
pub fn busiest(report: &Report, style: Style) -> Table {
    const COLUMNS: [Column; 10] = [
        words("source"),
        words("label"),
        numbers("SYN"),
        numbers("SYN/s peak"),
        numbers("handshakes"),
        numbers("RST"),
        numbers("packets"),
        numbers("bytes"),
        numbers("ports"),
        numbers("SYN acted on"),
    ];
    let row = |source: &SourceRow| {
        vec![
            Cell::code(source.src),
            Cell::text(source.label.as_str()),
            style.number(source.counts.syn),
            Cell::Number(or_nothing(source.peak_syn_ps, |rate| style.count(rate))),
            style.number(source.counts.handshakes),
            style.number(source.counts.rst),
            style.number(source.counts.packets),
            style.number(source.counts.bytes),
            style.number(u64::from(source.ports)),
            style.number(source.syn_acted),
        ]
    };
    let shown = report.shown();
    Table {
        caption: "Busiest sources".into(),
        columns: COLUMNS.to_vec(),
        rows: shown.iter().map(row).collect(),
        left_out: report.population.count.saturating_sub(shown.len() as u64),
    }
}
