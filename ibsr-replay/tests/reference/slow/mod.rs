// SPDX-License-Identifier: MIT OR Apache-2.0
//! The replay written down a second time, from its definition in docs/method.md, as slowly
//! and plainly as possible: every row stays in memory, every threshold of every rule is
//! replayed as a rule of its own, every sum is a loop. It shares nothing with the engine but
//! the rows that are read and the rule set as a value.
//!
//! `timing` decides what each sweep's interval is worth, `entries` differences the counters,
//! `windows` spreads them, `decide` replays one threshold, `unit` books.

mod decide;
mod entries;
mod tally;
mod timing;
mod unit;
mod windows;

use ibsr_proto::snapshot::{Header, Row};
use ibsr_replay::rules::ast::RuleSet;

pub use unit::{SourceResult, UnitResult};

/// Nanoseconds of a second.
const SECOND_NS: i128 = 1_000_000_000;
/// Nanoseconds of a day.
const DAY_NS: i128 = 86_400 * SECOND_NS;

/// One stream: its segments in order.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Header and the rows behind it.
    pub segments: Vec<(Header, Vec<Row>)>,
}

/// What is replayed, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Length of a window.
    pub window_ns: u64,
    /// The rules.
    pub rules: RuleSet,
}

/// Days since 1970 on which a stream has sweeps.
pub fn days(stream: &Stream) -> Vec<u32> {
    let days = timing::days(&timing::closed_sweeps(stream));
    days.into_iter().map(|day| u32::try_from(day).expect("the wall clock is 64 bits")).collect()
}

/// Every unit of a stream, by day since 1970.
pub fn replay(stream: &Stream, settings: &Settings) -> Vec<UnitResult> {
    let sweeps = timing::closed_sweeps(stream);
    timing::days(&sweeps)
        .into_iter()
        .map(|day| {
            let placed = timing::unit_of(&sweeps, day, settings.window_ns);
            unit::replay_unit(day, &placed, settings)
        })
        .collect()
}
