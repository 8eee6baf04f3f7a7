// SPDX-License-Identifier: MIT OR Apache-2.0
//! The manifest of a report. Made when a bundle is sealed and again when one is verified
//! with its inputs: what it claims must be what they give.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, ensure};
use ibsr_evidence::{
    Digest, Gaps, Gate, GateKind, Host, Item, LIFETIME_S, Limits, MAX_INTEGER, Manifest, Period,
    SCHEMA, SearchStep, Settings, Verdict, root,
};
use ibsr_replay::fold::id::StreamId;
use ibsr_replay::judge::date;
use ibsr_replay::judge::gather::By;
use ibsr_replay::judge::report::Wanted;
use ibsr_replay::model::{self, GapRow, Report, StreamRow, Unit};
use ibsr_replay::talk::lives::TalkFacts;
use jiff::SignedDuration;

use crate::partial::{Facts, Terms};

/// What of the facts a manifest needs; the rest is in the report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    terms: Terms,
    inputs: Vec<Item>,
    days: BTreeMap<StreamId, BTreeSet<u32>>,
    /// Those of cgroups, which the report does not list as streams.
    cgroups: Vec<Host>,
}

impl Basis {
    /// That of a report made of these facts.
    ///
    /// # Errors
    /// When a partial holds a hash that is none.
    pub fn of(facts: &Facts) -> anyhow::Result<Self> {
        let inputs = inputs(facts)?;
        let mut days: BTreeMap<StreamId, BTreeSet<u32>> = BTreeMap::new();
        for id in facts.units.keys() {
            days.entry(id.stream.clone()).or_default().insert(id.day);
        }
        Ok(Self { terms: facts.terms.clone(), inputs, days, cgroups: cgroups(facts) })
    }
}

/// Every segment that was found, sorted.
///
/// # Errors
/// When a hash is none.
pub fn inputs(facts: &Facts) -> anyhow::Result<Vec<Item>> {
    let mut inputs = Vec::new();
    for (sha256, segment) in &facts.segments {
        let what = || format!("failed to use the hash of `{}`", segment.name);
        let sha256 = sha256.parse().with_context(what)?;
        let bytes = segment.bytes.min(MAX_INTEGER);
        inputs.push(Item { name: segment.name.clone(), sha256, bytes });
    }
    inputs.sort();
    Ok(inputs)
}

/// Sets of maps of cgroups: labels may rest on them.
fn cgroups(facts: &Facts) -> Vec<Host> {
    let mut all: BTreeMap<&StreamId, (TalkFacts, Vec<String>)> = BTreeMap::new();
    for (id, talk) in &facts.talks {
        let (own, days) = all.entry(&id.stream).or_default();
        own.programs.extend(talk.programs.iter().cloned());
        own.evidence.extend(talk.evidence.iter().cloned());
        days.push(date(id.day));
    }
    let host = |(stream, (talk, days)): (&StreamId, (TalkFacts, Vec<String>))| {
        let StreamId { host, scope, boot_id, epoch } = stream.clone();
        let program_sha256: Vec<String> = talk.programs.into_iter().collect();
        let evidence: Vec<String> = talk.evidence.into_iter().collect();
        let proof = proof(&program_sha256, &evidence, "returns the value that allows");
        Host { host, scope, boot_id, epoch, program_sha256, evidence, proof, days }
    };
    all.into_iter().map(host).collect()
}

/// The manifest of `report`, beside `files`.
///
/// # Errors
/// When the report is about other rules than the facts, or its time has no end.
pub fn manifest(
    report: &Report,
    wanted: &Wanted,
    basis: Basis,
    files: Vec<Item>,
) -> anyhow::Result<Manifest> {
    let Basis { terms, inputs, days, cgroups } = basis;
    let searched = Digest::of(terms.rules.as_bytes());
    ensure!(
        searched.to_string() == report.settings.rules_sha256,
        "failed to seal the report: it is about other rules than its facts"
    );
    let lifetime = SignedDuration::from_secs(LIFETIME_S);
    let expires_at = wanted.now.checked_add(lifetime).context("`--now` is too far away")?;
    let merkle_root = root(inputs.iter().map(|input| input.sha256));
    let mut hosts: Vec<Host> = report.streams.iter().map(|row| host(row, &days)).collect();
    hosts.extend(cgroups);
    hosts.sort();
    Ok(Manifest {
        schema: SCHEMA.to_owned(),
        tool: wanted.tool.clone(),
        created_at: wanted.now,
        expires_at,
        period: Period {
            from_unix_ms: report.period.from_unix_ms.map(exact),
            to_unix_ms: report.period.to_unix_ms.map(exact),
            timed_ms: exact(report.period.timed_ms),
            untimed_ms: exact(report.period.untimed_ms),
        },
        inputs,
        merkle_root,
        hosts,
        gaps: gaps(&report.gaps),
        coverage_ppm: report.coverage.ppm.map(exact),
        evicted_ppm: report.loss.evicted_ppm.map(exact),
        label_definition: report.settings.labels.to_owned(),
        searched_rules_sha256: searched,
        chosen_rules_sha256: Digest::of(report.candidate.as_bytes()),
        is_provisional: report.is_provisional,
        search: search(report),
        gates: report.decision.gates.iter().map(gate).collect(),
        limits: Limits {
            clusters_ppb: exact(report.settings.limit_ppb),
            connections_ppb: exact(report.settings.connection_limit_ppb),
            alpha_ppb: exact(report.settings.alpha_ppb),
        },
        verdict: verdict(report.decision.verdict),
        canary_percent: report.decision.canary_percent,
        files,
        settings: Settings {
            window_ns: exact(terms.window_ns),
            rules: terms.rules,
            look: u64::from(wanted.look),
            top: exact(wanted.top as u64),
            by: by(wanted.by).to_owned(),
        },
    })
}

