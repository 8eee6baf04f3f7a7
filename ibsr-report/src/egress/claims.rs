// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest of a report about a policy: what the guard is armed with. Made when a bundle is
//! sealed and again when one is verified with its inputs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use ibsr_evidence::{
    GUARD_SCHEMA, GuardLimits, GuardManifest, Item, LIFETIME_S, MAX_INTEGER, Period, Subject, root,
};
use ibsr_replay::egress::below::is_below;
use ibsr_replay::egress::model::Rehearsal;
use jiff::{SignedDuration, Timestamp};

use super::Made;
use crate::bundle::claims::{gate, inputs, verdict};

/// What `ibsr-guard subject` printed.
///
/// # Errors
/// When it cannot be read or is something else.
pub fn read_subject(path: &Path) -> anyhow::Result<Subject> {
    let what = || {
        format!(
            "failed to read the subject `{}`\nhint: `ibsr-guard subject POLICY --cgroup PATH` prints it on the machine",
            path.display()
        )
    };
    let text = fs::read_to_string(path).with_context(what)?;
    serde_json::from_str(&text).with_context(what)
}

/// That the report is about what the subject names.
///
/// # Errors
/// When it is not: the guard would refuse such evidence, or should.
pub fn check_subject(subject: &Subject, made: &Made) -> anyhow::Result<()> {
    let report = &made.report;
    let same = |what: &str, subject: String, report: String| {
        ensure!(
            subject == report,
            "failed to seal the report: the subject is about the {what} `{subject}`, the report about `{report}`"
        );
        Ok(())
    };
    same("policy", subject.policy_sha256.to_string(), report.policy_sha256.clone())?;
    same("host", subject.host.clone(), report.host.clone())?;
    let cgroup = subject.cgroup.trim_matches('/');
    ensure!(
        is_below(cgroup, &report.cgroup) && is_below(&report.cgroup, cgroup),
        "failed to seal the report: the subject is about the cgroup `{cgroup}`, the report about `{}`\nhint: \
         `--cgroup {cgroup}`",
        report.cgroup
    );
    for object in report.rehearsal.iter().flat_map(|said| &said.object_sha256) {
        same("program of the guard", subject.object_sha256.to_string(), object.clone())?;
    }
    let identities = made.identities_sha256.context(
        "failed to seal the report: nobody looked up whom the policy names\nhint: `--identities here` on the machine",
    )?;
    same("identities", subject.identities_sha256.to_string(), identities.to_string())
}

/// The files of a bundle as the manifest lists them.
#[must_use]
pub fn items(files: &BTreeMap<&'static str, Vec<u8>>) -> Vec<Item> {
    files.iter().map(|(name, bytes)| Item::of(*name, bytes)).collect()
}

/// The manifest of a report, beside `files`.
///
/// # Errors
/// When a hash is none, or its time has no end.
pub fn manifest(made: &Made, subject: Subject, files: Vec<Item>) -> anyhow::Result<GuardManifest> {
    let report = &made.report;
    let created_at: Timestamp = report.generated_at.parse().context("the report has no time")?;
    let lifetime = SignedDuration::from_secs(LIFETIME_S);
    let expires_at = created_at.checked_add(lifetime).context("`--now` is too far away")?;
    let inputs = inputs(&made.segments)?;
    let merkle_root = root(inputs.iter().map(|input| input.sha256));
    let (settings, flows, lost) = (&report.settings, &report.flows, &report.losses_of_data);
    let records_lost = report.rehearsal.as_ref().map_or(0, |said: &Rehearsal| said.records_lost);
    let all_lost = [flows.unjudged, lost.flows_lost, lost.rows_rejected, records_lost];
    Ok(GuardManifest {
        schema: GUARD_SCHEMA.to_owned(),
        tool: report.tool.clone(),
        created_at,
        expires_at,
        period: Period {
            from_unix_ms: report.period.from_unix_ms.map(exact),
            to_unix_ms: report.period.to_unix_ms.map(exact),
            timed_ms: exact(report.period.timed_ms),
            untimed_ms: exact(report.period.untimed_ms),
        },
        inputs,
        merkle_root,
        subject,
        judged: exact(flows.judged),
        would_deny: exact(flows.would_deny),
        lost: exact(all_lost.into_iter().fold(0, u64::saturating_add)),
        gates: report.decision.gates.iter().map(gate).collect(),
        limits: GuardLimits {
            destinations_ppb: exact(settings.limit_ppb),
            connections_ppb: exact(settings.connection_limit_ppb),
            alpha_ppb: exact(settings.alpha_ppb),
            budget_denials: exact(settings.budget_denials),
        },
        verdict: verdict(report.decision.verdict),
        canary_percent: report.decision.canary_percent,
        files,
    })
}

/// Largest integer that every reader of JSON reads exactly; beyond it, that.
fn exact(value: u64) -> u64 {
    value.min(MAX_INTEGER)
}
