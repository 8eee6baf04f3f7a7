// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evidence.csv`: a row for each source that a rule would have acted on, affected ones
//! first. RFC 4180; every text is quoted, so that no spreadsheet takes one for a formula.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ibsr_replay::model::{AffectedRow, Report};

use super::escape::csv;

/// Names of the columns.
pub const COLUMNS: [&str; 15] = [
    "source",
    "label",
    "syn",
    "ack",
    "handshakes",
    "fin",
    "rst",
    "packets",
    "bytes",
    "rules",
    "days",
    "syn_acted",
    "packets_acted",
    "handshakes_acted",
    "why",
];

/// All rows, the first one with the names of the columns.
#[must_use]
pub fn evidence(report: &Report) -> String {
    let mut out = COLUMNS.join(",");
    out.push_str("\r\n");
    let mut written = BTreeSet::new();
    for row in report.surface.top.iter().chain(&report.capture.top) {
        if written.insert(row.src) {
            add(&mut out, row);
        }
    }
    out
}

fn add(out: &mut String, row: &AffectedRow) {
    let c = &row.counts;
    let counts = [c.syn, c.ack, c.handshakes, c.fin, c.rst, c.packets, c.bytes];
    let counts = counts.map(|count| count.to_string()).join(",");
    let (source, label) = (csv(&row.src.to_string()), csv(row.label.as_str()));
    let (rules, days) = (csv(&row.rules.join(" ")), csv(&row.days.join(" ")));
    let AffectedRow { syn_acted, packets_acted, handshakes_acted, .. } = row;
    let why = csv(&row.why);
    write!(
        out,
        "{source},{label},{counts},{rules},{days},{syn_acted},{packets_acted},{handshakes_acted},{why}\r\n"
    )
    .expect("a string can be written");
}
