// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports made by hand, for the tests of the renderers: numbers that a site could have, no
//! claim that the engine would say the same.

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::conservation::Totals;
use ibsr_replay::fold::counts::Counts;
use ibsr_replay::fold::timeline::Why;
use ibsr_replay::judge::label::Label;
use ibsr_replay::model::{
    AffectedRow, Bound, BucketRow, Capture, Coverage, DayRow, Decision, GapRow, Gate, GateKind,
    Impact, Input, Law, Loss, Period, Plan, Population, PortRow, PrefixRow, Refused, Rejected,
    Report, RuleRow, SCHEMA, Sensitivity, Settings, Share, SourceRow, Step, StreamRow, Surface,
    Threshold, TtlRow, Unit, Verdict, ViolationRow,
};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// 2026-11-08T00:00:00Z.
const START_UNIX_MS: u64 = 1_794_096_000_000;
/// What a file could hold to do harm.
pub const HOSTILE: &str = "<script>alert(1)</script>\u{1b}[2J|`\"'[x](http://evil.test)\u{202e}";

/// One for each verdict, and one without any data.
pub fn all() -> Vec<Report> {
    vec![empty(), insufficient(), not_ready(), no_benefit(), canary(), ready()]
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
        sources: Vec::new(),
        shown: 20,
        streams: Vec::new(),
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
    report.law.violations = 1;
    report.law.examples = vec![ViolationRow { host: bad(), scope: bad(), seq: 3, reason: bad() }];
    report
}

fn settings() -> Settings {
    Settings {
        window_ms: 10_000,
        rules_sha256: "5f2a".repeat(16),
        look: 1,
        alpha_ppb: 50_000_000,
        limit_ppb: 1_000_000,
        connection_limit_ppb: 100_000,
        labels: "a handshake for every second SYN is legitimate, none of 20 SYN abusive",
        is_label_independent: false,
        is_canary_done: false,
    }
}

/// `is_minimum` and the value decide whether it passed.
fn gate(
    name: &'static str,
    kind: GateKind,
    value: Option<u64>,
    limit: u64,
    is_minimum: bool,
    unit: Unit,
) -> Gate {
    let is_passed = value.is_some_and(|v| if is_minimum { v >= limit } else { v <= limit });
    let asks = match name {
        "days" => "Days with data",
        "clusters" => "Legitimate clusters in held-out days",
        "coverage" => "Packets that the program saw, of those received",
        "evicted" => "Packets evicted before a sweep saw them",
        "gaps" => "Time without rates",
        "false_positive_bound" => "Affected legitimate clusters, upper bound",
        "connections" => "Affected connections, upper bound",
        "capture" => "Packets of abusive sources acted on",
        _ => "Trial ended within its budget",
    };
    Gate { name, kind, value, limit, is_minimum, unit, is_passed, asks }
}

fn bound(k: u64, n: u64) -> Bound {
    let point_ppb = (k * 1_000_000_000).checked_div(n);
    // Poisson limits are close enough for a picture: 3.0 at k = 0, 15.7 at k = 9.
    let upper_ppb = ((3 * k / 2 + 3) * 1_000_000_000).checked_div(n).unwrap_or(1_000_000_000);
    let upper_ppb = upper_ppb.min(1_000_000_000);
    Bound { k, n, point_ppb, upper_ppb, wilson_ppb: upper_ppb * 9 / 10, alpha_ppb: 50_000_000 }
}

fn share(part: u64, whole: u64) -> Share {
    let ppm = (part * 1_000_000).checked_div(whole);
    Share { part, whole, ppm, at_most_ppm: ppm.map(|ppm| ppm + 12) }
}

/// A quantity that goes up and down over the day.
fn daily(hour: u64, mean: u64) -> u64 {
    let phase = (hour % 24) as f64 / 24.0 * std::f64::consts::TAU;
    let jitter = hour.wrapping_mul(2_654_435_761) % 97;
    (mean as f64 * (1.0 - 0.55 * phase.cos())) as u64 + mean * jitter / 400
}

fn is_attack(hour: u64) -> bool {
    matches!(hour % 336, 61..=66 | 190..=192) || hour == 1
}

