// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streaming fold: cumulative counters in, increments, windows and what the rules would
//! have done out. Pure: rows are values, nothing here reads a file or a clock.
//!
//! One fold is about one UTC day of one stream, and begins a little earlier so that its
//! automata know what they need. Days are therefore folded in any order, on any thread, on
//! any machine, and the memory is that of one day's sources.
//!
//! `timeline` decides what each sweep's interval is worth, `sources` differences counters,
//! `window` spreads increments over windows, `compiled` and `state` judge them, `book`
//! writes down what would have been acted on, `law` checks that no packet is missing,
//! `horizon` is what a day is, `unit` drives them over one day, `facts` is what it leaves behind.

pub mod book;
pub mod compiled;
pub mod counts;
pub mod facts;
pub mod gaps;
pub mod horizon;
pub mod id;
pub mod law;
pub mod source_facts;
pub mod sources;
pub mod state;
pub mod timeline;
pub mod unit;
pub mod vector;
pub mod window;
