// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports made by hand, for the tests of the renderers: numbers that a site could have, no
//! claim that the engine would say the same.

mod parts;
mod talk;

use ibsr_proto::conservation::Totals;
use ibsr_replay::fold::counts::Counts;
use ibsr_replay::fold::timeline::Why;
use ibsr_replay::judge::label::Label;
use ibsr_replay::model::{
    Capture, Coverage, Decision, GapRow, GateKind, Impact, Input, LabelBasis, Law, Loss, Period,
    Plan, Population, PortRow, Refused, Rejected, Report, SCHEMA, Sensitivity, SourceRow,
    StreamRow, Surface, Unit, Verdict, ViolationRow,
};

use parts::{
    CANDIDATE, affected, bound, capture, days, gate, gates, prefix, rules, series, settings, share,
    surface,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 2026-11-08T00:00:00Z.
const START_UNIX_MS: u64 = 1_794_096_000_000;
/// What a file could hold to do harm.
pub const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J|`\"'[x](http://evil.test)\u{202e}";

/// One for each verdict, and one without any data.
pub fn all() -> Vec<Report> {
    vec![empty(), insufficient(), not_ready(), provisional(), no_benefit(), canary(), ready()]
}

/// Nothing was read.
pub fn empty() -> Report {
    Report {
        schema: SCHEMA,
        tool: "ibsr-report 0.1.0".into(),
        generated_at: "2026-11-22T15:00:00Z".into(),
        is_whole: false,
        decision: Decision {
            verdict: Verdict::InsufficientEvidence,
            canary_percent: None,
            reasons: vec!["there is no data".into()],
            sentence: "Nothing was observed, so nothing can be said.".into(),
            gates: vec![gate("days", GateKind::Evidence, None, 7, true, Unit::Days)],
            plan: None,
        },
        settings: settings(),
        rules: Vec::new(),
        is_provisional: false,
        candidate: String::new(),
        surface: Surface { clusters: bound(0, 0), ..Surface::default() },
        capture: Capture::default(),
        impact: Impact { bucket_ms: HOUR_MS, ..Impact::default() },
        sensitivity: Vec::new(),
        days: Vec::new(),
        input: Input::default(),
        period: Period::default(),
        totals: Totals::default(),
        loss: Loss::default(),
        coverage: Coverage::default(),
        law: Law::default(),
        population: Population::default(),
        label_basis: LabelBasis::default(),
        sources: Vec::new(),
        shown: 20,
        streams: Vec::new(),
        talks: None,
        gaps: Vec::new(),
    }
}

/// Two hours of one host with a flood: what the demo sees.
pub fn insufficient() -> Report {
    let mut report = observed(2, 23);
    let gates = &mut report.decision.gates;
    gates[3] = gate("days", GateKind::Evidence, Some(1), 7, true, Unit::Days);
    gates[4] = gate("clusters", GateKind::Evidence, Some(23), 2995, true, Unit::Count);
    report.decision.verdict = Verdict::InsufficientEvidence;
    report.decision.reasons =
        vec!["1 day of data, 7 are needed".into(), "23 clusters, 2995 are needed".into()];
    report.decision.plan = Some(Plan {
        needed_clusters: 2995,
        have_clusters: 23,
        clusters_per_day_milli: 430_000,
        more_days_milli: Some(6_911),
        more_whole_days: 6,
        sentence: "At 430 new legitimate clusters a day, 7 more days are needed to show 0.1 %."
            .into(),
    });
    report
}

/// Two weeks, and rules that would hurt.
pub fn not_ready() -> Report {
    let mut report = observed(14 * 24, 5_211);
    report.decision.verdict = Verdict::NotReady;
    report.surface.clusters = bound(9, 5_211);
    report.surface.affected = 9;
    report.surface.top = (1..=9).map(affected).collect();
    report.surface.largest_prefix = Some("198.18.0.0/16".into());
    report.surface.largest_prefix_ppm = Some(222_222);
    report.decision.gates[5] = gate(
        "false_positive_bound",
        GateKind::Safety,
        Some(3_011_000),
        1_000_000,
        false,
        Unit::Ppb,
    );
    report.decision.reasons = vec![
        "the bound on affected clusters is 0.302 %, above 0.1 %".into(),
        "one prefix holds 22.22 % of the affected sources".into(),
    ];
    report
}

/// Two quiet weeks.
pub fn no_benefit() -> Report {
    let mut report = observed(14 * 24, 5_211);
    report.decision.verdict = Verdict::NoBenefit;
    report.decision.reasons = vec!["no abusive source was seen".into()];
    report.capture = Capture::default();
    report
}

/// Two weeks in which no threshold of any rule was shown to be safe.
pub fn provisional() -> Report {
    let mut report = not_ready();
    report.is_provisional = true;
    for rule in &mut report.rules {
        (rule.chosen, rule.is_candidate) = (None, false);
        rule.why_not = Some("no threshold of it was shown to be safe".into());
    }
    report
}

/// Two weeks with proxy labels.
pub fn canary() -> Report {
    let mut report = observed(14 * 24, 5_211);
    report.decision.verdict = Verdict::ReadyCanary;
    report.decision.canary_percent = Some(5);
    report.decision.reasons = vec!["labels are a proxy".into()];
    report.is_whole = true;
    report
}

/// After the trial.
pub fn ready() -> Report {
    let mut report = canary();
    report.decision.verdict = Verdict::Ready;
    report.decision.canary_percent = None;
    report.decision.reasons.clear();
    report.settings.is_canary_done = true;
    report.settings.is_label_independent = true;
    report.label_basis = LabelBasis {
        stream_days: 42,
        stream_days_covered: 42,
        sources: 61_220,
        handshakes: 900_000,
        handshakes_known: 899_000,
        connections: 899_412,
        connections_both_ways: 870_000,
    };
    report.talks = Some(talk::talks(str::to_owned));
    report
}

/// Every text that a file can set is hostile.
pub fn hostile() -> Report {
    let mut report = not_ready();
    let bad = || HOSTILE.to_owned();
    for stream in &mut report.streams {
        stream.host = bad();
        stream.scope = bad();
        stream.boot_id = bad();
        stream.evidence = vec![bad()];
        stream.program_sha256 = vec![bad()];
    }
    for gap in &mut report.gaps {
        (gap.host, gap.scope, gap.segment) = (bad(), bad(), Some(bad()));
    }
    for row in &mut report.surface.top {
        row.why = format!("={HOSTILE}");
    }
    report.decision.reasons = vec![bad()];
    report.surface.largest_prefix = Some(bad());
    report.input.refused = vec![Refused { segment: bad(), reason: bad() }];
    report.input.segments_refused = 1;
    report.input.rejected = vec![Rejected { segment: bad(), line: 7, reason: bad() }];
    report.input.rows_rejected = 1;
    report.talks = Some(talk::talks(|_| HOSTILE.to_owned()));
    report.law.violations = 1;
    report.law.examples = vec![ViolationRow { host: bad(), scope: bad(), seq: 3, reason: bad() }];
    report
}

fn observed(hours: u64, clusters: u64) -> Report {
    let mut report = empty();
    let series = series(hours);
    let syn: u64 = series.iter().map(|row| row.syn).sum();
    let syn_acted: u64 = series.iter().map(|row| row.syn_acted).sum();
    report.decision.sentence = format!(
        "On held-out traffic of {} days, 0 of {clusters} legitimate source clusters (UNKNOWN \
         counted as legitimate) would have been affected by rule set 5f2a5f2a. With 95 % \
         confidence the true share is below {}, if future traffic resembles the held-out days \
         and the labels are right. Coverage was 99.99 %.",
        hours.div_ceil(24),
        super::units::bound(bound(0, clusters).upper_ppb)
    );
    report.decision.gates = gates(clusters);
    report.rules = rules(clusters);
    report.candidate = CANDIDATE.into();
    report.surface = surface(clusters);
    report.capture = capture();
    report.impact = Impact {
        packets: share(syn_acted, syn * 9),
        bytes: share(syn_acted * 60, syn * 9 * 400),
        syn: share(syn_acted, syn),
        handshakes: share(0, syn / 2),
        worst_hour_packets: share(2_328_000, 5_100_000),
        worst_hour_unix_ms: Some(START_UNIX_MS + HOUR_MS),
        ports: [(443, 9_000_000), (80, 2_400_000), (8443, 12)]
            .map(|(port, acted)| PortRow { port, syn_acted: acted, packets_acted: acted })
            .to_vec(),
        prefixes: (0..14).map(prefix).collect(),
        series,
        bucket_ms: HOUR_MS,
    };
    report.sensitivity = [30, 50, 70]
        .map(|completed_percent| Sensitivity {
            completed_percent,
            known: bound(0, clusters * 9 / 10 - completed_percent.min(clusters / 2)),
            with_unknown: bound(0, clusters),
        })
        .to_vec();
    report.days = days(hours, clusters);
    seen(&mut report, hours, syn);
    report
}

fn seen(report: &mut Report, hours: u64, syn: u64) {
    let end = START_UNIX_MS + hours * HOUR_MS;
    let totals = Totals {
        received: syn * 9 + 500,
        passed: syn * 9 + 500,
        tracked: syn * 9,
        other_l4: 500,
        ..Totals::default()
    };
    report.period = Period {
        from_unix_ms: Some(START_UNIX_MS),
        to_unix_ms: Some(end),
        timed_ms: 3 * hours * HOUR_MS,
        untimed_ms: 2 * HOUR_MS,
    };
    report.totals = totals;
    report.input = Input {
        segments_found: 1008,
        segments_used: 1008,
        bytes: 9_000_000_000,
        sweeps: 362_880,
        rows: 41_000_000,
        ..Input::default()
    };
    report.loss = Loss {
        seen_packets: syn * 9,
        unseen_packets: 40,
        unseen_ppm: Some(0),
        evicted_packets: 110,
        evicted_ppm: Some(12),
        ..Loss::default()
    };
    report.coverage =
        Coverage { passed_packets: syn * 9, received_packets: syn * 9 + 3, ppm: Some(999_912) };
    report.law = Law { sweeps_checked: 362_880, ..Law::default() };
    report.population = Population {
        count: 61_220,
        legitimate: 58_000,
        abusive: 321,
        spoofable: 1_000,
        unknown: 1_899,
        counts: Counts { syn, ..Counts::default() },
    };
    report.sources = (1..=30).map(source).collect();
    report.streams =
        ["web-1", "web-2", "edge-frankfurt-01"].map(|host| stream(host, end, totals)).to_vec();
    let gap = |host: &str, from: u64, to: u64, reason| GapRow {
        host: host.into(),
        scope: "xdp-eth0".into(),
        from_unix_ms: START_UNIX_MS + from * HOUR_MS,
        to_unix_ms: START_UNIX_MS + to * HOUR_MS,
        from_boot_ns: Some(from * HOUR_MS * 1_000_000),
        to_boot_ns: Some(to * HOUR_MS * 1_000_000),
        reason,
        segment: None,
    };
    if hours > 120 {
        report.gaps = vec![gap("web-1", 100, 102, Why::Missing), gap("web-2", 201, 207, Why::Disk)];
    }
}

fn source(number: u64) -> SourceRow {
    SourceRow {
        src: affected(number).src,
        label: Label::Abusive,
        counts: Counts {
            syn: 900_000 / number,
            packets: 900_000 / number,
            bytes: 54_000_000,
            ..Counts::default()
        },
        ports: 2,
        untimed_syn: 0,
        peak_window_syn: Some(9_000),
        peak_syn_ps: Some(900),
        peak_at_unix_ms: Some(START_UNIX_MS + HOUR_MS),
        syn_acted: 800_000 / number,
        packets_acted: 800_000 / number,
    }
}

fn stream(host: &str, end: u64, totals: Totals) -> StreamRow {
    StreamRow {
        host: host.into(),
        scope: "xdp-eth0".into(),
        boot_id: "0af3c9d1-5b1e-4c7a-9d30-6f2b8f1c2a44".into(),
        epoch: "00c0ffee00c0ffee".into(),
        program_sha256: vec!["9c41".repeat(16)],
        evidence: vec!["frozen".into()],
        sweeps: 120_960,
        from_unix_ms: Some(START_UNIX_MS),
        to_unix_ms: Some(end),
        totals,
    }
}
