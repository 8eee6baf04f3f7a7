// SPDX-License-Identifier: MIT OR Apache-2.0
//! SYN per second over time: all of them, and those that the candidate rules would have acted
//! on, as two areas from the same zero.

use ibsr_replay::model::{BucketRow, Report};

use super::super::units;
use super::Size;
use super::scale::{Linear, nice, short, times};
use super::svg::{Anchor, CHAR, Svg, round};
use crate::clock;

const HEIGHT: f64 = 270.0;
const TOP: f64 = 54.0;
const BOTTOM: f64 = 28.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 30.0;

/// Buckets that follow each other, as one point: rates over longer stretches are means.
struct Point {
    from_ms: u64,
    to_ms: u64,
    syn_ps: f64,
    acted_ps: f64,
}

/// The drawing; nothing without buckets.
pub(super) fn draw(report: &Report, size: Size) -> Option<String> {
    let impact = &report.impact;
    let bucket_ms = impact.bucket_ms.max(1);
    let (first, last) = (impact.series.first()?, impact.series.last()?);
    let span = (first.at_unix_ms, last.at_unix_ms.saturating_add(bucket_ms));
    let width = size.width();
    let plot = width - LEFT - RIGHT;
    // A step narrower than a pixel and a half says nothing.
    let buckets = (span.1.saturating_sub(span.0) / bucket_ms).max(1);
    let merged = buckets.div_ceil((plot / 1.5) as u64).max(1);
    let points = points(&impact.series, bucket_ms, bucket_ms.saturating_mul(merged), span.0);
    let max = points.iter().map(|point| point.syn_ps.max(point.acted_ps)).fold(0.0, f64::max);
    let ticks = nice(max, 5);
    let y = Linear {
        domain: (0.0, ticks.last().copied().unwrap_or(1.0)),
        range: (HEIGHT - BOTTOM, TOP),
    };
    let x = Linear { domain: (span.0 as f64, span.1 as f64), range: (LEFT, width - RIGHT) };
    let id = format!("impact-{}", size.suffix());
    let mut svg =
        Svg::new(&id, (width, HEIGHT), "SYN per second over time", &describe(report, max));
    axes(&mut svg, (width, span), &ticks, (x, y));
    svg.path(&area(&points, x, y, |point| point.syn_ps), "all");
    svg.path(&area(&points, x, y, |point| point.acted_ps), "acted");
    let each = units::duration(bucket_ms.saturating_mul(merged));
    legend(&mut svg, &format!("SYN/s, mean of {each}"));
    Some(svg.finish())
}

fn describe(report: &Report, max: f64) -> String {
    let (syn, series) = (&report.impact.syn, &report.impact.series);
    let peak = series.iter().max_by_key(|bucket| bucket.syn);
    let at = peak
        .map_or_else(String::new, |bucket| format!(" around {}", clock::text(bucket.at_unix_ms)));
    let acted = series.iter().filter(|bucket| bucket.syn_acted > 0).count();
    format!(
        "All SYN reach {} SYN/s{at}. Of {} SYN the rules would have acted on {}, in {acted} of {} stretches.",
        short(max.round()),
        syn.whole,
        syn.part,
        series.len()
    )
}

/// Sums of `merged_ms` counted from the start; stretches without frames stay empty.
fn points(series: &[BucketRow], bucket_ms: u64, merged_ms: u64, start: u64) -> Vec<Point> {
    let mut sums: Vec<(u64, u64, u64, u64)> = Vec::new();
    for bucket in series {
        let at = start + bucket.at_unix_ms.saturating_sub(start) / merged_ms * merged_ms;
        match sums.last_mut() {
            Some((from, count, syn, acted)) if *from == at => {
                *count += 1;
                *syn = syn.saturating_add(bucket.syn);
                *acted = acted.saturating_add(bucket.syn_acted);
            }
            _ => sums.push((at, 1, bucket.syn, bucket.syn_acted)),
        }
    }
    let point = |(from_ms, count, syn, acted): (u64, u64, u64, u64)| {
        let seconds = (count.saturating_mul(bucket_ms)) as f64 / 1000.0;
        let to_ms = from_ms.saturating_add(merged_ms);
        Point { from_ms, to_ms, syn_ps: syn as f64 / seconds, acted_ps: acted as f64 / seconds }
    };
    sums.into_iter().map(point).collect()
}

/// Steps that return to zero where a stretch is missing.
fn area(points: &[Point], x: Linear, y: Linear, value: impl Fn(&Point) -> f64) -> String {
    use std::fmt::Write as _;
    let base = round(y.at(0.0));
    let end = x.domain.1;
    let mut path = String::new();
    let mut until = None;
    for point in points {
        let (from, to) =
            (round(x.at(point.from_ms as f64)), round(x.at((point.to_ms as f64).min(end))));
        if until != Some(point.from_ms) {
            if until.is_some() {
                write!(path, "V{base}Z").expect("a string can be written");
            }
            write!(path, "M{from} {base}").expect("a string can be written");
        }
        write!(path, "V{}H{to}", round(y.at(value(point)))).expect("a string can be written");
        until = Some(point.to_ms);
    }
    if until.is_some() {
        write!(path, "V{base}Z").expect("a string can be written");
    }
    path
}

fn axes(svg: &mut Svg, (width, span): (f64, (u64, u64)), ticks: &[f64], (x, y): (Linear, Linear)) {
    for tick in ticks {
        let at = y.at(*tick);
        svg.line((LEFT, at), (width - RIGHT, at), "grid");
        svg.text((LEFT - 8.0, at + 4.0), Anchor::End, "tick", &short(*tick));
    }
    time_axis(svg, span, x, HEIGHT - BOTTOM);
}

/// Ticks and labels in UTC below `y`.
pub(super) fn time_axis(svg: &mut Svg, span: (u64, u64), x: Linear, y: f64) {
    svg.line((x.range.0, y), (x.range.1, y), "axis");
    for tick in times(span, x.range.1 - x.range.0) {
        let at = x.at(tick.unix_ms as f64);
        svg.line((at, y), (at, y + 5.0), "axis");
        svg.text((at, y + 19.0), Anchor::Middle, "tick", &tick.label);
    }
}

fn legend(svg: &mut Svg, unit: &str) {
    svg.text((0.0, 14.0), Anchor::Start, "tick", &format!("{unit}, UTC"));
    let mut at = 0.0;
    for (class, name) in [("all", "all"), ("acted", "acted on by the candidate rules")] {
        svg.rect((at, 23.0), (11.0, 11.0), class);
        svg.text((at + 17.0, 33.0), Anchor::Start, "label", name);
        at += 17.0 + CHAR * (name.len() as f64 + 2.0);
    }
}
