// SPDX-License-Identifier: MIT OR Apache-2.0
//! JSON: the model as it is, stable under its `schema`.

use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::{Report, SourceRow};
use serde::Serialize;

/// The whole report.
#[must_use]
pub fn report(report: &Report) -> String {
    pretty(report)
}

/// The whole report about a policy.
#[must_use]
pub fn egress(report: &EgressReport) -> String {
    pretty(report)
}

/// Only its busiest sources.
#[must_use]
pub fn sources(report: &Report) -> String {
    #[derive(Serialize)]
    struct Only<'a> {
        schema: &'static str,
        tool: &'a str,
        generated_at: &'a str,
        is_whole: bool,
        count: u64,
        sources: &'a [SourceRow],
    }
    pretty(&Only {
        schema: "ibsr-report-sources/2",
        tool: &report.tool,
        generated_at: &report.generated_at,
        is_whole: report.is_whole,
        count: report.population.count,
        sources: report.shown(),
    })
}

fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("the model holds only what JSON can");
    text.push('\n');
    text
}
