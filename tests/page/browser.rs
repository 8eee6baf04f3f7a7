// SPDX-License-Identifier: MIT OR Apache-2.0
//! Headless Chromium: what a page looks like at a width, and what its console says.
//!
//! A page is measured from outside: it lies in a frame of the wanted width, and the script is
//! in the document around it. So nothing in the page has to be changed, and its policy
//! against scripts stays in force. A window cannot be as narrow as a phone; a frame can.

use std::fs;
use std::process::Command;

use ibsr_tests::process::{Said, say};
use serde::Deserialize;

const MEASURE: &str = include_str!("measure.js");
/// Far more than the second that a page takes; a browser that hangs must not hang the test.
const LIMIT_S: &str = "120";

/// What was measured at one width. Lengths are CSS pixels.
#[derive(Debug, Deserialize)]
pub(super) struct Look {
    /// Of the frame.
    pub(super) width: u32,
    /// Text of the heading.
    pub(super) title: String,
    /// The verdict's constant.
    pub(super) verdict: String,
    /// Whether the verdict stands on a ground of its own.
    pub(super) is_coloured: bool,
    /// Title of the document.
    pub(super) document_title: String,
    /// How much wider the page is.
    pub(super) overflow_px: i64,
    /// Elements that reach out of the page and are not in a part that scrolls.
    pub(super) sticking_out: Vec<String>,
    /// Pairs of texts of one drawing.
    pub(super) overlaps: Vec<String>,
    /// Texts that reach out of their drawing.
    pub(super) cut: Vec<String>,
    /// Drawings that can be seen.
    pub(super) drawings: u64,
    /// Drawings without title or description, seen or not.
    pub(super) undescribed: u64,
    /// Height of the smallest text of a drawing.
    pub(super) smallest_text_px: u64,
    /// Loads that the page began.
    pub(super) resources: u64,
    /// Scripts in it.
    pub(super) scripts: u64,
}

/// Measures the page at each width.
pub(super) fn look(page: &str, widths: &[u32]) -> Vec<Look> {
    let frames: String = widths
        .iter()
        .map(|width| {
            let page = page.replace('&', "&amp;").replace('"', "&quot;");
            format!("<iframe style=\"border:0;height:900px;width:{width}px\" srcdoc=\"{page}\"></iframe>")
        })
        .collect();
    let around = format!(
        "<!doctype html><meta charset=\"utf-8\"><body>{frames}<pre id=\"out\"></pre>\
         <script>{MEASURE}</script>"
    );
    let said = browse(&around, &["--virtual-time-budget=10000", "--dump-dom"]).expect_code(0);
    let out =
        said.stdout.split("<pre id=\"out\">").nth(1).and_then(|rest| rest.split("</pre>").next());
    let text = out
        .expect("the script wrote")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}\n{}", said.stderr))
}

/// What the console says when the page is opened as a file.
pub(super) fn console(page: &str) -> Vec<String> {
    let said = browse(page, &["--enable-logging=stderr", "--dump-dom"]).expect_code(0);
    said.stderr.lines().filter(|line| line.contains(":CONSOLE")).map(str::to_owned).collect()
}

fn browse(page: &str, arguments: &[&str]) -> Said {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("page.html");
    fs::write(&file, page).expect("writable");
    let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
    let mut command = Command::new("timeout");
    command.args([LIMIT_S, "chromium", "--headless", "--no-sandbox", "--disable-gpu"]);
    command.args(["--disable-quic", "--no-first-run", "--disable-background-networking"]);
    command.args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"]);
    command.arg(profile).args(arguments).arg(format!("file://{}", file.display()));
    let said = say(&mut command);
    assert_ne!(said.code, Some(127), "Chromium is missing: run `make deps-test`");
    said
}
