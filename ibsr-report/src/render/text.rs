// SPDX-License-Identifier: MIT OR Apache-2.0
//! Text for people. No verdict: it says what was seen and what a rule would have done.

use std::fmt::{Display, Write as _};

use ibsr_cli::{format_bytes, table};

use crate::clock;
use ibsr_replay::v1::model::{Report, RuleOutcome, SourceRow};

/// Rows of a list before it is cut, with a line that says so.
const MAX_LISTED: usize = 20;
const UNKNOWN: &str = "-";

/// The whole report.
#[must_use]
pub fn report(report: &Report) -> String {
    let mut out = String::new();
    summary(report, &mut out);
    frames(report, &mut out);
    busiest(report, &mut out);
    rule(&report.rule, &mut out);
    gaps(report, &mut out);
    unusable(report, &mut out);
    out
}

/// Only its busiest sources.
#[must_use]
pub fn sources(report: &Report) -> String {
    let mut out = String::new();
    if !report.is_whole {
        line(&mut out, "some of the input could not be used: `ibsr-report run` says what");
    }
    put(&mut out, source_table(report.shown(), report.rule.rule.window_ms));
    out
}

fn line(out: &mut String, text: impl AsRef<str>) {
    out.push_str(text.as_ref());
    out.push('\n');
}

fn summary(report: &Report, out: &mut String) {
    let Report { input, period, coverage, law, loss, population, .. } = report;
    line(out, format!("IBSR report of {} ({})", report.generated_at, report.tool));
    line(out, "");
    let mut entry = |name: &str, text: String| line(out, format!("{name:<12}{text}"));
    match (period.from_unix_ms, period.to_unix_ms) {
        (Some(from), Some(to)) => {
            entry("Observed", format!("{} to {}", clock::text(from), clock::text(to)));
        }
        _ => entry("Observed", "nothing: there is no sweep in the inputs".to_owned()),
    }
    let (timed_ms, untimed_ms) = (period.timed_ms, period.untimed_ms);
    entry("With rates", format!("{}, {} without", duration(timed_ms), duration(untimed_ms)));
    entry(
        "Input",
        format!(
            "{}, {}, {}, {}",
            count(input.segments_used, "segment"),
            count(input.sweeps, "sweep"),
            count(input.rows, "row"),
            format_bytes(input.bytes)
        ),
    );
    entry(
        "Not used",
        format!(
            "{}, {}; copies: {}, {}; of unknown types: {}",
            count(input.segments_refused, "segment"),
            count(input.rows_rejected, "row"),
            count(input.segments_copied, "segment"),
            count(input.sweeps_duplicate, "sweep"),
            count(input.rows_unknown, "row")
        ),
    );
    entry(
        "Coverage",
        match coverage.ppm {
            Some(ppm) => format!("{} of the packets that the interfaces received", percent(ppm)),
            None => "unknown: the interfaces' own counters are in no two sweeps".to_owned(),
        },
    );
    entry(
        "Law",
        match law.violations {
            0 => format!("holds in {}", count(law.sweeps_checked, "sweep")),
            broken => format!(
                "BROKEN {} in {}",
                count(broken, "time"),
                count(law.sweeps_checked, "sweep")
            ),
        },
    );
    entry(
        "Loss",
        format!(
            "{} in no row of a source; {} evicted ({})",
            count(loss.unseen_packets, "packet"),
            loss.evicted_packets,
            loss.evicted_ppm.map_or_else(|| UNKNOWN.to_owned(), percent)
        ),
    );
    entry(
        "Sources",
        format!(
            "{}: {} legitimate, {} abusive, {} spoofable, {} unknown (by XDP counters alone)",
            population.count,
            population.legitimate,
            population.abusive,
            population.spoofable,
            population.unknown
        ),
    );
}

fn frames(report: &Report, out: &mut String) {
    let t = &report.totals;
    heading(out, "Frames since the epochs began");
    let mut frames = table(&["outcome", "packets"], &[1]);
    for (name, value) in [
        ("tracked", t.tracked),
        ("other port", t.other_port),
        ("other transport", t.other_l4),
        ("fragments", t.fragments),
        ("malformed", t.malformed),
        ("not IP", t.non_ip),
        ("passed", t.passed),
        ("received", t.received),
    ] {
        frames.add_row([name.to_owned(), value.to_string()]);
    }
    put(out, frames);
    if report.loss.untimed_packets > 0 {
        let untimed = report.loss.untimed_packets;
        line(
            out,
            format!(
                "{untimed} tracked packets were counted before the first sweep or over a gap: they are in every total and in no rate."
            ),
        );
    }
}

fn busiest(report: &Report, out: &mut String) {
    heading(
        out,
        &format!("Busiest sources: {} of {}", report.shown().len(), report.population.count),
    );
    put(out, source_table(report.shown(), report.rule.rule.window_ms));
}

fn source_table(rows: &[SourceRow], window_ms: u64) -> impl Display + use<> {
    let names =
        ["source", "label", "SYN", "SYN/s peak", "handshakes", "RST", "packets", "bytes", "ports"];
    let mut table = table(&names, &[2, 3, 4, 5, 6, 7, 8]);
    for row in rows {
        table.add_row([
            row.src.to_string(),
            row.label.as_str().to_owned(),
            row.counts.syn.to_string(),
            row.peak_window_syn.map_or_else(|| UNKNOWN.to_owned(), |syn| rate(syn, window_ms)),
            row.counts.handshakes.to_string(),
            row.counts.rst.to_string(),
            row.counts.packets.to_string(),
            row.counts.bytes.to_string(),
            row.ports.to_string(),
        ]);
    }
    table
}

