// SPDX-License-Identifier: MIT OR Apache-2.0
//! A small manifest for the tests.

use jiff::{SignedDuration, Timestamp};

use crate::digest::Digest;
use crate::guard_manifest::{
    GUARD_FILES, GUARD_POLICY, GUARD_SCHEMA, GuardLimits, GuardManifest, Subject,
};
use crate::item::Item;
use crate::manifest::{
    FILES, Gaps, Gate, GateKind, Host, LIFETIME_S, Limits, Manifest, Period, SCHEMA, SearchStep,
    Settings, Verdict,
};
use crate::merkle;

/// When the sample was made.
pub(crate) fn created_at() -> Timestamp {
    "2026-11-22T14:00:00Z".parse().unwrap()
}

pub(crate) fn gate(name: &str, is_passed: bool) -> Gate {
    Gate {
        name: name.to_owned(),
        kind: GateKind::Safety,
        value: Some(if is_passed { 1000 } else { 1001 }),
        limit: 1000,
        is_minimum: false,
        unit: "ppb".to_owned(),
        is_passed,
    }
}

fn host(host: &str) -> Host {
    Host {
        host: host.to_owned(),
        scope: "xdp-eth0".to_owned(),
        boot_id: "6c63a4ab-25a8-4b6a-8b4c-6f9f8f0f3f11".to_owned(),
        epoch: "00f1e2d3c4b5a697".to_owned(),
        program_sha256: vec![Digest::of(b"program").to_string()],
        evidence: vec!["sealed".to_owned()],
        proof: "every path returns XDP_PASS".to_owned(),
        days: vec!["2026-11-21".to_owned(), "2026-11-22".to_owned()],
    }
}

pub(crate) fn manifest() -> Manifest {
    let inputs = vec![
        Item::of("a-xdp-eth0-6c63a4ab-000000000001.jsonl", b"one"),
        Item::of("b-xdp-eth0-6c63a4ab-000000000002.jsonl", b"two"),
    ];
    let rules = "[[rule]]\nname = \"dead_syn\"\n".to_owned();
    Manifest {
        schema: SCHEMA.to_owned(),
        tool: "ibsr-report 0.1.0".to_owned(),
        created_at: created_at(),
        expires_at: created_at() + SignedDuration::from_secs(LIFETIME_S),
        period: Period {
            from_unix_ms: Some(1_794_000_000_000),
            to_unix_ms: None,
            timed_ms: 604_800_000,
            untimed_ms: 0,
        },
        merkle_root: merkle::root(inputs.iter().map(|input| input.sha256)),
        inputs,
        hosts: vec![host("a"), host("b")],
        gaps: Gaps { count: 1, total_ms: 30_000 },
        coverage_ppm: Some(999_990),
        evicted_ppm: None,
        label_definition: "proxy: größer als nötig".to_owned(),
        searched_rules_sha256: Digest::of(rules.as_bytes()),
        chosen_rules_sha256: Digest::of(b"chosen"),
        is_provisional: false,
        search: vec![SearchStep {
            rule: "dead_syn".to_owned(),
            index: 0,
            value: Some(100),
            affected: 0,
            clusters: 2995,
            upper_ppb: 999_742,
            is_accepted: true,
        }],
        gates: vec![gate("clusters", true)],
        limits: Limits { clusters_ppb: 1_000_000, connections_ppb: 100_000, alpha_ppb: 50_000_000 },
        verdict: Verdict::ReadyCanary,
        canary_percent: Some(10),
        files: FILES.map(|name| Item::of(name, name.as_bytes())).to_vec(),
        settings: Settings {
            window_ns: 10_000_000_000,
            rules,
            look: 1,
            top: 20,
            by: "syn".to_owned(),
        },
    }
}

/// One for the guard.
pub(crate) fn guard_manifest() -> GuardManifest {
    let Manifest { tool, created_at, expires_at, period, inputs, merkle_root, gates, .. } =
        manifest();
    let files = GUARD_FILES.map(|name| Item::of(name, name.as_bytes())).to_vec();
    GuardManifest {
        schema: GUARD_SCHEMA.to_owned(),
        tool,
        created_at,
        expires_at,
        period,
        inputs,
        merkle_root,
        subject: Subject {
            host: "a".to_owned(),
            machine_sha256: Digest::of(b"machine"),
            cgroup: "system.slice/app.service".to_owned(),
            policy_sha256: Digest::of(GUARD_POLICY.as_bytes()),
            identities_sha256: Digest::of(b"identities"),
            object_sha256: Digest::of(b"object"),
        },
        judged: 1000,
        would_deny: 10,
        lost: 0,
        gates,
        limits: GuardLimits {
            destinations_ppb: 1_000_000,
            connections_ppb: 100_000,
            alpha_ppb: 50_000_000,
            budget_denials: 5,
        },
        verdict: Verdict::ReadyCanary,
        canary_percent: Some(10),
        files,
    }
}
