// SPDX-License-Identifier: MIT OR Apache-2.0
//! The answer of `verify`, for people and for programs.

use std::path::Path;

use ibsr_evidence::{KeyId, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use super::Fault;
use super::again::Again;
use super::inspect::Inspected;
use super::kind::Signed;
use crate::render::escape::plain;

const SCHEMA: &str = "ibsr-verify/1";

/// Everything that is known about a bundle.
#[derive(Debug)]
pub struct Checked<'a> {
    /// Where it is.
    pub bundle: &'a Path,
    /// What it shows by itself.
    pub inspected: &'a Inspected,
    /// What its inputs show, if they were given.
    pub again: Option<&'a Again>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    bundle: String,
    is_valid: bool,
    is_key_trusted: bool,
    key: Option<String>,
    verdict: Option<Verdict>,
    tool: Option<&'a str>,
    created_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
    inputs_signed: Option<usize>,
    inputs_found: Option<u64>,
    inputs_later: Option<u64>,
    is_computed_again: bool,
    faults: &'a [Fault],
}

/// As JSON.
#[must_use]
pub fn json(checked: &Checked<'_>) -> String {
    let Checked { bundle, inspected, again } = checked;
    let manifest = inspected.manifest.as_ref();
    let answer = Answer {
        schema: SCHEMA,
        bundle: bundle.display().to_string(),
        is_valid: inspected.faults.is_empty(),
        is_key_trusted: inspected.is_key_trusted && manifest.is_some(),
        key: inspected.key.as_ref().map(KeyId::to_string),
        verdict: manifest.map(Signed::verdict),
        tool: manifest.map(Signed::tool),
        created_at: manifest.map(Signed::created_at),
        expires_at: manifest.map(Signed::expires_at),
        inputs_signed: manifest.map(|manifest| manifest.inputs().len()),
        inputs_found: again.map(|again| again.segments),
        inputs_later: again.map(|again| again.later),
        is_computed_again: again.is_some_and(|again| again.is_computed),
        faults: &inspected.faults,
    };
    let mut text = serde_json::to_string_pretty(&answer).expect("it holds only what JSON can");
    text.push('\n');
    text
}

/// For people.
#[must_use]
pub fn text(checked: &Checked<'_>) -> String {
    let Checked { bundle, inspected, again } = checked;
    let mut lines = vec![row("bundle", &bundle.display().to_string())];
    if let Some(manifest) = &inspected.manifest {
        lines.extend(claims(manifest));
    }
    lines.push(row("key", &key(inspected)));
    lines.push(row("inputs", &inputs(inspected, *again)));
    for Fault { name, reason } in &inspected.faults {
        let mut reason = reason.lines();
        lines.push(row("fault", &format!("`{name}`: {}", reason.next().unwrap_or_default())));
        lines.extend(reason.map(|line| row("", line)));
    }
    lines.push(String::new());
    lines.push(end(checked).to_owned());
    lines.push(String::new());
    lines.join("\n")
}

fn row(name: &str, value: &str) -> String {
    format!("{name:<9} {}", plain(value)).trim_end().to_owned()
}

fn claims(manifest: &Signed) -> [String; 2] {
    let verdict = serde_json::to_value(manifest.verdict()).ok();
    let verdict = verdict.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
    let percent =
        manifest.canary_percent().map_or_else(String::new, |percent| format!(", {percent} %"));
    let (from, to) = (manifest.created_at(), manifest.expires_at());
    [
        row("verdict", &format!("{verdict}{percent}")),
        row("made", &format!("{from} by {}, good until {to}", manifest.tool())),
    ]
}

fn key(inspected: &Inspected) -> String {
    let Some(key) = &inspected.key else { return "none that could be read".to_owned() };
    match (inspected.is_key_trusted, &inspected.manifest) {
        (true, Some(_)) => format!("{key}, which you trust"),
        (true, None) => format!("{key}"),
        (false, _) => format!("{key}, for which NOBODY VOUCHES: anyone could have signed this"),
    }
}

fn inputs(inspected: &Inspected, again: Option<&Again>) -> String {
    let signed = inspected.manifest.as_ref().map_or(0, |manifest| manifest.inputs().len());
    match again {
        None => format!("{signed} segments signed, none looked at"),
        Some(Again { segments, later, is_computed, .. }) => {
            let later = match later {
                0 => String::new(),
                later => format!(", {later} later ones left out"),
            };
            let end = if *is_computed { "computed again" } else { "nothing computed again" };
            format!("{segments} of {signed} segments found{later}; {end}")
        }
    }
}

fn end(checked: &Checked<'_>) -> &'static str {
    let is_again = checked.again.is_some();
    match (checked.inspected.faults.is_empty(), checked.inspected.is_key_trusted) {
        (false, _) => "NOT VALID",
        (true, true) if is_again => "VALID, and the inputs give it to the byte",
        (true, true) => "VALID",
        (true, false) if is_again => {
            "INTACT, and the inputs give it to the byte; nobody vouches for the key"
        }
        (true, false) => "INTACT, and nobody vouches for the key",
    }
}