/// Largest integer that every reader of JSON reads exactly; beyond it, that.
fn exact(value: u64) -> u64 {
    value.min(MAX_INTEGER)
}

fn host(row: &StreamRow, days: &BTreeMap<StreamId, BTreeSet<u32>>) -> Host {
    let StreamRow { host, scope, boot_id, epoch, program_sha256, evidence, .. } = row.clone();
    let stream = StreamId { host, scope, boot_id, epoch };
    let folded = days.get(&stream).into_iter().flatten().map(|day| date(*day)).collect();
    let proof = proof(&program_sha256, &evidence, "returns XDP_PASS");
    let StreamId { host, scope, boot_id, epoch } = stream;
    Host { host, scope, boot_id, epoch, program_sha256, evidence, proof, days: folded }
}

/// What the loader that wrote these into the maps had shown before it attached anything.
fn proof(programs: &[String], evidence: &[String], exit: &str) -> String {
    let is_digest = |text: &String| text.parse::<Digest>().is_ok_and(|d| *d.as_bytes() != [0; 32]);
    let is_proven = !programs.is_empty() && programs.iter().all(is_digest);
    let is_frozen = evidence.iter().all(|text| matches!(text.as_str(), "frozen" | "exclusive"));
    if !is_proven {
        return "none: not every program that counted is known".to_owned();
    }
    let could = if is_frozen { "could not" } else { "could" };
    format!(
        "every exit of the program {exit}: shown on its instructions before it was attached; user space \
         {could} write its maps"
    )
}

fn gaps(rows: &[GapRow]) -> Gaps {
    let length = |gap: &GapRow| match (gap.from_boot_ns, gap.to_boot_ns) {
        (Some(from), Some(to)) => to.saturating_sub(from) / 1_000_000,
        _ => gap.to_unix_ms.saturating_sub(gap.from_unix_ms),
    };
    let total_ms = rows.iter().map(length).fold(0, u64::saturating_add);
    Gaps { count: rows.len() as u64, total_ms: exact(total_ms) }
}

/// The search went through the rules in their order, so this is its path.
fn search(report: &Report) -> Vec<SearchStep> {
    let steps = report.rules.iter().flat_map(|rule| rule.path.iter().map(move |step| (rule, step)));
    let step = |(rule, step): (&model::RuleRow, &model::Step)| SearchStep {
        rule: rule.name.clone(),
        index: step.threshold.index as u64,
        value: step.threshold.value.map(exact),
        affected: exact(step.clusters.k),
        clusters: exact(step.clusters.n),
        upper_ppb: exact(step.clusters.upper_ppb),
        is_accepted: step.is_accepted,
    };
    steps.filter(|(_, step)| step.is_tried).map(step).collect()
}

/// A gate as manifests have it.
pub fn gate(gate: &model::Gate) -> Gate {
    Gate {
        name: gate.name.to_owned(),
        kind: match gate.kind {
            model::GateKind::Evidence => GateKind::Evidence,
            model::GateKind::Safety => GateKind::Safety,
            model::GateKind::Benefit => GateKind::Benefit,
            model::GateKind::Trial => GateKind::Trial,
        },
        value: gate.value.map(exact),
        limit: exact(gate.limit),
        is_minimum: gate.is_minimum,
        unit: match gate.unit {
            Unit::Ppm => "ppm",
            Unit::Ppb => "ppb",
            Unit::Days => "days",
            Unit::Count => "count",
        }
        .to_owned(),
        is_passed: gate.is_passed,
    }
}

/// A verdict as manifests have it.
pub const fn verdict(verdict: model::Verdict) -> Verdict {
    match verdict {
        model::Verdict::InsufficientEvidence => Verdict::InsufficientEvidence,
        model::Verdict::NotReady => Verdict::NotReady,
        model::Verdict::NoBenefit => Verdict::NoBenefit,
        model::Verdict::ReadyCanary => Verdict::ReadyCanary,
        model::Verdict::Ready => Verdict::Ready,
    }
}

const fn by(by: By) -> &'static str {
    match by {
        By::Syn => "syn",
        By::Packets => "packets",
        By::Bytes => "bytes",
        By::Handshakes => "handshakes",
    }
}

/// The order that [`Settings::by`] names.
pub fn by_of(name: &str) -> Option<By> {
    [By::Syn, By::Packets, By::Bytes, By::Handshakes].into_iter().find(|order| by(*order) == name)
}
