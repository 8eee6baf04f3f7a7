// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rule along its thresholds, safest on the left: the capture above, the false-positive
//! bound with its limit below, the chosen threshold as a band through both.

use ibsr_replay::model::{Report, RuleRow, Step};

use super::super::units;
use super::scale::{Decades, Linear};
use super::svg::{Anchor, CHAR, Svg};

const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 316.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 16.0;
/// Top and bottom of the two plots.
const CAPTURE: (f64, f64) = (40.0, 120.0);
const BOUND: (f64, f64) = (160.0, 260.0);
/// Digits of `0.0001 %` leave no room for more labels.
const MOST_DECADES: u32 = 4;

/// The drawing; nothing for a rule that was never measured.
pub(super) fn draw(report: &Report, at: usize) -> Option<String> {
    let rule = report.rules.get(at)?;
    if !rule.path.iter().any(|step| step.clusters.n > 0) {
        return None;
    }
    let limit_ppb = report.settings.limit_ppb;
    let title = format!("{}: capture and bound by threshold", rule.name);
    let mut svg =
        Svg::new(&format!("curve-{at}"), (WIDTH, HEIGHT), &title, &describe(rule, limit_ppb));
    let x = places(rule.path.len());
    band(&mut svg, rule, &x);
    capture(&mut svg, rule, &x);
    bound(&mut svg, rule, limit_ppb, &x);
    thresholds(&mut svg, rule, &x);
    Some(svg.finish())
}

/// The middles of as many equal columns.
fn places(count: usize) -> Vec<f64> {
    let column = (WIDTH - LEFT - RIGHT) / count as f64;
    (0..count).map(|at| LEFT + column * (at as f64 + 0.5)).collect()
}

fn band(svg: &mut Svg, rule: &RuleRow, x: &[f64]) {
    let chosen = rule.path.iter().position(|step| Some(step.threshold) == rule.chosen);
    if let Some(at) = chosen {
        let column = (WIDTH - LEFT - RIGHT) / x.len() as f64;
        let width = column.min(40.0);
        svg.rect((x[at] - width / 2.0, CAPTURE.0), (width, BOUND.1 - CAPTURE.0), "chosen");
    }
}

fn capture(svg: &mut Svg, rule: &RuleRow, x: &[f64]) {
    let y = Linear { domain: (0.0, 1_000_000.0), range: (CAPTURE.1, CAPTURE.0) };
    svg.text((0.0, CAPTURE.0 - 14.0), Anchor::Start, "label", "capture of abusive packets");
    for tick in [0_u32, 500_000, 1_000_000] {
        let at = y.at(f64::from(tick));
        svg.line((LEFT, at), (WIDTH - RIGHT, at), "grid");
        svg.text((LEFT - 8.0, at + 4.0), Anchor::End, "tick", &units::ppm(u64::from(tick)));
    }
    let point = |step: &Step| step.capture_ppm.map(|ppm| y.at(ppm.min(1_000_000) as f64));
    series(svg, rule, x, point, "gain");
}

fn bound(svg: &mut Svg, rule: &RuleRow, limit_ppb: u64, x: &[f64]) {
    let uppers = rule.path.iter().filter(|step| step.clusters.n > 0);
    // A limit on the axis could not be told from it, so there is always room below.
    let shares = uppers.map(|step| step.clusters.upper_ppb).chain([limit_ppb, limit_ppb / 2]);
    let y = Decades::around(shares, (BOUND.1, BOUND.0));
    svg.text((0.0, BOUND.0 - 14.0), Anchor::Start, "label", "bound on affected clusters");
    let limit = format!("limit {}", units::share(limit_ppb));
    svg.text((WIDTH - RIGHT, BOUND.0 - 14.0), Anchor::End, "tick warn", &limit);
    for tick in y.ticks(MOST_DECADES) {
        svg.line((LEFT, y.at(tick)), (WIDTH - RIGHT, y.at(tick)), "grid");
        svg.text((LEFT - 8.0, y.at(tick) + 4.0), Anchor::End, "tick", &units::share(tick));
    }
    svg.line((LEFT, y.at(limit_ppb)), (WIDTH - RIGHT, y.at(limit_ppb)), "limit");
    let point = |step: &Step| (step.clusters.n > 0).then(|| y.at(step.clusters.upper_ppb));
    series(svg, rule, x, point, "risk");
}

/// A line through the thresholds that were tried, and a dot for each.
fn series(svg: &mut Svg, rule: &RuleRow, x: &[f64], y: impl Fn(&Step) -> Option<f64>, class: &str) {
    let mut path = String::new();
    for (step, x) in rule.path.iter().zip(x) {
        if let Some(y) = y(step) {
            let pen = if path.is_empty() { 'M' } else { 'L' };
            path.push_str(&format!("{pen}{} {}", super::svg::round(*x), super::svg::round(y)));
        }
    }
    svg.path(&path, &format!("{class} line"));
    for (step, x) in rule.path.iter().zip(x) {
        if let Some(y) = y(step) {
            let hollow = if step.is_accepted { "" } else { " hollow" };
            svg.dot((*x, y), 4.0, &format!("{class}{hollow}"));
        }
    }
}

fn thresholds(svg: &mut Svg, rule: &RuleRow, x: &[f64]) {
    svg.line((LEFT, BOUND.1), (WIDTH - RIGHT, BOUND.1), "axis");
    let labels: Vec<String> = rule
        .path
        .iter()
        .map(|step| step.threshold.value.map_or_else(|| "fixed".to_owned(), short))
        .collect();
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(1);
    let column = (WIDTH - LEFT - RIGHT) / x.len() as f64;
    let every = ((longest as f64 + 1.5) * CHAR / column).ceil().max(1.0) as usize;
    // The chosen one always has its label; the others stand at whole steps from it.
    let chosen = rule.path.iter().position(|step| Some(step.threshold) == rule.chosen);
    for (at, (label, x)) in labels.iter().zip(x).enumerate() {
        if at.abs_diff(chosen.unwrap_or(0)) % every == 0 {
            let class = if chosen == Some(at) { "label" } else { "tick" };
            svg.text((*x, BOUND.1 + 18.0), Anchor::Middle, class, label);
        }
    }
    let unit = rule.grid_metric.map_or("no threshold", units::metric);
    let axis = format!("{unit}, safest on the left");
    svg.text((WIDTH - RIGHT, HEIGHT - 14.0), Anchor::End, "tick", &axis);
}

fn short(value: u64) -> String {
    super::scale::short(value as f64)
}

fn describe(rule: &RuleRow, limit_ppb: u64) -> String {
    let say = |step: &Step| {
        let value =
            step.threshold.value.map_or_else(|| "fixed".to_owned(), |value| value.to_string());
        let capture = step.capture_ppm.map_or_else(|| units::NOTHING.to_owned(), units::ppm);
        format!("{value}: capture {capture}, bound {}", units::bound(step.clusters.upper_ppb))
    };
    let all: Vec<String> = rule.path.iter().map(say).collect();
    let chosen = rule
        .chosen
        .and_then(|chosen| chosen.value)
        .map_or_else(|| "None is chosen".to_owned(), |value| format!("{value} is chosen"));
    format!("{}. {chosen}; the limit is {}.", all.join("; "), units::bound(limit_ppb))
}
