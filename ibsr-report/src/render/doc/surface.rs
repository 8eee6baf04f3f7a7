// SPDX-License-Identifier: MIT OR Apache-2.0
//! The false-positive surface: how many legitimate sources, with which bound, and which ones.

use ibsr_replay::model::{Bound, Report, Sensitivity, Share};

use super::hits::affected;
use super::{
    Block, Cell, Chart, Fact, Section, Style, Table, fact, numbers, or_nothing, units, words,
};

/// A bound with its name and, where a gate looks at it, its limit.
#[derive(Debug)]
pub struct Bounded {
    /// Of what.
    pub name: &'static str,
    /// The bound.
    pub bound: Bound,
    /// The largest that passes.
    pub limit_ppb: Option<u64>,
}

/// The bounds of the surface, the gated one first.
#[must_use]
pub fn bounds(report: &Report) -> [Bounded; 4] {
    let (surface, settings) = (&report.surface, &report.settings);
    let of = |name, bound, limit_ppb| Bounded { name, bound, limit_ppb };
    [
        of("Source clusters", surface.clusters, Some(settings.limit_ppb)),
        of("Clusters, unknown left out", surface.clusters_known, None),
        of("Clusters, earlier thresholds", surface.clusters_rolling, None),
        of("Completed connections", surface.connections, Some(settings.connection_limit_ppb)),
    ]
}

/// Whom the candidate rules would have hurt.
pub(super) fn surface(report: &Report, style: Style) -> Section {
    let surface = &report.surface;
    let confidence = units::share(1_000_000_000_u64.saturating_sub(surface.clusters.alpha_ppb));
    let mut blocks = vec![Block::Say(summary(&surface.clusters, style))];
    if surface.clusters.n > 0 || surface.connections.n > 0 {
        blocks.push(Block::Chart(Chart::Bounds));
    } else {
        blocks.push(Block::Say(
            "There is no chart: the held-out days hold no legitimate cluster.".into(),
        ));
    }
    let table = Table {
        caption: format!(
            "Upper bounds at {confidence} each, which leaves 95 % over all rules and all looks"
        ),
        columns: vec![
            words("of"),
            numbers("affected"),
            numbers("in all"),
            numbers("share"),
            numbers("bound"),
            numbers("limit"),
        ],
        rows: bounds(report).iter().map(|bounded| bound_row(bounded, style)).collect(),
        left_out: 0,
    };
    blocks.push(Block::Table(table));
    blocks.push(Block::Facts(facts(report, style)));
    if surface.top.is_empty() {
        blocks.push(Block::Say("No legitimate or unknown source would have been affected.".into()));
    } else {
        blocks.push(affected(
            "Affected legitimate and unknown sources",
            &surface.top,
            surface.affected,
            style,
        ));
    }
    Section { id: "surface", title: "False-positive surface", is_summary: true, blocks }
}

fn summary(clusters: &Bound, style: Style) -> String {
    if clusters.n == 0 {
        return "No legitimate cluster was seen in held-out days, so nothing bounds the harm."
            .into();
    }
    format!(
        "{} of {} legitimate source clusters would have been affected in held-out days, unknown \
         ones counted as legitimate; with 95 % confidence the true share is below {}.",
        style.count(clusters.k),
        style.count(clusters.n),
        units::bound(clusters.upper_ppb)
    )
}

fn bound_row(bounded: &Bounded, style: Style) -> Vec<Cell> {
    let Bounded { name, bound, limit_ppb } = bounded;
    let upper = if bound.n == 0 { None } else { Some(bound.upper_ppb) };
    vec![
        Cell::text(*name),
        style.number(bound.k),
        style.number(bound.n),
        Cell::Number(or_nothing(bound.point_ppb, units::share)),
        Cell::Number(or_nothing(upper, units::bound)),
        Cell::Number(limit_ppb.map_or_else(|| "no gate".into(), units::bound)),
    ]
}

