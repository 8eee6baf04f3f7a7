// SPDX-License-Identifier: MIT OR Apache-2.0
//! `evidence.csv`: a row for each source that a rule would have acted on, affected ones
//! first. RFC 4180; every text is quoted, so that no spreadsheet takes one for a formula.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ibsr_replay::egress::model::{EgressReport, LossRow};
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

/// Columns of the evidence about a policy.
pub const EGRESS_COLUMNS: [&str; 20] = [
    "what",
    "host",
    "comm",
    "exe_device",
    "exe_inode",
    "uid",
    "place",
    "direction",
    "protocol",
    "addr",
    "name",
    "port",
    "rule",
    "is_intended",
    "flags",
    "flows",
    "completed",
    "failed",
    "first_unix_ms",
    "last_unix_ms",
];

/// A row for each pair that the policy would deny or says nothing about, losses first.
#[must_use]
pub fn egress(report: &EgressReport) -> String {
    let mut out = EGRESS_COLUMNS.join(",");
    out.push_str("\r\n");
    let lists =
        [("lost", &report.losses), ("denied", &report.denials), ("unjudged", &report.unjudged)];
    for (what, rows) in lists {
        rows.iter().for_each(|row| add_loss(&mut out, what, row));
    }
    out
}

fn add_loss(out: &mut String, what: &str, row: &LossRow) {
    fn number<T: ToString>(value: Option<T>) -> String {
        value.map_or_else(String::new, |value| value.to_string())
    }
    let app = &row.app;
    let cells = [
        csv(what),
        csv(&app.host),
        csv(app.comm.as_deref().unwrap_or_default()),
        csv(app.exe_device.as_deref().unwrap_or_default()),
        number(app.exe_inode),
        number(app.uid),
        csv(&app.place),
        csv(&row.direction),
        csv(&row.protocol),
        csv(&row.addr.to_string()),
        csv(row.name.as_deref().unwrap_or_default()),
        row.port.to_string(),
        csv(row.rule.as_deref().or(row.why).unwrap_or_default()),
        u8::from(row.is_intended).to_string(),
        csv(&row.flags.join(" ")),
        row.flows.to_string(),
        row.completed.to_string(),
        row.failed.to_string(),
        number(row.first_unix_ms),
        number(row.last_unix_ms),
    ];
    out.push_str(&cells.join(","));
    out.push_str("\r\n");
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
