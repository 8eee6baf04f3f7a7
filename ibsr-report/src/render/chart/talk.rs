// SPDX-License-Identifier: MIT OR Apache-2.0
//! Applications on the left, their peers on the right, a band for each pair that is as thick
//! as its bytes. The busiest pairs only: more bands than a dozen cannot be followed.

use std::collections::BTreeMap;

use ibsr_replay::model::{PairRow, Report};

use super::super::doc::{app_words, peer_words};
use super::Size;
use super::svg::{Anchor, Svg, fit, round};

/// Bands at most.
const PAIRS: usize = 12;
/// Height of all bands together.
const BANDS: f64 = 180.0;
/// Least height of an end: that of its label.
const LEAST: f64 = 16.0;
const GAP: f64 = 8.0;
const TOP: f64 = 22.0;
/// Width of an end's mark.
const MARK: f64 = 6.0;

/// The ends of one side: where each begins, how high it is, how much of it has its band.
#[derive(Debug, Default)]
struct Side {
    order: Vec<String>,
    ends: BTreeMap<String, End>,
}

#[derive(Debug, Default)]
struct End {
    bytes: u64,
    pairs: u64,
    top: f64,
    taken: f64,
}

/// The drawing; nothing where nothing passed.
pub(super) fn draw(report: &Report, size: Size) -> Option<String> {
    let pairs = &report.talks.as_ref()?.pairs;
    let pairs: Vec<&PairRow> = pairs.iter().take(PAIRS).collect();
    let all: u64 = pairs.iter().map(|row| row.passed.bytes()).fold(0, u64::saturating_add);
    if all == 0 {
        return None;
    }
    let thick = |row: &PairRow| (BANDS * row.passed.bytes() as f64 / all as f64).max(1.5);
    let mut left = Side::of(pairs.iter().map(|row| (left_words(row), row.passed.bytes())));
    let mut right = Side::of(pairs.iter().map(|row| (peer_words(row), row.passed.bytes())));
    let bottom = left.place(all).max(right.place(all));
    let width = size.width();
    let label = if size == Size::Wide { 0.3 } else { 0.37 } * width;
    let (from, to) = (label + MARK, width - label - MARK);
    let id = format!("talk-{}", size.suffix());
    let title = "The busiest applications and their peers";
    let mut svg = Svg::new(&id, (width, bottom + 6.0), title, &describe(&pairs));
    svg.text((label, 11.0), Anchor::End, "tick", "application");
    svg.text((width - label, 11.0), Anchor::Start, "tick", "peer");
    for row in &pairs {
        let height = thick(row);
        let start = left.take(&left_words(row), height);
        let end = right.take(&peer_words(row), height);
        svg.path(&band((from, start), (to, end), height), "band");
    }
    for (name, end) in &left.ends {
        let height = end.height(all);
        svg.rect((label, end.top), (MARK, height), "all");
        let text = fit(name, label - 6.0);
        svg.text((label - 6.0, end.top + height / 2.0 + 4.0), Anchor::End, "label", &text);
    }
    for (name, end) in &right.ends {
        let height = end.height(all);
        svg.rect((to, end.top), (MARK, height), "all");
        let text = fit(name, label - 6.0);
        svg.text((to + MARK + 6.0, end.top + height / 2.0 + 4.0), Anchor::Start, "label", &text);
    }
    Some(svg.finish())
}

fn left_words(row: &PairRow) -> String {
    app_words(&row.app)
}

impl Side {
    /// In the order of first sight, so the busiest stand at the top.
    fn of(rows: impl Iterator<Item = (String, u64)>) -> Self {
        let mut side = Self::default();
        for (name, bytes) in rows {
            if !side.ends.contains_key(&name) {
                side.order.push(name.clone());
            }
            let end = side.ends.entry(name).or_default();
            end.bytes = end.bytes.saturating_add(bytes);
            end.pairs += 1;
        }
        side
    }

    /// One below the other; where the last one ends.
    fn place(&mut self, all: u64) -> f64 {
        let mut top = TOP;
        for name in &self.order {
            let end = self.ends.get_mut(name).expect("every name in order has its end");
            end.top = top;
            top += end.height(all) + GAP;
        }
        top - GAP
    }

    /// Where the next band of this end begins.
    fn take(&mut self, name: &str, height: f64) -> f64 {
        let end = self.ends.get_mut(name).expect("every band has its ends");
        end.taken += height;
        end.top + end.taken - height
    }
}

impl End {
    /// Room for each of its bands, of which the thinnest are drawn thicker than they are.
    fn height(&self, all: u64) -> f64 {
        let exact = BANDS * self.bytes as f64 / all as f64;
        (exact + 1.5 * self.pairs as f64).max(LEAST)
    }
}

/// From one end to the other, level at both.
fn band((from, start): (f64, f64), (to, end): (f64, f64), height: f64) -> String {
    let middle = round(f64::midpoint(from, to));
    let (from, to) = (round(from), round(to));
    let (start_low, end_low) = (round(start + height), round(end + height));
    let (start, end) = (round(start), round(end));
    format!(
        "M{from} {start}C{middle} {start} {middle} {end} {to} {end}V{end_low}\
         C{middle} {end_low} {middle} {start_low} {from} {start_low}Z"
    )
}

fn describe(pairs: &[&PairRow]) -> String {
    let say = |row: &&PairRow| {
        let (app, peer) = (app_words(&row.app), peer_words(row));
        format!("{app} and {peer}: {}.", ibsr_cli::format_bytes(row.passed.bytes()))
    };
    pairs.iter().map(say).collect::<Vec<_>>().join(" ")
}
