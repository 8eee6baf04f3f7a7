// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drawings as inline SVG: no script, no font and no file from elsewhere. Each one has a
//! title, a description that says in words what it shows, and colours from the page, so that
//! it follows light and dark.
//!
//! Each is drawn for two widths. A drawing made for a desk and shrunk to a phone has text
//! that nobody can read.

mod bounds;
mod coverage;
mod curve;
mod impact;
mod scale;
mod svg;
mod talk;

use ibsr_replay::model::Report;

use super::doc::Chart;

/// For which width a drawing is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// A desk, and paper.
    Wide,
    /// A phone.
    Narrow,
}

impl Size {
    /// In units of the drawing; one is a CSS pixel where there is room.
    const fn width(self) -> f64 {
        match self {
            Self::Wide => 760.0,
            Self::Narrow => 328.0,
        }
    }

    const fn suffix(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
        }
    }
}

/// The drawing; nothing where there are no numbers for it.
#[must_use]
pub fn draw(report: &Report, chart: Chart, size: Size) -> Option<String> {
    match chart {
        Chart::Impact => impact::draw(report, size),
        Chart::Bounds => bounds::draw(report, size),
        Chart::Curve(rule) => curve::draw(report, rule),
        Chart::Coverage => coverage::draw(report, size),
        Chart::Talk => talk::draw(report, size),
    }
}

/// Whether a drawing has a variant for each width; a small one fits both.
#[must_use]
pub const fn is_sized(chart: Chart) -> bool {
    !matches!(chart, Chart::Curve(_))
}

/// What its marks mean.
#[must_use]
pub const fn key(chart: Chart) -> &'static str {
    match chart {
        Chart::Impact => "Where an area returns to zero there were no frames.",
        Chart::Bounds => "Bar: upper bound. Dot: measured share. Dashed: limit. Logarithmic.",
        Chart::Curve(_) => "Shaded: chosen. Hollow: not accepted. Dashed: limit.",
        Chart::Coverage => "Red: no rates.",
        Chart::Talk => "Thickness: bytes both ways, of the busiest pairs.",
    }
}
