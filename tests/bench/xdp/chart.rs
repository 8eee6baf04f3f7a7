// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rows as a bar chart: one SVG without scripts, fonts or anything fetched, with its
//! figures as text for those who cannot see bars.

use std::fmt::Write as _;

use crate::measure::Measured;

const LABEL_PX: f64 = 330.0;
const BARS_PX: f64 = 420.0;
const WIDTH_PX: f64 = 840.0;
const ROW_PX: f64 = 48.0;
const BAR_PX: f64 = 12.0;
const TOP_PX: f64 = 64.0;
/// Blue, orange and grey that differ in brightness too, and are legible on white and on black.
const LRU: &str = "#2b6cb0";
const SETS: &str = "#dd6b20";
const YARDSTICK: &str = "#a0a6ad";

/// The chart.
pub fn svg(measured: &[Measured]) -> String {
    let height = TOP_PX + ROW_PX * measured.len() as f64 + 8.0;
    let most_ns = measured.iter().flat_map(added).map(|(_, _, ns)| ns).fold(1.0, f64::max);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH_PX} {height}\" \
         role=\"img\" aria-labelledby=\"title desc\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title id=\"title\">What a sensor adds to a packet</title>\n\
         <desc id=\"desc\">{}</desc>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"22\" font-size=\"15\">Nanoseconds a packet, over a program that does nothing</text>\n",
        escape(&description(measured)),
    );
    for (at, (name, colour)) in
        [("lru", LRU), ("set-assoc", SETS), ("yardstick", YARDSTICK)].iter().enumerate()
    {
        let x = 12.0 + 90.0 * at as f64;
        let _infallible = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"34\" width=\"{BAR_PX}\" height=\"{BAR_PX}\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"44\">{name}</text>",
            x + 18.0
        );
    }
    for (at, row) in measured.iter().enumerate() {
        write_row(&mut svg, TOP_PX + ROW_PX * at as f64, row, most_ns);
    }
    svg + "</svg>"
}

/// Name, colour and nanoseconds of each bar of a row.
fn added(row: &Measured) -> Vec<(&'static str, &'static str, f64)> {
    let mut bars =
        vec![("lru", LRU, row.added_ns(&row.lru)), ("set-assoc", SETS, row.added_ns(&row.sets))];
    bars.extend(row.yardstick.as_ref().map(|cost| ("yardstick", YARDSTICK, row.added_ns(cost))));
    bars
}

fn write_row(svg: &mut String, top: f64, row: &Measured, most_ns: f64) {
    let _infallible = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        LABEL_PX - 10.0,
        top + 16.0,
        escape(&row.row.name)
    );
    for (at, (_, colour, ns)) in added(row).into_iter().enumerate() {
        // A bar below zero is noise around zero.
        let width = (ns.max(0.0) / most_ns * BARS_PX).max(1.0);
        let y = top + at as f64 * (BAR_PX + 1.0);
        let _infallible = writeln!(
            svg,
            "<rect x=\"{LABEL_PX}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"{BAR_PX}\" fill=\"{colour}\"/>\
             <text x=\"{:.1}\" y=\"{:.0}\">{ns:.1}</text>",
            LABEL_PX + width + 6.0,
            y + 10.0
        );
    }
}

fn description(measured: &[Measured]) -> String {
    let row = |row: &Measured| {
        let bars = added(row).into_iter().map(|(name, _, ns)| format!("{name} {ns:.1} ns"));
        format!("{}: {}", row.row.name, bars.collect::<Vec<_>>().join(", "))
    };
    measured.iter().map(row).collect::<Vec<_>>().join(". ") + "."
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
