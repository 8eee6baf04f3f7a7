// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time with and without rates: a bar for each host and scope, gaps as holes in it.

use std::collections::BTreeMap;

use ibsr_replay::model::Report;

use super::super::escape::plain;
use super::super::units;
use super::Size;
use super::impact::time_axis;
use super::scale::Linear;
use super::svg::{Anchor, CHAR, Svg, fit};

const ROW: f64 = 44.0;
const TOP: f64 = 4.0;
const BOTTOM: f64 = 28.0;
const SIDE: f64 = 30.0;
/// More would be a page of their own; the ones with the longest gaps are drawn.
const MOST: usize = 24;

type Stretch = (u64, u64);

/// A host's scope.
#[derive(Debug, Default)]
struct Line {
    observed: Vec<Stretch>,
    gaps: Vec<Stretch>,
}

impl Line {
    fn gap_ms(&self) -> u64 {
        self.gaps.iter().map(|(from, to)| to.saturating_sub(*from)).fold(0, u64::saturating_add)
    }

    fn says(&self) -> String {
        match self.gaps.len() {
            0 => "no gaps".to_owned(),
            count => {
                format!(
                    "{}, {}",
                    units::plural(count as u64, "gap"),
                    units::duration(self.gap_ms())
                )
            }
        }
    }
}

/// The drawing; nothing where nothing has a length.
pub(super) fn draw(report: &Report, size: Size) -> Option<String> {
    let (lines, left_out) = lines(report);
    let observed = || lines.iter().flat_map(|(_, line)| &line.observed);
    let span = (observed().map(|(from, _)| *from).min()?, observed().map(|(_, to)| *to).max()?);
    if span.0 >= span.1 {
        return None;
    }
    let width = size.width();
    let note = if left_out > 0 { 20.0 } else { 0.0 };
    let bottom = TOP + ROW * lines.len() as f64 + note;
    let x = Linear { domain: (span.0 as f64, span.1 as f64), range: (SIDE, width - SIDE) };
    let id = format!("coverage-{}", size.suffix());
    let title = "Time with and without rates";
    let mut svg = Svg::new(&id, (width, bottom + BOTTOM), title, &describe(&lines, left_out));
    for (at, (name, line)) in lines.iter().enumerate() {
        row(&mut svg, name, line, TOP + ROW * at as f64, &x);
    }
    if left_out > 0 {
        let says = format!("and {left_out} more with shorter gaps");
        svg.text((SIDE, bottom - 6.0), Anchor::Start, "tick", &says);
    }
    time_axis(&mut svg, span, x, bottom);
    Some(svg.finish())
}

/// By host and scope; the number of those that are not drawn.
fn lines(report: &Report) -> (Vec<(String, Line)>, usize) {
    let mut by_name: BTreeMap<(&str, &str), Line> = BTreeMap::new();
    for stream in &report.streams {
        if let (Some(from), Some(to)) = (stream.from_unix_ms, stream.to_unix_ms) {
            by_name.entry((&stream.host, &stream.scope)).or_default().observed.push((from, to));
        }
    }
    for gap in &report.gaps {
        if let Some(line) = by_name.get_mut(&(gap.host.as_str(), gap.scope.as_str())) {
            line.gaps.push((gap.from_unix_ms, gap.to_unix_ms));
        }
    }
    let mut lines: Vec<_> = by_name
        .into_iter()
        .map(|((host, scope), line)| (plain(&format!("{host} {scope}")), line))
        .collect();
    let left_out = lines.len().saturating_sub(MOST);
    if left_out > 0 {
        lines.sort_by_key(|(_, line)| std::cmp::Reverse(line.gap_ms()));
        lines.truncate(MOST);
    }
    (lines, left_out)
}

fn row(svg: &mut Svg, name: &str, line: &Line, top: f64, x: &Linear) {
    let says = line.says();
    let (left, right) = x.range;
    let room = right - left - CHAR * (says.chars().count() as f64 + 2.0);
    svg.text((left, top + 14.0), Anchor::Start, "label", &fit(name, room));
    svg.text((right, top + 14.0), Anchor::End, "tick", &says);
    let mut bar = |(from, to): Stretch, class: &str| {
        let (from, to) = (x.at(from as f64).clamp(left, right), x.at(to as f64).clamp(left, right));
        svg.rect((from, top + 21.0), (to - from, 13.0), class);
    };
    line.observed.iter().for_each(|stretch| bar(*stretch, "seen"));
    line.gaps.iter().for_each(|stretch| bar(*stretch, "gap"));
}

fn describe(lines: &[(String, Line)], left_out: usize) -> String {
    let mut all: Vec<String> =
        lines.iter().map(|(name, line)| format!("{name}: {}", line.says())).collect();
    if left_out > 0 {
        all.push(format!("{left_out} more"));
    }
    format!("{}.", all.join("; "))
}
