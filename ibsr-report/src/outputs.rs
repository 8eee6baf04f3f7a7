// SPDX-License-Identifier: MIT OR Apache-2.0
//! The files of a report: all of them rendered from one value.

use ibsr_replay::model::Report;

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
