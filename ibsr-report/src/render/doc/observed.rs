// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was observed and what was not: time, gaps, losses, files, frames, programs.

use ibsr_replay::model::{DayRow, GapRow, Input, Report, StreamRow};

use super::{Block, Cell, Chart, Fact, Section, Style, fact, numbers, or_nothing, units, words};
use crate::clock;

/// Time and packets that the report speaks for.
pub(super) fn coverage(report: &Report, style: Style) -> Section {
    let mut blocks = vec![Block::Facts(coverage_facts(report, style))];
    if report.streams.iter().any(|stream| stream.from_unix_ms < stream.to_unix_ms) {
        blocks.push(Block::Chart(Chart::Coverage));
    } else {
        blocks.push(Block::Say("There is no chart: no two sweeps of one scope are here.".into()));
    }
    if report.gaps.is_empty() {
        blocks.push(Block::Say("There are no gaps.".into()));
    } else {
        let columns = [
            words("host"),
            words("scope"),
            words("from"),
            words("to"),
            numbers("lasted"),
            words("reason"),
            words("segment"),
        ];
        let row = |gap: &GapRow| {
            vec![
                Cell::code(&gap.host),
                Cell::code(&gap.scope),
                Cell::Time(clock::text(gap.from_unix_ms)),
                Cell::Time(clock::text(gap.to_unix_ms)),
                Cell::Number(units::duration(gap.to_unix_ms.saturating_sub(gap.from_unix_ms))),
                Cell::text(gap.reason.as_str()),
                gap.segment.as_ref().map_or_else(|| Cell::text(""), Cell::code),
            ]
        };
        let caption = "Gaps: counts are whole, rates are not known";
        blocks.push(style.cut(caption, &columns, (&report.gaps, 0), row));
    }
    if !report.days.is_empty() {
        blocks.push(days(report, style));
    }
    Section { id: "coverage", title: "Coverage and gaps", is_summary: true, blocks }
}

fn coverage_facts(report: &Report, style: Style) -> Vec<Fact> {
    let (period, loss, law) = (&report.period, &report.loss, &report.law);
    let holds = match law.violations {
        0 => format!("holds in {}", style.plural(law.sweeps_checked, "sweep")),
        broken => format!(
            "BROKEN {} in {}",
            style.plural(broken, "time"),
            style.plural(law.sweeps_checked, "sweep")
        ),
    };
    let received = report.coverage.ppm.map_or_else(
        || "unknown: the interfaces' own counters are in no two sweeps".to_owned(),
        |ppm| format!("{} of the packets that the interfaces received", units::ppm(ppm)),
    );
    vec![
        fact("Coverage", received),
        fact("With rates", units::duration(period.timed_ms)),
        fact("Without", units::duration(period.untimed_ms)),
        fact("Conservation law", holds),
        fact("In no row of a source", style.plural(loss.unseen_packets, "packet")),
        fact("In no rate", style.plural(loss.untimed_packets, "packet")),
        fact(
            "Evicted",
            format!(
                "{} ({})",
                style.plural(loss.evicted_packets, "packet"),
                or_nothing(loss.evicted_ppm, units::ppm)
            ),
        ),
    ]
}

fn days(report: &Report, style: Style) -> Block {
    let columns = [
        words("day"),
        words("held out"),
        numbers("new clusters"),
        numbers("affected"),
        numbers("with earlier thresholds"),
        numbers("sources"),
        numbers("SYN"),
        numbers("acted on"),
        numbers("time with rates"),
    ];
    style.cut("Days", &columns, (&report.days, 0), |day: &DayRow| {
        let whole_ms = day.timed_ms.saturating_add(day.untimed_ms);
        let timed = u128::from(day.timed_ms) * 1_000_000;
        let timed_ppm = timed.checked_div(u128::from(whole_ms)).and_then(|ppm| ppm.try_into().ok());
        vec![
            Cell::Time(day.date.clone()),
            Cell::text(if day.is_held_out { "yes" } else { "no" }),
            style.number(day.new_clusters),
            style.number(day.affected),
            style.number(day.affected_rolling),
            style.number(day.sources),
            style.number(day.syn),
            style.number(day.syn_acted),
            Cell::ppm(timed_ppm),
        ]
    })
}

