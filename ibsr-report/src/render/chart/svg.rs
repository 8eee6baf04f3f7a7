// SPDX-License-Identifier: MIT OR Apache-2.0
//! The few shapes that the drawings are made of.

use std::fmt::Write as _;

use super::super::escape::html;

/// Width of a character at 12 px, a little more than that of a wide system font: labels are
/// placed by this guess, because nothing here can measure text.
pub const CHAR: f64 = 7.4;

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub enum Anchor {
    /// Begins there.
    Start,
    /// Is centred there.
    Middle,
    /// Ends there.
    End,
}

/// A drawing in the making.
#[derive(Debug)]
pub struct Svg {
    head: String,
    body: String,
}

impl Svg {
    /// An empty one. `id` is unique in the page.
    pub fn new(id: &str, (width, height): (f64, f64), title: &str, description: &str) -> Self {
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\">\
             <title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>",
            html(title),
            html(description)
        );
        Self { head, body: String::new() }
    }

    /// Text; `class` gives its colour and size.
    pub fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.put(format_args!(
            "<text x=\"{}\" y=\"{}\" class=\"{class}\"{anchor}>{}</text>",
            round(x),
            round(y),
            html(text)
        ));
    }

    /// A straight line.
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), class: &str) {
        self.put(format_args!(
            "<path d=\"M{} {}L{} {}\" class=\"{class}\"/>",
            round(from.0),
            round(from.1),
            round(to.0),
            round(to.1)
        ));
    }

    /// A rectangle; one that would vanish keeps a pixel and a half.
    pub fn rect(&mut self, (x, y): (f64, f64), (width, height): (f64, f64), class: &str) {
        self.put(format_args!(
            "<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" class=\"{class}\"/>",
            round(x),
            round(y),
            round(width.max(1.5)),
            round(height)
        ));
    }

    /// A disc.
    pub fn dot(&mut self, (x, y): (f64, f64), radius: f64, class: &str) {
        self.put(format_args!(
            "<circle cx=\"{}\" cy=\"{}\" r=\"{radius}\" class=\"{class}\"/>",
            round(x),
            round(y)
        ));
    }

    /// A path as it is.
    pub fn path(&mut self, path: &str, class: &str) {
        self.put(format_args!("<path d=\"{path}\" class=\"{class}\"/>"));
    }

    /// The whole element.
    pub fn finish(self) -> String {
        format!("{}{}</svg>", self.head, self.body)
    }

    fn put(&mut self, element: std::fmt::Arguments<'_>) {
        self.body.write_fmt(element).expect("a string can be written");
    }
}

/// To a tenth of a unit: finer than a pixel, and the same text on every machine.
pub fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// The first characters that fit into `width`, with an ellipsis for the rest.
pub fn fit(text: &str, width: f64) -> String {
    let room = (width / CHAR).max(1.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(room - 1).collect();
    short.push('…');
    short
}
