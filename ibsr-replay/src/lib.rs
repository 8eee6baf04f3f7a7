// SPDX-License-Identifier: MIT OR Apache-2.0
//! The counterfactual: cumulative counters in, what a set of rules would have done out, how
//! sure that is, and a verdict. Pure: rows and settings are values; nothing here reads a
//! file, a clock or a network, so the same inputs give the same report on any machine.
//!
//! `rules` is the language, `fold` replays it over one day of one stream, `judge` labels,
//! bounds, searches and decides over everything that was folded, `stats` is the mathematics,
//! `talk` adds up who talks to whom, `model` is the report as one value, `site` makes recordings
//! whose truth is known.

#![forbid(unsafe_code)]

pub mod egress;
pub mod fold;
pub mod judge;
pub mod model;
pub mod rules;
pub mod site;
pub mod stats;
pub mod talk;
