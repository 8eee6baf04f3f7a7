// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows against what was known of their source: increments, exact or refused.
//!
//! One entry for each (address, port) with its last row, one state for each address. The
//! memory is proportional to the sources of one stream.

use std::collections::HashMap;

use foldhash::quality::RandomState;
use ibsr_proto::abi::TICK_BOUND_NS;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::Source;

use super::compiled::Memory;
use super::counts::Counts;
use super::source_facts::SourceFacts;
use super::state::RuleState;

/// The last row of one life of an entry.
#[derive(Debug, Clone, Copy)]
struct Life {
    counts: Counts,
    born_boot_ns: u64,
    /// Sweep of that row; 0 when a row behind it was refused.
    ordinal: u32,
}

/// A source towards a port.
#[derive(Debug, Clone)]
struct Entry {
    /// In the table that rows of it were found in first.
    life: Life,
    /// In the other one: with two LRU tables a source that becomes proven goes on in the table
    /// for proven ones while its old life ages out of the other. Boxed: most have one.
    other: Option<Box<Life>>,
    /// The table of `life`.
    is_proven: bool,
    /// Window in which it last sent something.
    window: u64,
    index: u32,
    /// Whether a row of the day itself was counted.
    is_counted: bool,
}

impl Entry {
    /// The life that `row` continues, or `None` for the first row of a table. In the
    /// set-associative table a life becomes proven where it is, so its birth decides first.
    fn life_of(&mut self, row: &Source) -> Option<&mut Life> {
        let is_first = row.born_boot_ns == self.life.born_boot_ns;
        let is_other =
            self.other.as_ref().is_some_and(|life| life.born_boot_ns == row.born_boot_ns);
        if is_first || (!is_other && is_proven(row) == self.is_proven) {
            Some(&mut self.life)
        } else {
            self.other.as_deref_mut()
        }
    }
}

/// The sweep that a row stands in.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Number of the sweep in its unit, from 1.
    pub ordinal: u32,
    /// First sweep from which on every change is listed.
    pub baseline: u32,
    /// Start of the interval.
    pub from_ns: u64,
    /// Whether the interval has rates.
    pub is_timed: bool,
    /// Window in which the interval ends.
    pub window: u64,
    /// Lives that began before this and were in no sweep yet have counted something that
    /// belongs to nobody knows when.
    pub known_since_ns: u64,
    /// Whether increments are counted: not before the day begins.
    pub is_counted: bool,
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
    /// The same by port, for a source that some rule remembers.
    pub by_port: Vec<(u16, Counts)>,
    /// Window that is not complete yet.
    pub window: u64,
    /// Its counts so far.
    pub open: Counts,
    /// Distinct ports by window: that in which the sweep ends, and the one before.
    pub ports: [(u64, u32); 2],
    /// By rule, what it remembers; empty for nearly every source.
    pub rules: Vec<Option<RuleState>>,
}

/// One remote address.
#[derive(Debug, Clone)]
pub struct SourceState {
    /// Which.
    pub addr: SourceAddr,
    /// What the day leaves behind.
    pub facts: SourceFacts,
    /// What guards know of it.
    pub memory: Memory,
    /// Whether it sent anything in the day.
    pub is_seen: bool,
    /// Boxed: of a million sources in a flood few are recent at any time.
    pub recent: Option<Box<Recent>>,
}

/// All sources of a unit.
#[derive(Debug, Default)]
pub struct Sources {
    entries: HashMap<(SourceAddr, u16), Entry, RandomState>,
    indices: HashMap<SourceAddr, u32, RandomState>,
    states: Vec<SourceState>,
    recent: Vec<u32>,
}

/// What a row added.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Added {
    /// Packets that were counted.
    pub packets: u64,
    /// Packets from before anything was known of the source.
    pub before: u64,
}

impl Added {
    fn now(increment: &Counts, now: &Now) -> Self {
        Self { packets: if now.is_counted { increment.packets } else { 0 }, before: 0 }
    }

    fn before(counts: &Counts, now: &Now) -> Self {
        Self { packets: 0, before: if now.is_counted { counts.packets } else { 0 } }
    }
}

impl Sources {
    /// Adds a row.
    ///
    /// # Errors
    /// [`RowFault`]: the row was not used, and what the source's next row adds has no rate.
    pub fn add(&mut self, row: &Source, now: &Now) -> Result<Added, RowFault> {
        let key = (row.src, row.dst_port);
        let next = Life {
            counts: Counts::from(row),
            born_boot_ns: row.born_boot_ns,
            ordinal: now.ordinal,
        };
        let Some(entry) = self.entries.get_mut(&key) else {
            return Ok(self.begin(row, next, now));
        };
        let (increment, is_timed) = match entry.life_of(row) {
            Some(life) => {
                let found = increment(life, &next, now).inspect_err(|_| life.ordinal = 0)?;
                *life = next;
                found
            }
            None => {
                entry.other = Some(Box::new(next));
                if !is_born_within(next.born_boot_ns, now.known_since_ns) {
                    return Ok(Added::before(&next.counts, now));
                }
                (next.counts, now.is_timed && is_born_within(next.born_boot_ns, now.from_ns))
            }
        };
        let is_new_port = is_timed && !increment.is_zero() && entry.window != now.window;
        if is_new_port {
            entry.window = now.window;
        }
        let is_counted = now.is_counted && !increment.is_zero();
        let is_new_to_day = is_counted && !std::mem::replace(&mut entry.is_counted, true);
        let index = entry.index;
        self.count(
            index,
            row.dst_port,
            increment,
            Kind { is_timed, is_new_port, is_new_to_day },
            now,
        );
        Ok(Added::now(&increment, now))
    }

