// SPDX-License-Identifier: MIT OR Apache-2.0
//! Holds what was found or computed against what was signed, and names the difference.

use std::collections::{BTreeMap, BTreeSet};

use ibsr_evidence::Item;
use serde::Serialize;
use serde_json::Value;

use super::archive::Files;
use super::kind::Signed;
use super::{Fault, MANIFEST};
use crate::ingest::scan::Segment;
use crate::ingest::verify::{RefusedFile, Verified};

/// Longest piece of a line that is shown.
const SHOWN_CHARS: usize = 60;

/// The inputs of a bundle among the segments that were found.
#[derive(Debug, Default)]
pub struct Inputs {
    /// What there is to compute with.
    pub verified: Verified,
    /// Segments that began after all that was signed.
    pub later: u64,
    /// Segments that are missing, changed or too much.
    pub faults: Vec<Fault>,
}

/// Takes the signed inputs out of what was found. A segment that nobody signed is a fault
/// unless all of it is later than the report: else who leaves a bad hour out would not be
/// noticed by who holds all of them.
#[must_use]
pub fn inputs(manifest: &Signed, found: Verified) -> Inputs {
    let Verified { segments, flows, verdicts, refused } = found;
    let signed: BTreeMap<String, &Item> =
        manifest.inputs().iter().map(|item| (item.sha256.to_string(), item)).collect();
    let is_signed = |sha256: &String| signed.contains_key(sha256);
    let (own, others) = part(segments, is_signed);
    let (own_flows, other_flows) = part(flows, is_signed);
    // What the guard said is an input of evidence for the guard only.
    let verdicts = if matches!(manifest, Signed::Guard(_)) { verdicts } else { Vec::new() };
    let (own_verdicts, other_verdicts) = part(verdicts, is_signed);
    let others: Vec<Other<'_>> = others
        .iter()
        .map(Other::from)
        .chain(other_flows.iter().map(Other::from))
        .chain(other_verdicts.iter().map(Other::from))
        .collect();
    let there: BTreeSet<&str> =
        hashes(&own).chain(hashes(&own_flows)).chain(hashes(&own_verdicts)).collect();
    let missing: Vec<&Item> = signed
        .iter()
        .filter(|(sha256, _)| !there.contains(sha256.as_str()))
        .map(|(_, item)| *item)
        .collect();
    let mut faults: Vec<Fault> =
        missing.iter().map(|item| absent(item, &others, &refused)).collect();
    let is_missing = |name: &str| missing.iter().any(|item| item.name == name);
    let mut later = 0;
    for segment in others.iter().filter(|segment| !is_missing(segment.name)) {
        if is_later(segment, manifest) {
            later += 1;
        } else {
            faults.push(Fault::new(segment.name, "it is not among the inputs that were signed"));
        }
    }
    faults.sort_by(|a, b| a.name.cmp(&b.name));
    let verified = Verified { segments: own, flows: own_flows, verdicts: own_verdicts, refused };
    Inputs { verified, later, faults }
}

/// Those that were signed, and the others.
fn part<H>(
    segments: Vec<Segment<H>>,
    is_signed: impl Fn(&String) -> bool,
) -> (Vec<Segment<H>>, Vec<Segment<H>>) {
    segments.into_iter().partition(|segment| is_signed(&segment.contents.sha256))
}

fn hashes<H>(segments: &[Segment<H>]) -> impl Iterator<Item = &str> {
    segments.iter().map(|segment| segment.contents.sha256.as_str())
}

/// A segment that was found and not signed.
struct Other<'a> {
    name: &'a str,
    first_unix_ms: Option<u64>,
}

impl<'a, H> From<&'a Segment<H>> for Other<'a> {
    fn from(segment: &'a Segment<H>) -> Self {
        let sweeps = segment.contents.sweeps.iter();
        Self { name: &segment.name, first_unix_ms: sweeps.map(|sweep| sweep.at_unix_ms).min() }
    }
}

fn absent(item: &Item, others: &[Other<'_>], refused: &[RefusedFile]) -> Fault {
    let refused = refused.iter().find(|file| file.name == item.name);
    let reason = if others.iter().any(|segment| segment.name == item.name) {
        "its bytes are not those signed".to_owned()
    } else {
        refused.map_or_else(|| "it is missing".to_owned(), |file| file.reason.clone())
    };
    Fault::new(&item.name, reason)
}

fn is_later(segment: &Other<'_>, manifest: &Signed) -> bool {
    let end = manifest.to_unix_ms();
    segment.first_unix_ms.zip(end).is_some_and(|(first, end)| first > end)
}

/// Files that came out other than they were signed.
#[must_use]
pub fn files(signed: &[Item], bundle: &Files, made: &Files) -> Vec<Fault> {
    let mut faults = Vec::new();
    for item in signed {
        let Some((name, bytes)) = made.get_key_value(item.name.as_str()) else {
            faults.push(Fault::new(&item.name, "it does not come out of the inputs"));
            continue;
        };
        if Item::of(*name, bytes) != *item {
            let there = bundle.get(name).map_or(&[][..], Vec::as_slice);
            faults.push(Fault::new(*name, line(there, bytes)));
        }
    }
    faults
}

/// The first line that differs.
fn line(signed: &[u8], made: &[u8]) -> String {
    let (signed, made) = (String::from_utf8_lossy(signed), String::from_utf8_lossy(made));
    let (mut left, mut right) = (signed.lines(), made.lines());
    for number in 1_u64.. {
        let (left, right) = (left.next(), right.next());
        if left != right {
            let (left, right) = (shown(left), shown(right));
            return format!("line {number} is {left}, the inputs give {right}");
        }
        if left.is_none() {
            break;
        }
    }
    "the inputs give other ends of lines".to_owned()
}

fn shown(line: Option<&str>) -> String {
    line.map_or_else(
        || "none".to_owned(),
        |line| format!("`{}`", line.trim().chars().take(SHOWN_CHARS).collect::<String>()),
    )
}

/// Claims that the inputs do not bear out.
#[must_use]
pub fn claims<C: Serialize>(signed: &C, made: &C) -> Vec<Fault> {
    let fields = |claims: &C| match serde_json::to_value(claims) {
        Ok(Value::Object(fields)) => fields,
        _ => serde_json::Map::new(),
    };
    let (signed, made) = (fields(signed), fields(made));
    let other = signed.iter().filter(|(name, value)| made.get(*name) != Some(value));
    other
        .map(|(name, _)| Fault::new(MANIFEST, format!("`{name}` is not what the inputs give")))
        .collect()
}
