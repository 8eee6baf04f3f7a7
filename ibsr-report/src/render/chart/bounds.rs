// SPDX-License-Identifier: MIT OR Apache-2.0
//! Upper bounds as bars from the left on a logarithmic axis, the measured share as a dot, the
//! limit as a mark: a bar that ends left of its mark passes.

use ibsr_replay::model::Report;

use super::super::doc::{Bounded, bounds};
use super::super::units;
use super::Size;
use super::scale::Decades;
use super::svg::{Anchor, Svg};

const ROW: f64 = 46.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = 30.0;

/// The drawing; nothing where no cluster and no connection was seen.
pub(super) fn draw(report: &Report, size: Size) -> Option<String> {
    let rows: Vec<Bounded> = bounds(report).into_iter().filter(|row| row.bound.n > 0).collect();
    if rows.is_empty() {
        return None;
    }
    let width = size.width();
    let bottom = TOP + ROW * rows.len() as f64;
    let shares = rows.iter().flat_map(|row| [row.bound.upper_ppb, row.limit_ppb.unwrap_or(0)]);
    // One decade more on the left: a bar of no length would look like no bound.
    let shares = shares.map(|share| share / 2).chain(rows.iter().filter_map(|row| row.limit_ppb));
    let x = Decades::around(shares, (0.0, width));
    let id = format!("bounds-{}", size.suffix());
    let title = "Upper bounds on the share of legitimate traffic affected";
    let mut svg = Svg::new(&id, (width, bottom + BOTTOM), title, &describe(&rows));
    let most = if size == Size::Wide { 8 } else { 3 };
    let ticks = x.ticks(most);
    for (at, tick) in ticks.iter().enumerate() {
        // Labels at the ends stay within the drawing.
        let anchor = match at {
            0 => Anchor::Start,
            _ if at + 1 == ticks.len() => Anchor::End,
            _ => Anchor::Middle,
        };
        svg.line((x.at(*tick), TOP), (x.at(*tick), bottom), "grid");
        svg.text((x.at(*tick), bottom + 18.0), anchor, "tick", &units::share(*tick));
    }
    for (row, at) in rows.iter().zip(0_u8..) {
        bar(&mut svg, row, TOP + ROW * f64::from(at), &x);
    }
    svg.line((0.0, bottom), (width, bottom), "axis");
    Some(svg.finish())
}

fn bar(svg: &mut Svg, row: &Bounded, top: f64, x: &Decades) {
    let Bounded { name, bound, limit_ppb } = row;
    let says = format!("{name}: below {}", units::bound(bound.upper_ppb));
    svg.text((0.0, top + 14.0), Anchor::Start, "label", &says);
    let is_passed = limit_ppb.is_none_or(|limit| bound.upper_ppb <= limit);
    let class = match (limit_ppb.is_some(), is_passed) {
        (false, _) => "bar",
        (true, true) => "bar good",
        (true, false) => "bar bad",
    };
    svg.rect((0.0, top + 21.0), (x.at(bound.upper_ppb), 12.0), class);
    if let Some(point) = bound.point_ppb.filter(|point| *point > 0) {
        svg.dot((x.at(point), top + 27.0), 4.0, "dot");
    }
    if let Some(limit) = limit_ppb {
        svg.line((x.at(*limit), top + 17.0), (x.at(*limit), top + 37.0), "limit");
    }
}

fn describe(rows: &[Bounded]) -> String {
    let say = |row: &Bounded| {
        let limit = row
            .limit_ppb
            .map_or_else(String::new, |limit| format!(", limit {}", units::bound(limit)));
        let (name, bound) = (row.name, row.bound);
        format!(
            "{name}: {} of {}, below {}{limit}.",
            bound.k,
            bound.n,
            units::bound(bound.upper_ppb)
        )
    };
    let all: Vec<String> = rows.iter().map(say).collect();
    format!("Logarithmic axis. {}", all.join(" "))
}
