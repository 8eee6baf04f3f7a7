// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keeps the spool in its bounds: looks at what there is, plans, acts.
//!
//! Touches only regular files of ours with the name of a sealed segment. Trouble here never
//! stops the reader: it is said once a minute and the next run tries again.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use ibsr_proto::snapshot::{Gap, GapReason, SegmentName};
use rustix::fs::Timespec;

use super::Limits;
use super::coarsen;
use super::dir::{Dir, Entry};
use super::error::SpoolError;
use super::peek;
use super::plan::{Action, Bounds, Stored, plan};
use super::uploaded::mark_uploaded;
use crate::clock::Moment;
use crate::throttle::Throttle;

/// Time between runs in which nothing was sealed: age alone is at work then.
const IDLE_NS: u64 = 60_000_000_000;
/// After this long the rest is left to the next period: sweeps must go on, and the watchdog
/// waits. Only a limit that was lowered by much needs more than one run.
const BUDGET: Duration = Duration::from_secs(5);

/// Retention of one scope.
#[derive(Debug)]
pub(super) struct Retention {
    scope: String,
    limits: Limits,
    ledger: Option<PathBuf>,
    /// Segments that merging does not make smaller.
    unmergeable: HashSet<SegmentName>,
    due_boot_ns: u64,
    trouble: Throttle,
}

impl Retention {
    pub(super) fn new(scope: &str, limits: &Limits, ledger: Option<PathBuf>) -> Self {
        Self {
            scope: scope.to_owned(),
            limits: limits.clone(),
            ledger,
            unmergeable: HashSet::new(),
            due_boot_ns: 0,
            trouble: Throttle::default(),
        }
    }

    /// Makes the next [`Self::run`] look, however short ago the last one was.
    pub(super) fn wake(&mut self) {
        self.due_boot_ns = 0;
    }

    /// Brings the spool into its bounds; returns a gap row for each segment that was lost.
    /// `boot8` is the current boot, as far as it is known.
    pub(super) fn run(&mut self, dir: &Dir, boot8: Option<&str>, now_boot_ns: u64) -> Vec<Gap> {
        if now_boot_ns < self.due_boot_ns {
            return Vec::new();
        }
        self.due_boot_ns = now_boot_ns.saturating_add(IDLE_NS);
        let mut gaps = Vec::new();
        if let Err(error) = self.bound(dir, boot8, now_boot_ns, &mut gaps) {
            self.complain(&error, now_boot_ns);
        }
        gaps
    }

    fn bound(
        &mut self,
        dir: &Dir,
        boot8: Option<&str>,
        now_boot_ns: u64,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), SpoolError> {
        let mut stored = self.survey(dir, boot8, now_boot_ns)?;
        let begun = Instant::now();
        loop {
            let steps = plan(stored.clone(), self.bounds(), Moment::now().unix_ms);
            let is_last = !matches!(steps.last(), Some(Action::Merge(_)));
            for step in &steps {
                if let Err(error) = self.act(dir, step, boot8, &mut stored, gaps) {
                    self.complain(&error, now_boot_ns);
                }
            }
            if is_last || begun.elapsed() > BUDGET {
                self.due_boot_ns = if is_last { self.due_boot_ns } else { 0 };
                return if steps.is_empty() { Ok(()) } else { dir.sync() };
            }
        }
    }

    fn bounds(&self) -> Bounds {
        let ms = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Bounds {
            bytes: self.limits.spool_bytes,
            age_ms: ms(self.limits.spool_age),
            keep_uploaded_ms: ms(self.limits.keep_uploaded),
        }
    }

    /// The sealed segments there are.
    fn survey(
        &mut self,
        dir: &Dir,
        boot8: Option<&str>,
        now_boot_ns: u64,
    ) -> Result<Vec<Stored>, SpoolError> {
        let parse = |name: &str| SegmentName::parse(name, &self.scope);
        let entries = dir.list(|name| parse(name).is_some())?;
        let ours = entries.iter().filter(|entry| entry.facts.is_our_file(dir.uid()));
        let mut stored: Vec<Stored> =
            ours.filter_map(|entry| Some(self.stored(parse(&entry.name)?, entry))).collect();
        finish_merges(dir, &mut stored)?;
        self.unmergeable.retain(|name| stored.iter().any(|it| it.name == *name));
        // Of an unknown boot any could be the newest.
        let is_current = |it: &&mut Stored| boot8.is_none_or(|boot8| it.name.boot8 == boot8);
        let newest = stored.iter_mut().filter(is_current).max_by_key(|it| it.name.first_seq);
        if let Some(newest) = newest {
            newest.is_newest = true;
        }
        if let Some(ledger) = &self.ledger
            && let Err(error) = mark_uploaded(ledger, &self.scope, &mut stored)
            && self.trouble.say(now_boot_ns).is_some()
        {
            tracing::warn!(path = %ledger.display(), %error, "ledger not read");
        }
        Ok(stored)
    }