fn facts(report: &Report, style: Style) -> Vec<super::Fact> {
    let surface = &report.surface;
    let worst = match (&surface.worst_day, surface.worst_day_ppb) {
        (Some(_), Some(0)) => "none was affected on any day".to_owned(),
        (Some(day), Some(share)) => format!("{day}: {} of its new clusters", units::share(share)),
        _ => units::NOTHING.to_owned(),
    };
    let prefix = match (&surface.largest_prefix, surface.largest_prefix_ppm) {
        (Some(prefix), Some(share)) => {
            format!("{prefix} holds {} of the affected sources", units::ppm(share))
        }
        _ => units::NOTHING.to_owned(),
    };
    vec![
        fact("Affected sources", style.count(surface.affected)),
        fact("Worst day", worst),
        fact("Largest prefix", prefix),
        fact("Allow-listed and hit", style.count(surface.allow_listed)),
        fact(
            "Blast radius",
            format!("{} beside a dropped source", style.plural(surface.blast_radius, "source")),
        ),
        fact("Legitimate packets", share(&surface.packets, style)),
        fact("Legitimate bytes", share(&surface.bytes, style)),
    ]
}

/// Shown, never gated.
fn share(share: &Share, style: Style) -> String {
    match share.ppm {
        Some(ppm) => format!(
            "{} of {} ({}), not gated",
            style.count(share.part),
            style.count(share.whole),
            units::ppm(ppm)
        ),
        None => units::NOTHING.to_owned(),
    }
}

/// How the bound moves with the definition of a legitimate source.
pub(super) fn labels(report: &Report, style: Style) -> Section {
    let kind = match report.label_basis.stream_days_covered {
        _ if report.settings.is_label_independent => {
            "Labels come from connections that a second sensor saw"
        }
        0 => {
            "Labels are a proxy: they come from the counters that the rules look at, so the \
             verdict is at most a canary"
        }
        _ => {
            "Labels come from connections that a second sensor saw, but not of enough of the \
             traffic: the verdict is at most a canary"
        }
    };
    let mut blocks = vec![Block::Say(format!(
        "{kind}. Definition: {}.",
        report.settings.labels.trim_end_matches('.')
    ))];
    if report.label_basis.stream_days_covered > 0 {
        blocks.push(Block::Facts(basis(report, style)));
    }
    let row = |row: &Sensitivity| {
        vec![
            Cell::Time(format!("{} %", row.completed_percent)),
            of(&row.known, style),
            upper(&row.known),
            of(&row.with_unknown, style),
            upper(&row.with_unknown),
        ]
    };
    if report.sensitivity.is_empty() {
        blocks.push(Block::Say("Other definitions were not tried.".into()));
    } else {
        let columns = [
            words("completed"),
            numbers("known affected"),
            numbers("bound"),
            numbers("with unknown"),
            numbers("bound"),
        ];
        let caption = "Legitimate when so many of 100 SYN completed a handshake";
        blocks.push(style.cut(caption, &columns, (&report.sensitivity, 0), row));
    }
    Section { id: "labels", title: "How much depends on the labels", is_summary: false, blocks }
}

/// How much of the traffic labels by connections are about.
fn basis(report: &Report, style: Style) -> Vec<Fact> {
    let basis = &report.label_basis;
    let share = |part, whole| format!("{} of {}", style.count(part), style.count(whole));
    vec![
        fact("Days of interfaces with both", share(basis.stream_days_covered, basis.stream_days)),
        fact("Sources by connections", share(basis.sources, report.population.count)),
        fact("Handshakes with a known connection", share(basis.handshakes_known, basis.handshakes)),
        fact(
            "Connections with payload both ways",
            share(basis.connections_both_ways, basis.connections),
        ),
    ]
}

pub(super) fn of(bound: &Bound, style: Style) -> Cell {
    Cell::Number(format!("{} of {}", style.count(bound.k), style.count(bound.n)))
}

pub(super) fn upper(bound: &Bound) -> Cell {
    Cell::Number(or_nothing((bound.n > 0).then_some(bound.upper_ppb), units::bound))
}