    /// The first row of an entry.
    fn begin(&mut self, row: &Source, life: Life, now: &Now) -> Added {
        let counts = life.counts;
        let index = self.index_of(row.src);
        let is_known = is_born_within(row.born_boot_ns, now.known_since_ns);
        let is_timed = is_known && now.is_timed && is_born_within(row.born_boot_ns, now.from_ns);
        let entry = Entry {
            life,
            other: None,
            is_proven: is_proven(row),
            window: if is_timed { now.window } else { u64::MAX },
            index,
            is_counted: is_known && now.is_counted && !counts.is_zero(),
        };
        self.entries.insert((row.src, row.dst_port), entry);
        if !is_known {
            return Added::before(&counts, now);
        }
        let kind = Kind {
            is_timed,
            is_new_port: is_timed,
            is_new_to_day: now.is_counted && !counts.is_zero(),
        };
        self.count(index, row.dst_port, counts, kind, now);
        Added::now(&counts, now)
    }

    fn index_of(&mut self, addr: SourceAddr) -> u32 {
        let next = u32::try_from(self.states.len()).expect("fewer sources than 32-bit indices");
        *self.indices.entry(addr).or_insert_with(|| {
            self.states.push(SourceState {
                addr,
                facts: SourceFacts::default(),
                memory: Memory::default(),
                is_seen: false,
                recent: None,
            });
            next
        })
    }

    fn count(&mut self, index: u32, port: u16, increment: Counts, kind: Kind, now: &Now) {
        let state = &mut self.states[index as usize];
        if now.is_counted {
            state.is_seen |= !increment.is_zero();
            state.facts.counts = state.facts.counts.plus(increment);
            state.facts.ports += u32::from(kind.is_new_to_day);
            if !kind.is_timed {
                let facts = &mut state.facts;
                facts.untimed_syn = facts.untimed_syn.saturating_add(increment.syn);
                facts.untimed_packets = facts.untimed_packets.saturating_add(increment.packets);
            }
        }
        if kind.is_timed && !increment.is_zero() {
            let recent = state.recent.get_or_insert_with(|| {
                self.recent.push(index);
                Box::default()
            });
            recent.delta = recent.delta.plus(increment);
            if kind.is_new_port {
                recent.add_port(now.window);
            }
            if !recent.rules.is_empty() {
                recent.by_port.push((port, increment));
            }
        }
    }

    /// Visits every source with an open window or an increment in this sweep; those of
    /// which `visit` says false are forgotten until they talk again.
    pub fn visit_recent(&mut self, mut visit: impl FnMut(&mut Visited<'_>) -> bool) {
        let states = &mut self.states;
        self.recent.retain(|&index| {
            let SourceState { addr, facts, memory, recent, .. } = &mut states[index as usize];
            let is_kept = recent
                .as_mut()
                .is_some_and(|recent| visit(&mut Visited { addr: *addr, facts, memory, recent }));
            if !is_kept {
                *recent = None;
            }
            is_kept
        });
    }

    /// The sources of the day, sorted by address.
    #[must_use]
    pub fn into_facts(self, day: u32) -> Vec<(SourceAddr, SourceFacts)> {
        let seen = self.states.into_iter().filter(|state| state.is_seen);
        let mut all: Vec<_> = seen
            .map(|SourceState { addr, mut facts, .. }| {
                facts.days = vec![(day, facts.counts.handshakes)];
                (addr, facts)
            })
            .collect();
        all.sort_unstable_by_key(|(addr, _)| *addr);
        all
    }
}

/// A source in [`Sources::visit_recent`].
#[derive(Debug)]
pub struct Visited<'a> {
    /// Which.
    pub addr: SourceAddr,
    /// What the day leaves behind.
    pub facts: &'a mut SourceFacts,
    /// What guards know of it.
    pub memory: &'a mut Memory,
    /// Its windows.
    pub recent: &'a mut Recent,
}

/// What an increment is worth.
#[derive(Debug, Clone, Copy)]
struct Kind {
    is_timed: bool,
    is_new_port: bool,
    is_new_to_day: bool,
}

impl Recent {
    fn add_port(&mut self, window: u64) {
        if self.ports[0].0 != window {
            self.ports = [(window, 0), self.ports[0]];
        }
        self.ports[0].1 += 1;
    }

    /// Distinct ports of `window`.
    #[must_use]
    pub fn ports_in(&self, window: u64) -> u32 {
        let of = self.ports.iter().find(|(of, _)| *of == window);
        of.map_or(0, |(_, count)| *count)
    }
}

/// Files without the field are of one table.
fn is_proven(row: &Source) -> bool {
    row.proven.unwrap_or(true)
}

fn increment(life: &Life, next: &Life, now: &Now) -> Result<(Counts, bool), RowFault> {
    if next.born_boot_ns == life.born_boot_ns {
        let increment = next.counts.since(life.counts).ok_or(RowFault::Backwards)?;
        return Ok((increment, now.is_timed && life.ordinal >= now.baseline));
    }
    if next.born_boot_ns < life.born_boot_ns {
        return Err(RowFault::OlderLife);
    }
    // Evicted and made anew: what it counted in between and lost is in no row.
    Ok((next.counts, now.is_timed && is_born_within(next.born_boot_ns, now.from_ns)))
}

/// An entry that was being made while the sweep before began may be in neither.
const fn is_born_within(born_boot_ns: u64, from_ns: u64) -> bool {
    born_boot_ns.saturating_add(TICK_BOUND_NS) >= from_ns
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
