// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pieces that the samples are made of.

use ibsr_proto::addr::SourceAddr;
use ibsr_replay::fold::counts::Counts;
use ibsr_replay::judge::label::Label;
use ibsr_replay::model::{
    AffectedRow, Bound, BucketRow, Capture, DayRow, Gate, GateKind, PrefixRow, RuleRow, Settings,
    Share, Step, Surface, Threshold, TtlRow, Unit,
};

use super::{DAY_MS, HOUR_MS, START_UNIX_MS};

pub(super) fn settings() -> Settings {
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
pub(super) fn gate(
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

pub(super) fn bound(k: u64, n: u64) -> Bound {
    let point_ppb = (k * 1_000_000_000).checked_div(n);
    // Poisson limits are close enough for a picture: 3.0 at k = 0, 15.7 at k = 9.
    let upper_ppb = ((3 * k / 2 + 3) * 1_000_000_000).checked_div(n).unwrap_or(1_000_000_000);
    let upper_ppb = upper_ppb.min(1_000_000_000);
    Bound { k, n, point_ppb, upper_ppb, wilson_ppb: upper_ppb * 9 / 10, alpha_ppb: 50_000_000 }
}

pub(super) fn share(part: u64, whole: u64) -> Share {
    let ppm = (part * 1_000_000).checked_div(whole);
    Share { part, whole, ppm, at_most_ppm: ppm.map(|ppm| ppm + 12) }
}

/// A quantity that goes up and down over the day.
pub(super) fn daily(hour: u64, mean: u64) -> u64 {
    let phase = (hour % 24) as f64 / 24.0 * std::f64::consts::TAU;
    let jitter = hour.wrapping_mul(2_654_435_761) % 97;
    (mean as f64 * (1.0 - 0.55 * phase.cos())) as u64 + mean * jitter / 400
}

pub(super) fn is_attack(hour: u64) -> bool {
    matches!(hour % 336, 61..=66 | 190..=192) || hour == 1
}

pub(super) fn series(hours: u64) -> Vec<BucketRow> {
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

pub(super) fn gates(clusters: u64) -> Vec<Gate> {
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

pub(super) const CANDIDATE: &str = "[[rule]]\nname = \"dead_syn\"\nwhen = [\"syn_ps >= 50\", \"handshake_ratio_ppm <= 10000\"]\nfor = { k = 3, of = 3 }\nthen = \"drop_syn\"\nttl_s = 300\n";

pub(super) fn rules(clusters: u64) -> Vec<RuleRow> {
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

pub(super) fn affected(number: u64) -> AffectedRow {
    let octets = [198, 18, number as u8, 9];
    AffectedRow {
        src: SourceAddr::from(std::net::IpAddr::from(octets)),
        label: if number.is_multiple_of(3) { Label::Unknown } else { Label::Legitimate },
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

pub(super) fn surface(clusters: u64) -> Surface {
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

pub(super) fn capture() -> Capture {
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

pub(super) fn prefix(number: u64) -> PrefixRow {
    PrefixRow {
        prefix: format!("203.0.{number}.0/24"),
        sources: 9,
        sources_acted: 8,
        legitimate_acted: 0,
        packets_acted: 900_000 / (number + 1),
    }
}

pub(super) fn days(hours: u64, clusters: u64) -> Vec<DayRow> {
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