    fn stored(&self, name: SegmentName, entry: &Entry) -> Stored {
        let is_mergeable = name.merged_to.is_none() && !self.unmergeable.contains(&name);
        Stored {
            name,
            bytes: entry.bytes,
            modified_unix_ms: unix_ms(entry.modified),
            uploaded_unix_ms: None,
            is_mergeable,
            is_newest: false,
        }
    }

    /// Takes one step and brings `stored` up to date. A segment that resists leaves the list:
    /// it is not tried again in this run.
    fn act(
        &mut self,
        dir: &Dir,
        step: &Action,
        boot8: Option<&str>,
        stored: &mut Vec<Stored>,
        gaps: &mut Vec<Gap>,
    ) -> Result<(), SpoolError> {
        match step {
            Action::Merge(name) => return self.merge(dir, name, stored),
            Action::Remove(name) => {
                stored.retain(|it| it.name != *name);
                dir.remove(&name.to_string())?;
                let path = dir.path_of(&name.to_string());
                tracing::debug!(path = %path.display(), "uploaded segment removed");
            }
            Action::Drop(name) => {
                stored.retain(|it| it.name != *name);
                let gap = gap_of(dir, name, boot8);
                dir.remove(&name.to_string())?;
                let path = dir.path_of(&name.to_string());
                tracing::error!(path = %path.display(), "segment dropped: the spool is full");
                gaps.push(gap);
            }
        }
        Ok(())
    }

    fn merge(
        &mut self,
        dir: &Dir,
        name: &SegmentName,
        stored: &mut [Stored],
    ) -> Result<(), SpoolError> {
        let Some(it) = stored.iter_mut().find(|it| it.name == *name) else { return Ok(()) };
        it.is_mergeable = false;
        let Some(merged) = coarsen::merge(dir, name, it.bytes, timespec(it.modified_unix_ms))?
        else {
            self.unmergeable.insert(name.clone());
            return Ok(());
        };
        let path = dir.path_of(&merged.name.to_string());
        let (before, after) = (it.bytes, merged.bytes);
        tracing::info!(path = %path.display(), before, after, "sweeps merged");
        (it.name, it.bytes) = (merged.name, merged.bytes);
        dir.remove(&name.to_string())
    }

    fn complain(&mut self, error: &SpoolError, now_boot_ns: u64) {
        if let Some(unsaid) = self.trouble.say(now_boot_ns) {
            tracing::error!(unsaid, %error, "spool not brought into its bounds");
        }
    }
}

/// A crash between the last two steps of a merge leaves both files: takes the last step.
fn finish_merges(dir: &Dir, stored: &mut Vec<Stored>) -> Result<(), SpoolError> {
    let origins: HashSet<SegmentName> = stored
        .iter()
        .filter(|it| it.name.merged_to.is_some())
        .map(|it| SegmentName { merged_to: None, ..it.name.clone() })
        .collect();
    for it in stored.iter().filter(|it| origins.contains(&it.name)) {
        dir.remove(&it.name.to_string())?;
    }
    stored.retain(|it| !origins.contains(&it.name));
    Ok(())
}

/// What is lost with a segment. The interval of another boot means nothing in this one.
fn gap_of(dir: &Dir, name: &SegmentName, boot8: Option<&str>) -> Gap {
    let is_current = boot8 == Some(name.boot8.as_str());
    let first = peek::first_sweep(dir, name).ok().flatten().filter(|_| is_current);
    let last = peek::last_sweep(dir, name).ok().flatten().filter(|_| is_current);
    let from_boot_ns = first.map_or(0, |sweep| match sweep.since_boot_ns {
        0 => sweep.at_boot_ns,
        since => since,
    });
    Gap {
        from_boot_ns,
        to_boot_ns: last.map_or(0, |sweep| sweep.at_boot_ns),
        reason: GapReason::Retention,
        segment: Some(name.to_string()),
    }
}

fn unix_ms(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000) + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
}

fn timespec(unix_ms: u64) -> Timespec {
    let (seconds, rest) = (unix_ms / 1_000, unix_ms % 1_000);
    Timespec {
        tv_sec: i64::try_from(seconds).unwrap_or(0),
        tv_nsec: i64::try_from(rest).unwrap_or(0) * 1_000_000,
    }
}