fn rule(outcome: &RuleOutcome, out: &mut String) {
    let rule = &outcome.rule;
    heading(
        out,
        &format!(
            "What `{}` at {} SYN/s or more in {} windows of {} in a row would have acted on, for {}",
            rule.action,
            rule.syn_ps,
            rule.windows,
            duration(rule.window_ms),
            duration(rule.ttl_ms)
        ),
    );
    let share = outcome.syn_acted_ppm.map_or_else(|| UNKNOWN.to_owned(), percent);
    line(
        out,
        format!(
            "{} of {} SYN with a rate ({share}), from {}, with {} completed meanwhile.",
            outcome.syn_acted,
            outcome.syn_timed,
            count(outcome.sources_acted, "source"),
            count(outcome.handshakes_acted, "handshake")
        ),
    );
    line(
        out,
        format!(
            "Legitimate sources acted on: {} of {}; with unknown ones counted as legitimate: {} of {}.",
            outcome.legitimate_acted,
            outcome.legitimate,
            outcome.legitimate_or_unknown_acted,
            outcome.legitimate_or_unknown
        ),
    );
    if outcome.acted.is_empty() {
        return;
    }
    let names =
        ["source", "label", "SYN", "SYN acted on", "handshakes", "windows", "first", "last"];
    let mut acted = table(&names, &[2, 3, 4, 5]);
    for row in outcome.acted.iter().take(MAX_LISTED) {
        acted.add_row([
            row.src.to_string(),
            row.label.as_str().to_owned(),
            row.syn.to_string(),
            row.syn_acted.to_string(),
            row.handshakes_acted.to_string(),
            row.windows_acted.to_string(),
            clock::text(row.first_unix_ms),
            clock::text(row.last_unix_ms),
        ]);
    }
    put(out, acted);
    more(out, outcome.sources_acted, "sources");
}

fn gaps(report: &Report, out: &mut String) {
    if report.gaps.is_empty() {
        return;
    }
    heading(out, "Gaps: counts are whole, rates are not known");
    let mut gaps = table(&["host", "scope", "from", "to", "reason", "segment"], &[]);
    for gap in report.gaps.iter().take(MAX_LISTED) {
        gaps.add_row([
            gap.host.clone(),
            gap.scope.clone(),
            clock::text(gap.from_unix_ms),
            clock::text(gap.to_unix_ms),
            gap.reason.as_str().to_owned(),
            gap.segment.clone().unwrap_or_default(),
        ]);
    }
    put(out, gaps);
    more(out, report.gaps.len() as u64, "gaps");
}

fn unusable(report: &Report, out: &mut String) {
    let Report { input, law, .. } = report;
    if input.refused.is_empty() && input.rejected.is_empty() && law.examples.is_empty() {
        return;
    }
    heading(out, "What could not be used, or does not add up");
    for refused in &input.refused {
        line(out, format!("{}: {}", shown(&refused.segment), shown(&refused.reason)));
    }
    more(out, input.segments_refused, "segments");
    for rejected in &input.rejected {
        let (segment, reason) = (shown(&rejected.segment), shown(&rejected.reason));
        line(out, format!("{segment}:{}: {reason}", rejected.line));
    }
    more(out, input.rows_rejected, "rows");
    for broken in &law.examples {
        line(
            out,
            format!("{} {} sweep {}: {}", broken.host, broken.scope, broken.seq, broken.reason),
        );
    }
    more(out, law.violations, "violations");
}

/// What came from a file is shown without anything that a terminal would act on.
fn shown(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn heading(out: &mut String, text: &str) {
    line(out, "");
    line(out, text);
}

fn more(out: &mut String, count: u64, what: &str) {
    if let Some(left) = count.checked_sub(MAX_LISTED as u64).filter(|left| *left > 0) {
        line(out, format!("... and {left} more {what}"));
    }
}

/// Without the blanks that the table leaves at the ends of lines.
fn put(out: &mut String, table: impl Display) {
    for row in table.to_string().lines() {
        writeln!(out, "{}", row.trim_end()).expect("a string can be written");
    }
}

fn percent(ppm: u64) -> String {
    format!("{}.{:02} %", ppm / 10_000, ppm % 10_000 / 100)
}

/// Per second with one decimal.
fn rate(count: u64, window_ms: u64) -> String {
    let tenths = u128::from(count) * 10_000 / u128::from(window_ms);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn duration(ms: u64) -> String {
    let (large, small, units) = match ms {
        0..1000 => return format!("{ms} ms"),
        1000..60_000 => (ms / 1000, ms % 1000, ("s", "ms")),
        60_000..3_600_000 => (ms / 60_000, ms % 60_000 / 1000, ("min", "s")),
        _ => (ms / 3_600_000, ms % 3_600_000 / 60_000, ("h", "min")),
    };
    match small {
        0 => format!("{large} {}", units.0),
        _ => format!("{large} {} {small} {}", units.0, units.1),
    }
}

/// `1 row`, `2 rows`.
fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people_keep_their_unit() {
        assert_eq!(duration(0), "0 ms");
        assert_eq!(duration(10_000), "10 s");
        assert_eq!(duration(90_500), "1 min 30 s");
        assert_eq!(duration(7_260_000), "2 h 1 min");
        assert_eq!(percent(1_000_000), "100.00 %");
        assert_eq!(percent(999_999), "99.99 %");
        assert_eq!(rate(2, 10_000), "0.2");
        assert_eq!(rate(u64::MAX, 1), "18446744073709551615000.0");
        assert_eq!((count(1, "row"), count(0, "row")), ("1 row".to_owned(), "0 rows".to_owned()));
    }

    /// A file may hold anything; a terminal acts on escape sequences.
    #[test]
    fn what_comes_from_a_file_cannot_steer_a_terminal() {
        assert_eq!(shown("a\u{1b}[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
    }
}
