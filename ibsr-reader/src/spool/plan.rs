// SPDX-License-Identifier: MIT OR Apache-2.0
//! What leaves the spool first. Pure: a list of segments and the bounds in, actions out.
//!
//! The order loses as little as it can: what the bucket has goes first, then sweeps are
//! merged (their sums stay), then the oldest segment is dropped.

use ibsr_proto::snapshot::SegmentName;

/// A sealed segment, as far as retention is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) name: SegmentName,
    pub(super) bytes: u64,
    pub(super) modified_unix_ms: u64,
    /// When the ledger says it came into the bucket; `None`: it did not.
    pub(super) uploaded_unix_ms: Option<u64>,
    /// Merging its sweeps could make it smaller.
    pub(super) is_mergeable: bool,
    /// The newest of this boot: the numbering goes on from it, so it goes last.
    pub(super) is_newest: bool,
}

/// What the spool may hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) age_ms: u64,
    pub(super) keep_uploaded_ms: u64,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Remove a segment that the bucket has.
    Remove(SegmentName),
    /// Merge its sweeps into one, then plan again: only then its size is known.
    Merge(SegmentName),
    /// Lose a segment.
    Drop(SegmentName),
}

/// The steps that bring `stored` into its bounds, in order; empty when it is. After a
/// [`Action::Merge`], which is always the last, there may be more to do.
pub(super) fn plan(mut stored: Vec<Stored>, bounds: Bounds, now_unix_ms: u64) -> Vec<Action> {
    // A wall clock that was set back makes files look new, never old.
    let age = |since_unix_ms: u64| now_unix_ms.saturating_sub(since_unix_ms);
    stored.sort_by_key(|it| (it.is_newest, it.modified_unix_ms, it.name.clone()));
    let mut steps = Vec::new();
    stored.retain(|it| {
        let is_kept_long = it.uploaded_unix_ms.is_some_and(|at| age(at) > bounds.keep_uploaded_ms);
        let is_done = is_kept_long && !it.is_newest;
        let is_out = is_done || age(it.modified_unix_ms) > bounds.age_ms;
        if is_out {
            steps.push(leave(it));
        }
        !is_out
    });
    let mut bytes: u64 = stored.iter().map(|it| it.bytes).sum();
    stored.retain(|it| {
        let is_out = bytes > bounds.bytes && it.uploaded_unix_ms.is_some() && !it.is_newest;
        if is_out {
            bytes -= it.bytes;
            steps.push(leave(it));
        }
        !is_out
    });
    if bytes <= bounds.bytes {
        return steps;
    }
    if let Some(it) = stored.iter().find(|it| it.is_mergeable) {
        steps.push(Action::Merge(it.name.clone()));
        return steps;
    }
    for it in &stored {
        if bytes <= bounds.bytes {
            break;
        }
        bytes -= it.bytes;
        steps.push(leave(it));
    }
    steps
}

fn leave(it: &Stored) -> Action {
    match it.uploaded_unix_ms {
        Some(_) => Action::Remove(it.name.clone()),
        None => Action::Drop(it.name.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_000_000;

    /// A segment of 10 bytes; `seq` is also its age order.
    fn stored(first_seq: u64) -> Stored {
        let name = SegmentName {
            host: "host".into(),
            scope: "xdp-eth0".into(),
            boot8: "0af3c9d1".into(),
            first_seq,
            merged_to: None,
        };
        Stored {
            name,
            bytes: 10,
            modified_unix_ms: first_seq,
            uploaded_unix_ms: None,
            is_mergeable: false,
            is_newest: false,
        }
    }

    fn bounds(bytes: u64) -> Bounds {
        Bounds { bytes, age_ms: u64::MAX, keep_uploaded_ms: u64::MAX }
    }

    fn four() -> Vec<Stored> {
        let mut all: Vec<_> = (1..=4).rev().map(stored).collect();
        all[0].is_newest = true;
        all
    }

    fn shown(actions: &[Action]) -> Vec<(char, u64)> {
        let show = |action: &Action| match action {
            Action::Remove(name) => ('r', name.first_seq),
            Action::Merge(name) => ('m', name.first_seq),
            Action::Drop(name) => ('d', name.first_seq),
        };
        actions.iter().map(show).collect()
    }

    #[test]
    fn nothing_leaves_a_spool_within_its_bounds() {
        assert_eq!(plan(four(), bounds(40), NOW), []);
        assert_eq!(plan(vec![], bounds(0), NOW), []);
    }

    #[test]
    fn uploaded_goes_before_merging_before_dropping() {
        let mut all = four();
        all[1].uploaded_unix_ms = Some(1);
        all[2].is_mergeable = true;
        assert_eq!(shown(&plan(all.clone(), bounds(39), NOW)), [('r', 3)]);
        assert_eq!(shown(&plan(all.clone(), bounds(29), NOW)), [('r', 3), ('m', 2)]);
        all[2].is_mergeable = false;
        assert_eq!(shown(&plan(all, bounds(15), NOW)), [('r', 3), ('d', 1), ('d', 2)]);
    }

    #[test]
    fn no_more_leaves_than_must() {
        let mut all = four();
        all.iter_mut().for_each(|it| it.uploaded_unix_ms = Some(1));
        assert_eq!(shown(&plan(all, bounds(20), NOW)), [('r', 1), ('r', 2)]);
    }

    /// Without it a restart would begin to count at a number that the bucket has already.
    #[test]
    fn the_newest_stays_though_uploaded_and_is_dropped_last() {
        let mut all = four();
        all.iter_mut().for_each(|it| it.uploaded_unix_ms = Some(1));
        let short = Bounds { keep_uploaded_ms: 10, ..bounds(1_000) };
        assert_eq!(shown(&plan(all.clone(), short, NOW)), [('r', 1), ('r', 2), ('r', 3)]);
        all[0].uploaded_unix_ms = None;
        all[0].modified_unix_ms = 0;
        assert_eq!(shown(&plan(all, bounds(0), NOW)), [('r', 1), ('r', 2), ('r', 3), ('d', 4)]);
    }

    /// The time counts from the upload, not from the seal.
    #[test]
    fn an_uploaded_segment_is_kept_for_its_time() {
        let mut all = four();
        all[2].uploaded_unix_ms = Some(NOW - 10);
        all[3].uploaded_unix_ms = Some(NOW - 11);
        let keep = Bounds { keep_uploaded_ms: 10, ..bounds(1_000) };
        assert_eq!(shown(&plan(all, keep, NOW)), [('r', 1)]);
    }

    #[test]
    fn age_drops_whatever_is_too_old() {
        let old = Bounds { age_ms: NOW - 3, ..bounds(1_000) };
        assert_eq!(shown(&plan(four(), old, NOW)), [('d', 1), ('d', 2)]);
    }

    /// R8: files from the future after the wall clock was set back.
    #[test]
    fn a_clock_that_was_set_back_drops_nothing() {
        let strict = Bounds { age_ms: 1, keep_uploaded_ms: 1, ..bounds(1_000) };
        assert_eq!(plan(four(), strict, 0), []);
    }
}
