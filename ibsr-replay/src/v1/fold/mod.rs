// SPDX-License-Identifier: MIT OR Apache-2.0
//! The streaming fold: cumulative counters in, increments, windows and what the rules would
//! have done out. Pure: rows are values, nothing here reads a file or a clock.
//!
//! `timeline` decides what each sweep's interval is worth, `sources` differences counters,
//! `window` spreads increments over windows, `rule` judges them,
//! `law` checks that no packet is missing,
//! `stream` drives them over one stream, `merge` adds streams up.

pub mod counts;
pub mod gaps;
pub mod id;
pub mod law;
pub mod merge;
pub mod rule;
pub mod sources;
pub mod stream;
pub mod timeline;
pub mod window;
