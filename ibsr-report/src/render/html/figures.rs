// SPDX-License-Identifier: MIT OR Apache-2.0
//! The four numbers that someone asks for first.

use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::Report;
use minijinja::context;
use minijinja::value::Value;

use super::super::units;
use super::{STYLE, view};

fn figure(name: &str, value: Option<String>, beside: String) -> Value {
    let value = view::plain(&value.unwrap_or_else(|| units::NOTHING.to_owned()));
    context! { name, value, beside => view::plain(&beside) }
}

/// Those of a report.
pub(super) fn of_report(report: &Report) -> Vec<Value> {
    let (clusters, capture) = (&report.surface.clusters, &report.capture.packets);
    let bound = (clusters.n > 0).then(|| units::bound(clusters.upper_ppb));
    let held_out = report.days.iter().filter(|day| day.is_held_out).count() as u64;
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

/// Those of a report about a policy.
pub(super) fn of_egress(report: &EgressReport) -> Vec<Value> {
    let (surface, flows) = (&report.surface, &report.flows);
    let destinations = &surface.destinations;
    let bound = (destinations.n > 0).then(|| units::bound(destinations.upper_ppb));
    vec![
        figure(
            "Destinations lost",
            bound.map(|bound| format!("< {bound}")),
            format!(
                "{} of {}, limit {}",
                STYLE.count(destinations.k),
                STYLE.count(destinations.n),
                units::bound(report.settings.limit_ppb)
            ),
        ),
        figure(
            "Applications hurt",
            Some(STYLE.count(surface.applications_hurt)),
            format!(
                "of {}, {} cut off",
                STYLE.count(surface.applications),
                STYLE.count(surface.applications_cut_off)
            ),
        ),
        figure(
            "Flows denied",
            Some(STYLE.count(flows.would_deny)),
            format!("of {}, {} without a verdict", STYLE.count(flows.flows), flows.unjudged),
        ),
        figure(
            "Observed",
            Some(units::plural(report.days.len() as u64, "day")),
            format!("{} in flows", units::plural(report.input.sweeps, "sweep")),
        ),
    ]
}
