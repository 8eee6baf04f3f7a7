// SPDX-License-Identifier: MIT OR Apache-2.0
//! What folds leave behind, from any number of processes and machines, and how it is added
//! up: facts in memory, sources in sorted runs, in memory or in files.
//!
//! Adding is associative and commutative. `codec` is the file, `runs` merges sorted sources.

pub mod codec;
pub mod runs;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{bail, ensure};
use ibsr_replay::fold::facts::{MAX_EXAMPLES, UnitFacts, UnitId};
use ibsr_replay::model::{Input, Refused};
use ibsr_replay::talk::lives::TalkFacts;
use serde::{Deserialize, Serialize};

use self::runs::Run;

/// What every partial of one report must agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Length of a window.
    pub window_ns: u64,
    /// Canonical rule set.
    pub rules: String,
}

/// A segment that was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentFact {
    /// Its name.
    pub name: String,
    /// Its unpacked bytes.
    pub bytes: u64,
    /// Its rows, the footer not counted.
    pub lines: u64,
    /// Where it was found.
    pub origins: BTreeSet<String>,
    /// Whether a fold needed it.
    pub is_used: bool,
}

/// Everything but sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What it was folded with.
    pub terms: Terms,
    /// Segments by the SHA-256 of their bytes.
    pub segments: BTreeMap<String, SegmentFact>,
    /// Files that could not be used, by origin: name and reason.
    pub refused: BTreeMap<String, (String, String)>,
    /// Days of streams.
    pub units: BTreeMap<UnitId, UnitFacts>,
    /// Days of streams of cgroups.
    pub talks: BTreeMap<UnitId, TalkFacts>,
}

/// Facts with their sources.
#[derive(Debug)]
pub struct Partial {
    /// Everything but sources.
    pub facts: Facts,
    /// Sorted sources; an address may stand in several runs.
    pub runs: Vec<Run>,
}

impl Facts {
    /// Nothing, yet.
    #[must_use]
    pub const fn new(terms: Terms) -> Self {
        Self {
            terms,
            segments: BTreeMap::new(),
            refused: BTreeMap::new(),
            units: BTreeMap::new(),
            talks: BTreeMap::new(),
        }
    }

    /// Adds those of another partial.
    ///
    /// # Errors
    /// When they were folded with other windows or rules, or hold the same day of the same
    /// stream: a day is folded whole, by one.
    pub fn join(&mut self, other: Self) -> anyhow::Result<()> {
        ensure!(
            self.terms == other.terms,
            "partials were folded with different windows or rules\nhint: fold all days with the same `--window` and `--rules`"
        );
        add_days(&mut self.units, other.units)?;
        add_days(&mut self.talks, other.talks)?;
        for (sha256, segment) in other.segments {
            match self.segments.get_mut(&sha256) {
                Some(own) => own.join(segment),
                None => drop(self.segments.insert(sha256, segment)),
            }
        }
        self.refused.extend(other.refused);
        Ok(())
    }

    /// What the report says about files.
    #[must_use]
    pub fn input(&self) -> Input {
        let used = || self.segments.values().filter(|segment| segment.is_used);
        let origins: u64 = self.segments.values().map(|segment| segment.origins.len() as u64).sum();
        let segments_refused = self.refused.len() as u64;
        let mut refused: Vec<Refused> = self
            .refused
            .values()
            .map(|(segment, reason)| Refused { segment: segment.clone(), reason: reason.clone() })
            .collect();
        refused.sort();
        refused.truncate(MAX_EXAMPLES);
        Input {
            segments_found: origins + segments_refused,
            segments_used: used().count() as u64,
            segments_copied: origins.saturating_sub(used().count() as u64),
            segments_refused,
            refused,
            bytes: used().fold(0, |sum, segment| segment.bytes.saturating_add(sum)),
            ..Input::default()
        }
    }
}

fn add_days<T>(own: &mut BTreeMap<UnitId, T>, others: BTreeMap<UnitId, T>) -> anyhow::Result<()> {
    for (id, facts) in others {
        let (host, scope) = (id.stream.host.clone(), id.stream.scope.clone());
        let day = ibsr_replay::judge::date(id.day);
        if own.insert(id, facts).is_some() {
            bail!(
                "two partials hold {day} of `{scope}` on `{host}`\nhint: fold each day once, with all of its segments"
            );
        }
    }
    Ok(())
}

impl SegmentFact {
    fn join(&mut self, other: Self) {
        self.origins.extend(other.origins);
        self.is_used |= other.is_used;
        // The same bytes under two names: one of them, whichever was read first.
        self.name = std::mem::take(&mut self.name).min(other.name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(day: u32, origin: &str, is_used: bool) -> Facts {
        let mut facts = Facts::new(Terms { window_ns: 1, rules: String::new() });
        let segment = SegmentFact {
            name: "s".into(),
            bytes: 10,
            lines: 2,
            origins: BTreeSet::from([origin.to_owned()]),
            is_used,
        };
        facts.segments.insert("aa".into(), segment);
        let stream = ibsr_replay::fold::id::StreamId {
            host: "h".into(),
            scope: "x".into(),
            boot_id: "b".into(),
            epoch: "e".into(),
        };
        facts.units.insert(UnitId { stream, day }, UnitFacts::default());
        facts
    }

    /// A segment over midnight is read by two folds and is one segment.
    #[test]
    fn a_segment_of_two_days_is_counted_once() {
        let mut all = facts(1, "a", true);
        all.join(facts(2, "a", false)).expect("two days");
        assert_eq!((all.input().segments_found, all.input().segments_used), (1, 1));
        all.join(facts(3, "b", true)).expect("three days");
        let input = all.input();
        assert_eq!((input.segments_found, input.segments_copied, input.bytes), (2, 1, 10));
    }

    #[test]
    fn a_day_is_folded_once_and_with_the_same_rules() {
        let mut all = facts(1, "a", true);
        let error = all.join(facts(1, "b", true)).expect_err("the same day");
        assert!(error.to_string().contains("1970-01-02"), "{error}");
        let mut other = facts(2, "a", true);
        other.terms.window_ns = 2;
        assert!(all.join(other).is_err());
    }
}
