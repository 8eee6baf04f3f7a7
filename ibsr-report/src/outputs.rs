// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a report: all of them rendered from one value.

use ibsr_evidence::GUARD_POLICY;
use ibsr_replay::egress::model::EgressReport;
use ibsr_replay::model::Report;

use crate::bundle::Files;
use crate::render::{csv, html, json, md, text, toml};

/// Name and contents of each file.
#[must_use]
pub fn files(report: &Report) -> Vec<(&'static str, String)> {
    vec![
        ("report.txt", text::report(report)),
        ("report.html", html::report(report)),
        ("report.md", md::report(report)),
        ("report.json", json::report(report)),
        ("rules.toml", toml::rules(report)),
        ("evidence.csv", csv::evidence(report)),
    ]
}

/// Name and contents of each file of a bundle for the guard, beside its manifest.
#[must_use]
pub fn guard_files(report: &EgressReport, policy: &str) -> Files {
    [
        (GUARD_POLICY, policy.to_owned()),
        ("report.html", html::egress(report)),
        ("report.md", md::egress(report)),
        ("report.json", json::egress(report)),
        ("evidence.csv", csv::egress(report)),
    ]
    .into_iter()
    .map(|(name, text)| (name, text.into_bytes()))
    .collect()
}
