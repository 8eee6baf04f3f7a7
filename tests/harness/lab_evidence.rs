// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence for the guard that a test makes up and signs with a key of its own.

use std::fs;
use std::path::Path;

use ibsr_evidence::{
    GUARD_POLICY, GUARD_SCHEMA, Gate, GateKind, GuardLimits, GuardManifest, Item, Period, Subject,
    Verdict, root,
};
use jiff::{SignedDuration, Timestamp};

/// A manifest that says that a policy, as its canonical text, is ready for `subject`; made a
/// minute ago, for a day.
#[must_use]
pub fn ready(subject: Subject, policy_text: &str) -> GuardManifest {
    let created_at =
        Timestamp::from_second(Timestamp::now().as_second() - 60).expect("the wall clock is set");
    let inputs = vec![Item::of("a-cg-app-00000000-000000000001.jsonl", b"rows")];
    let gate = Gate {
        name: "destinations".to_owned(),
        kind: GateKind::Safety,
        value: Some(0),
        limit: 1_000,
        is_minimum: false,
        unit: "ppb".to_owned(),
        is_passed: true,
    };
    GuardManifest {
        schema: GUARD_SCHEMA.to_owned(),
        tool: "lab".to_owned(),
        created_at,
        expires_at: created_at + SignedDuration::from_hours(24),
        period: Period {
            from_unix_ms: Some(1_000),
            to_unix_ms: Some(2_000),
            timed_ms: 1_000,
            untimed_ms: 0,
        },
        merkle_root: root(inputs.iter().map(|input| input.sha256)),
        inputs,
        subject,
        judged: 1_000,
        would_deny: 10,
        lost: 0,
        gates: vec![gate],
        limits: GuardLimits {
            destinations_ppb: 1_000_000,
            connections_ppb: 100_000,
            alpha_ppb: 50_000_000,
            budget_denials: 1_000,
        },
        verdict: Verdict::Ready,
        canary_percent: None,
        files: vec![Item::of(GUARD_POLICY, policy_text.as_bytes())],
    }
}

/// Writes a bundle in place of what is at `dir`, whatever it says.
pub fn write_bundle(dir: &Path, manifest: &[u8], signature: &str, policy_text: &str) {
    let _none = fs::remove_dir_all(dir);
    fs::create_dir(dir).expect("a new directory");
    fs::write(dir.join("manifest.json"), manifest).expect("writable");
    fs::write(dir.join("manifest.sig"), signature).expect("writable");
    fs::write(dir.join(GUARD_POLICY), policy_text).expect("writable");
}