/// What was read, what could not be used, who counted it.
pub(super) fn input(report: &Report, style: Style) -> Section {
    let mut blocks = vec![Block::Facts(input_facts(&report.input, style))];
    blocks.extend(unusable(report, style));
    if !report.streams.is_empty() {
        blocks.push(streams(report, style));
    }
    blocks.push(frames(report, style));
    Section { id: "input", title: "Input, hosts and programs", is_summary: true, blocks }
}

fn input_facts(input: &Input, style: Style) -> Vec<Fact> {
    vec![
        fact(
            "Used",
            format!(
                "{}, {}, {}, {}",
                style.plural(input.segments_used, "segment"),
                style.plural(input.sweeps, "sweep"),
                style.plural(input.rows, "row"),
                ibsr_cli::format_bytes(input.bytes)
            ),
        ),
        fact(
            "Not used",
            format!(
                "{}, {}",
                style.plural(input.segments_refused, "segment"),
                style.plural(input.rows_rejected, "row")
            ),
        ),
        fact(
            "Copies",
            format!(
                "{}, {}",
                style.plural(input.segments_copied, "segment"),
                style.plural(input.sweeps_duplicate, "sweep")
            ),
        ),
        fact("Of unknown types", style.plural(input.rows_unknown, "row")),
    ]
}

/// Refused segments, rejected rows, broken laws: each with its place and reason.
fn unusable(report: &Report, style: Style) -> Vec<Block> {
    let mut blocks = Vec::new();
    let input = &report.input;
    if input.segments_refused > 0 {
        let total = (input.refused.as_slice(), input.segments_refused);
        blocks.push(style.cut(
            "Segments not used",
            &[words("segment"), words("reason")],
            total,
            |row| vec![Cell::code(&row.segment), Cell::code(&row.reason)],
        ));
    }
    if input.rows_rejected > 0 {
        let total = (input.rejected.as_slice(), input.rows_rejected);
        blocks.push(style.cut("Rows not used", &[words("place"), words("reason")], total, |row| {
            vec![Cell::code(format!("{}:{}", row.segment, row.line)), Cell::code(&row.reason)]
        }));
    }
    if report.law.violations > 0 {
        let columns = [words("host"), words("scope"), numbers("sweep"), words("reason")];
        let total = (report.law.examples.as_slice(), report.law.violations);
        blocks.push(style.cut("Sweeps that do not add up", &columns, total, |row| {
            vec![
                Cell::code(&row.host),
                Cell::code(&row.scope),
                Cell::Number(row.seq.to_string()),
                Cell::code(&row.reason),
            ]
        }));
    }
    blocks
}

fn streams(report: &Report, style: Style) -> Block {
    let columns = [
        words("host"),
        words("scope"),
        words("boot"),
        words("program"),
        words("bound by"),
        numbers("sweeps"),
        words("from"),
        words("to"),
    ];
    let first = |text: &str| text.chars().take(12).collect::<String>();
    style.cut("Sets of maps", &columns, (&report.streams, 0), |row: &StreamRow| {
        let programs: Vec<String> = row.program_sha256.iter().map(|sha| first(sha)).collect();
        vec![
            Cell::code(&row.host),
            Cell::code(&row.scope),
            Cell::code(first(&row.boot_id)),
            Cell::code(programs.join(", ")),
            Cell::text(row.evidence.join(", ")),
            style.number(row.sweeps),
            Cell::Time(or_nothing(row.from_unix_ms, clock::text)),
            Cell::Time(or_nothing(row.to_unix_ms, clock::text)),
        ]
    })
}

fn frames(report: &Report, style: Style) -> Block {
    let t = &report.totals;
    let outcomes = [
        ("tracked", t.tracked),
        ("other port", t.other_port),
        ("other transport", t.other_l4),
        ("fragments", t.fragments),
        ("malformed", t.malformed),
        ("not IP", t.non_ip),
        ("passed", t.passed),
        ("received", t.received),
    ];
    let columns = [words("outcome"), numbers("packets")];
    style.cut("Frames", &columns, (&outcomes, 0), |(name, value)| {
        vec![Cell::text(*name), style.number(*value)]
    })
}
