// SPDX-License-Identifier: MIT OR Apache-2.0
//! Computes a bundle for the guard once more from its inputs. What was asked for stands in its
//! report.json, which is signed like everything else.

use anyhow::Context as _;
use ibsr_evidence::{GuardManifest, Item};
use ibsr_replay::egress::model::EgressSettings;
use serde::Deserialize;

use super::archive::Files;
use super::{Fault, compare};
use crate::egress::{self, make};
use crate::ingest::verify::Verified;
use crate::outputs;

const REPORT: &str = "report.json";

/// What of the report it takes; the rest follows.
#[derive(Deserialize)]
struct Asked {
    settings: EgressSettings,
}

/// What comes out otherwise than it was signed. None when there is nothing to compute with: the
/// file that says what was asked for is not the one that was signed.
///
/// # Errors
/// When the inputs cannot be read, or this version cannot do what was asked for.
pub fn again(
    signed: &GuardManifest,
    bundle: &Files,
    verified: Verified,
    (memory_bytes, threads): (u64, usize),
    is_quiet: bool,
) -> anyhow::Result<Option<Vec<Fault>>> {
    let Some(report) = bundle.get(REPORT) else { return Ok(None) };
    if !signed.files.contains(&Item::of(REPORT, report)) {
        return Ok(None);
    }
    let Asked { settings } =
        serde_json::from_slice(report).context("failed to read what report.json was asked for")?;
    let loaded = egress::Loaded::again(&settings)?;
    let made =
        make(loaded, settings, signed.created_at, verified, (memory_bytes, threads), is_quiet)?;
    let files = outputs::guard_files(&made.report, &made.policy);
    let mut faults = compare::files(&signed.files, bundle, &files);
    let claims = egress::manifest(&made, signed.subject.clone(), signed.files.clone())?;
    faults.extend(compare::claims(signed, &claims));
    if egress::check_subject(&signed.subject, &made).is_err() {
        faults.push(Fault::new(super::MANIFEST, "`subject` is not what the inputs are about"));
    }
    Ok(Some(faults))
}
