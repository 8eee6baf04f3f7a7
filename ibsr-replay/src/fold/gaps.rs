// SPDX-License-Identifier: MIT OR Apache-2.0
//! Gaps: found in the sweeps, stated by the reader, or both. One that was found and stated
//! is one gap, with the reader's reason.

use ibsr_proto::snapshot::Gap;
use serde::{Deserialize, Serialize};

use super::timeline::{WallClock, Why};
use super::window::Stretch;

/// A stretch without rates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapFact {
    /// On the boot clock; nothing between two boots.
    pub over: Option<Stretch>,
    /// Start and end on the wall clock.
    pub span_unix_ms: (u64, u64),
    /// Why.
    pub why: Why,
    /// Segment that the reader dropped or found damaged.
    pub segment: Option<String>,
}

/// A gap row.
#[derive(Debug, Clone)]
pub struct StatedGap {
    /// As it was read.
    pub row: Gap,
    /// The clock of the sweep behind it.
    pub clock: Option<WallClock>,
}

impl GapFact {
    /// A gap that the sweeps show.
    #[must_use]
    pub const fn found(over: Stretch, why: Why, clock: WallClock) -> Self {
        let span_unix_ms = (clock.unix_ms(over.from_ns), clock.unix_ms(over.to_ns));
        Self { over: Some(over), span_unix_ms, why, segment: None }
    }
}

impl StatedGap {
    /// Before the sweep behind it is known.
    #[must_use]
    pub const fn new(row: Gap) -> Self {
        Self { row, clock: None }
    }

    /// Whether the two have any time in common.
    #[must_use]
    pub const fn overlaps(&self, over: Stretch) -> bool {
        self.row.from_boot_ns < over.to_ns && self.row.to_boot_ns > over.from_ns
    }

    const fn over(&self) -> Stretch {
        Stretch { from_ns: self.row.from_boot_ns, to_ns: self.row.to_boot_ns }
    }
}

/// Joins what was found with what was stated, in order of time.
#[must_use]
pub fn explain(mut found: Vec<GapFact>, stated: &[StatedGap], last: WallClock) -> Vec<GapFact> {
    for gap in stated {
        let why = Why::from(gap.row.reason);
        let mut is_found = false;
        for fact in &mut found {
            if fact.over.is_some_and(|over| gap.overlaps(over)) {
                is_found = true;
                fact.why = why;
                fact.segment = fact.segment.take().or_else(|| gap.row.segment.clone());
            }
        }
        if !is_found {
            let clock = gap.clock.unwrap_or(last);
            let segment = gap.row.segment.clone();
            found.push(GapFact { segment, ..GapFact::found(gap.over(), why, clock) });
        }
    }
    found.sort_by_key(|gap| gap.over.map(|over| (over.from_ns, over.to_ns, gap.why)));
    found
}