fn series(hours: u64) -> Vec<BucketRow> {
    let bucket = |hour: u64| {
        let flood = if is_attack(hour) { 2_400_000 } else { 0 };
        let syn = daily(hour, 540_000) + flood;
        BucketRow {
            at_unix_ms: START_UNIX_MS + hour * HOUR_MS,
            syn,
            packets: syn * 9,
            syn_acted: flood * 97 / 100,
            packets_acted: flood,
        }
    };
    // Two hours without frames are left out, as the engine does.
    (0..hours).filter(|hour| !matches!(hour, 100..=101)).map(bucket).collect()
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

fn gates(clusters: u64) -> Vec<Gate> {
    use GateKind::{Benefit, Evidence, Safety, Trial};
    vec![
        gate("coverage", Evidence, Some(999_912), 999_000, true, Unit::Ppm),
        gate("evicted", Evidence, Some(12), 1_000, false, Unit::Ppm),
        gate("gaps", Evidence, Some(5_950), 10_000, false, Unit::Ppm),
        gate("days", Evidence, Some(14), 7, true, Unit::Days),
        gate("clusters", Evidence, Some(clusters), 2_995, true, Unit::Count),
        gate(
            "false_positive_bound",
            Safety,
            Some(bound(0, clusters).upper_ppb),
            1_000_000,
            false,
            Unit::Ppb,
        ),
        gate("connections", Safety, Some(4_112), 100_000, false, Unit::Ppb),
        gate("capture", Benefit, Some(968_000), 100_000, true, Unit::Ppm),
        gate("canary", Trial, Some(0), 1, true, Unit::Count),
    ]
}

const CANDIDATE: &str = "[[rule]]\nname = \"dead_syn\"\nwhen = [\"syn_ps >= 50\", \"handshake_ratio_ppm <= 10000\"]\nfor = { k = 3, of = 3 }\nthen = \"drop_syn\"\nttl_s = 300\n";

fn rules(clusters: u64) -> Vec<RuleRow> {
    let grid = [400, 200, 100, 50, 20, 10];
    let steps = |refused_at: usize, clusters: u64| {
        let step = |(index, value): (usize, &u64)| Step {
            threshold: Threshold { index, value: Some(*value) },
            clusters: bound(
                if index >= refused_at { 1 << (index - refused_at + 2) } else { 0 },
                clusters,
            ),
            capture_ppm: Some([420_000, 718_000, 902_000, 968_000, 981_000, 987_000][index]),
            is_tried: index <= refused_at,
            is_accepted: index < refused_at,
        };
        grid.iter().enumerate().map(step).collect::<Vec<_>>()
    };
    let ttl = |ttl_s, capture, again| TtlRow {
        ttl_s,
        capture_ppm: Some(capture),
        again_ppm: Some(again),
    };
    let rule = |name: &str, refused_at, spoofable: u64| RuleRow {
        name: name.into(),
        text: CANDIDATE.replace("dead_syn", name),
        action: "drop_syn",
        grid_metric: Some("syn_ps"),
        chosen: Some(Threshold { index: 3, value: Some(50) }),
        is_candidate: true,
        why_not: None,
        path: steps(refused_at, clusters),
        legitimate_acted: 0,
        abusive_acted: 311,
        spoofable_acted: spoofable,
        unknown_acted: 0,
        spoofable_ppm: Some(spoofable * 1_000_000 / (311 + spoofable)),
        syn: share(11_640_000, 270_000_000),
        packets: share(12_100_000, 2_500_000_000),
        ttl: vec![ttl(60, 911_000, 412_000), ttl(300, 968_000, 102_000), ttl(3600, 981_000, 9_000)],
        shortest_ttl_s: Some(300),
    };
    let why = "more than half of its sources never proved that they exist; use SYN cookies";
    let spoofed = RuleRow {
        chosen: None,
        is_candidate: false,
        why_not: Some(why.into()),
        ..rule("scan", 2, 2_941)
    };
    let single =
        RuleRow { grid_metric: None, path: Vec::new(), ttl: Vec::new(), ..rule("churn", 9, 0) };
    vec![rule("dead_syn", 4, 2), spoofed, rule("rst_storm", 6, 0), single]
}

fn affected(number: u64) -> AffectedRow {
    let octets = [198, 18, number as u8, 9];
    AffectedRow {
        src: SourceAddr::from(std::net::IpAddr::from(octets)),
        label: if number % 3 == 0 { Label::Unknown } else { Label::Legitimate },
        counts: Counts {
            syn: 1200 * number,
            packets: 9000,
            bytes: 7_000_000,
            handshakes: 700,
            ..Counts::default()
        },
        rules: vec!["dead_syn".into()],
        days: vec!["2026-11-10".into(), "2026-11-11".into()],
        syn_acted: 310 + number,
        packets_acted: 320 + number,
        handshakes_acted: number,
        peak_window_syn: Some(612),
        why: "retried a SYN 61 times a second for 40 s while its own network lost the answers"
            .into(),
    }
}

fn surface(clusters: u64) -> Surface {
    Surface {
        clusters: bound(0, clusters),
        clusters_known: bound(0, clusters * 9 / 10),
        clusters_rolling: bound(0, clusters),
        connections: bound(0, clusters * 140),
        packets: share(0, 2_400_000_000),
        bytes: share(0, 960_000_000_000),
        worst_day: Some("2026-11-12".into()),
        worst_day_ppb: Some(0),
        largest_prefix_ppm: None,
        largest_prefix: None,
        allow_listed: 0,
        blast_radius: 3,
        affected: 0,
        top: Vec::new(),
    }
}

fn capture() -> Capture {
    Capture {
        sources: 321,
        sources_acted: 311,
        packets: share(12_100_000, 12_500_000),
        packets_dropped: share(11_900_000, 12_100_000),
        time_to_act_median_ms: Some(50_000),
        time_to_act_p95_ms: Some(70_000),
        peak_syn_before_mps: Some(983_412),
        peak_syn_after_mps: Some(171_090),
        top: (1..=40)
            .map(|number| AffectedRow { label: Label::Abusive, ..affected(number) })
            .collect(),
    }
}

fn prefix(number: u64) -> PrefixRow {
    PrefixRow {
        prefix: format!("203.0.{number}.0/24"),
        sources: 9,
        sources_acted: 8,
        legitimate_acted: 0,
        packets_acted: 900_000 / (number + 1),
    }
}

fn days(hours: u64, clusters: u64) -> Vec<DayRow> {
    let count = hours.div_ceil(24);
    let day = |number: u64| DayRow {
        date: crate::clock::text(START_UNIX_MS + number * DAY_MS)[..10].to_owned(),
        is_held_out: number > 0,
        new_clusters: if number > 0 { clusters / count } else { 0 },
        affected: 0,
        affected_rolling: 0,
        sources: 12_000 + number * 31,
        syn: 12_960_000,
        syn_acted: 0,
        timed_ms: 3 * DAY_MS - if number == 4 { 2 * HOUR_MS } else { 0 },
        untimed_ms: if number == 4 { 2 * HOUR_MS } else { 0 },
    };
    (0..count).map(day).collect()
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
