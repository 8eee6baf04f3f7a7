// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every gate alone must be able to change the verdict.

use super::*;

const READY: Measured = Measured {
    sweeps: 1,
    coverage_ppm: Some(1_000_000),
    evicted_ppm: Some(0),
    unseen_ppm: Some(0),
    gaps_ppm: Some(0),
    days: 7,
    clusters: 6000,
    clusters_needed: 5000,
    rejected_ppm: Some(0),
    refused: 0,
    violations: 0,
    unproven: 0,
    upper_ppb: 900_000,
    rolling_ppb: 900_000,
    connections_ppb: 90_000,
    allow_listed: 0,
    network_ppm: 0,
    worst_day_ppb: 0,
    spoofed_ppm: 0,
    candidates: 1,
    abusive: 1,
    capture_ppm: Some(900_000),
    labelled_ppm: Some(1_000_000),
    known_ppm: Some(950_000),
    is_canary_done: true,
    limit_ppb: 1_000_000,
    connection_limit_ppb: 100_000,
};

fn verdict_of(change: impl Fn(&mut Measured)) -> Verdict {
    let mut measured = READY;
    change(&mut measured);
    decide(&measured, String::new(), None).verdict
}

/// Every single gate, alone, must be able to change the verdict.
#[test]
fn each_gate_alone_decides() {
    type Change = fn(&mut Measured);
    let cases: [(Verdict, &[Change]); 4] = [
        (
            Verdict::InsufficientEvidence,
            &[
                |m| m.sweeps = 0,
                |m| m.coverage_ppm = Some(998_999),
                |m| m.coverage_ppm = None,
                |m| m.evicted_ppm = Some(1_001),
                |m| m.unseen_ppm = Some(1_001),
                |m| m.gaps_ppm = Some(10_001),
                |m| m.days = 6,
                |m| m.clusters = 4_999,
                |m| m.rejected_ppm = Some(1_001),
                |m| m.refused = 1,
                |m| m.violations = 1,
                |m| m.unproven = 1,
            ],
        ),
        (
            Verdict::NotReady,
            &[
                |m| m.upper_ppb = 1_000_001,
                |m| m.rolling_ppb = 1_000_001,
                |m| m.connections_ppb = 100_001,
                |m| m.allow_listed = 1,
                |m| m.network_ppm = 200_001,
                |m| m.worst_day_ppb = 3_000_001,
                |m| m.spoofed_ppm = 500_001,
            ],
        ),
        (
            Verdict::NoBenefit,
            &[|m| m.abusive = 0, |m| m.candidates = 0, |m| m.capture_ppm = Some(99_999)],
        ),
        (
            Verdict::ReadyCanary,
            &[
                |m| m.labelled_ppm = Some(999_999),
                |m| m.labelled_ppm = None,
                |m| m.known_ppm = Some(949_999),
                |m| m.known_ppm = None,
                |m| m.is_canary_done = false,
            ],
        ),
    ];
    assert_eq!(verdict_of(|_| ()), Verdict::Ready);
    for (expected, changes) in cases {
        for (at, change) in changes.iter().enumerate() {
            assert_eq!(verdict_of(change), expected, "change {at}");
        }
    }
    let changes: usize = cases.iter().map(|(_, changes)| changes.len()).sum();
    // Three of them have a second case: nothing was measured.
    assert_eq!(changes - 3, gates(&READY).len(), "a gate has no case");
}

/// No evidence is never turned into a yes or a no.
#[test]
fn missing_evidence_comes_before_everything_else() {
    let both = verdict_of(|m| (m.days, m.upper_ppb, m.abusive) = (1, u64::MAX, 0));
    assert_eq!(both, Verdict::InsufficientEvidence);
}
