// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows against what was known of their source: increments, exact or refused.
//!
//! One entry for each (address, port) with its last row, one state for each address. The
//! memory is proportional to the sources of one stream.

use std::collections::HashMap;

use ibsr_proto::abi::TICK_BOUND_NS;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::Source;

use super::counts::Counts;
use super::merge::SourceTotals;
use super::rule::RuleState;

/// The last row of a source towards a port.
#[derive(Debug, Clone, Copy)]
struct Entry {
    counts: Counts,
    born_boot_ns: u64,
    /// Sweep of that row; 0 when a row behind it was refused.
    ordinal: u32,
    index: u32,
}

/// The sweep that a row stands in.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Number of the sweep in its stream, from 1.
    pub ordinal: u32,
    /// First sweep from which on every change is listed.
    pub baseline: u32,
    /// Start of the interval.
    pub from_ns: u64,
    /// Whether the interval has rates.
    pub is_timed: bool,
}

/// Why a row contradicts the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RowFault {
    /// Cumulative counters do not fall while an entry lives.
    #[error("a counter went backwards without a new `born_boot_ns`")]
    Backwards,
    /// A life that ended before the one already seen.
    #[error("`born_boot_ns` is older than in the row before")]
    OlderLife,
}

/// The windows of a source that still talks.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// Timed increments of the sweep that is being read, over all ports.
    pub delta: Counts,
    /// Window that is not complete yet.
    pub window: u64,
    /// Its counts so far.
    pub open: Counts,
    /// What the rule remembers.
    pub rule: RuleState,
}

/// One remote address.
#[derive(Debug, Clone)]
pub struct SourceState {
    /// Which.
    pub addr: SourceAddr,
    /// What goes into the report.
    pub totals: SourceTotals,
    /// Boxed: of a million sources in a flood few are recent at any time.
    pub recent: Option<Box<Recent>>,
}

/// All sources of a stream.
#[derive(Debug, Default)]
pub struct Sources {
    entries: HashMap<(SourceAddr, u16), Entry>,
    indices: HashMap<SourceAddr, u32>,
    states: Vec<SourceState>,
    recent: Vec<u32>,
}

impl Sources {
    /// Adds a row; its increment of `packets` is returned.
    ///
    /// # Errors
    /// [`RowFault`]: the row was not used, and what the source's next row adds has no rate.
    pub fn add(&mut self, row: &Source, now: Now) -> Result<u64, RowFault> {
        let key = (row.src, row.dst_port);
        let counts = Counts::from(row);
        let (born_boot_ns, ordinal) = (row.born_boot_ns, now.ordinal);
        let Some(entry) = self.entries.get_mut(&key) else {
            let index = self.index_of(row.src);
            self.entries.insert(key, Entry { counts, born_boot_ns, ordinal, index });
            self.states[index as usize].totals.ports += 1;
            let is_timed = now.is_timed && is_born_within(born_boot_ns, now.from_ns);
            self.count(index, counts, is_timed);
            return Ok(counts.packets);
        };
        let (increment, is_timed) =
            increment(entry, &counts, born_boot_ns, now).inspect_err(|_| entry.ordinal = 0)?;
        let index = entry.index;
        *entry = Entry { counts, born_boot_ns, ordinal, index };
        self.count(index, increment, is_timed);
        Ok(increment.packets)
    }

    fn index_of(&mut self, addr: SourceAddr) -> u32 {
        let next = u32::try_from(self.states.len()).expect("fewer sources than 32-bit indices");
        *self.indices.entry(addr).or_insert_with(|| {
            self.states.push(SourceState { addr, totals: SourceTotals::default(), recent: None });
            next
        })
    }

    fn count(&mut self, index: u32, increment: Counts, is_timed: bool) {
        let state = &mut self.states[index as usize];
        state.totals.counts = state.totals.counts.plus(increment);
        if !is_timed {
            state.totals.add_untimed(&increment);
        } else if !increment.is_zero() {
            let recent = state.recent.get_or_insert_with(|| {
                self.recent.push(index);
                Box::default()
            });
            recent.delta = recent.delta.plus(increment);
        }
    }

    /// Visits every source with an open window or an increment in this sweep; those of
    /// which `visit` says false are forgotten until they talk again.
    pub fn visit_recent(&mut self, mut visit: impl FnMut(&mut SourceTotals, &mut Recent) -> bool) {
        let states = &mut self.states;
        self.recent.retain(|&index| {
            let SourceState { totals, recent, .. } = &mut states[index as usize];
            let is_kept = recent.as_mut().is_some_and(|recent| visit(totals, recent));
            if !is_kept {
                *recent = None;
            }
            is_kept
        });
    }

    /// What the report keeps.
    pub fn into_totals(self) -> impl Iterator<Item = (SourceAddr, SourceTotals)> {
        self.states.into_iter().map(|state| (state.addr, state.totals))
    }
}

fn increment(
    entry: &Entry,
    counts: &Counts,
    born_boot_ns: u64,
    now: Now,
) -> Result<(Counts, bool), RowFault> {
    if born_boot_ns == entry.born_boot_ns {
        let increment = counts.since(entry.counts).ok_or(RowFault::Backwards)?;
        return Ok((increment, now.is_timed && entry.ordinal >= now.baseline));
    }
    if born_boot_ns < entry.born_boot_ns {
        return Err(RowFault::OlderLife);
    }
    // Evicted and made anew: what it counted in between and lost is in no row.
    Ok((*counts, now.is_timed && is_born_within(born_boot_ns, now.from_ns)))
}

/// An entry that was being made while the sweep before began may be in neither.
const fn is_born_within(born_boot_ns: u64, from_ns: u64) -> bool {
    born_boot_ns.saturating_add(TICK_BOUND_NS) >= from_ns
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
