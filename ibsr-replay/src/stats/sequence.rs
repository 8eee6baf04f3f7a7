// SPDX-License-Identifier: MIT OR Apache-2.0
//! The search for a threshold that spends no error on searching.
//!
//! Thresholds are nested and ordered before anybody looks. Each is tried with the whole
//! error, from the safest on, and the first that fails ends the search. An acceptance that
//! is wrong needs the safest of the wrong ones to be accepted, which is one test; so all
//! tests together err no more often than one (fixed-sequence testing).

use super::bound::upper_ppb;

/// One threshold, tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its place in the sequence, 0 is the safest.
    pub index: usize,
    /// Hits.
    pub k: u64,
    /// Of so many.
    pub n: u64,
    /// The bound of `k` in `n`.
    pub upper_ppb: u64,
    /// Whether the bound is at most the limit.
    pub is_accepted: bool,
}

/// What was tried, in order. Only the last step can be one that was not accepted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Path {
    /// Every threshold up to the first that failed.
    pub steps: Vec<Step>,
}

impl Path {
    /// Index of the last that was accepted: the loosest that is still safe.
    #[must_use]
    pub fn accepted(&self) -> Option<usize> {
        self.steps.iter().rev().find(|step| step.is_accepted).map(|step| step.index)
    }
}

/// Tries `(k, n)` of each threshold in turn, safest first, and stops behind the first whose
/// bound is above `limit_ppb`. What comes behind is not asked for.
#[must_use]
pub fn search(
    counts: impl IntoIterator<Item = (u64, u64)>,
    limit_ppb: u64,
    alpha_ppb: u64,
) -> Path {
    let mut steps = Vec::new();
    for (index, (k, n)) in counts.into_iter().enumerate() {
        let upper_ppb = upper_ppb(k, n, alpha_ppb);
        let is_accepted = upper_ppb <= limit_ppb;
        steps.push(Step { index, k, n, upper_ppb, is_accepted });
        if !is_accepted {
            break;
        }
    }
    Path { steps }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: u64 = 50_000_000;
    const LIMIT: u64 = 1_000_000;

    fn verdicts(path: &Path) -> Vec<bool> {
        path.steps.iter().map(|step| step.is_accepted).collect()
    }

    /// The third would be accepted, but the search has ended before it.
    #[test]
    fn nothing_is_accepted_behind_the_first_failure() {
        let path = search([(0, 5000), (9, 5000), (0, 5000)], LIMIT, ALPHA);
        assert_eq!(verdicts(&path), [true, false]);
        assert_eq!(path.accepted(), Some(0));
    }

    #[test]
    fn the_last_of_the_accepted_is_kept() {
        let path = search([(0, 5000), (0, 5000), (1, 5000)], LIMIT, ALPHA);
        assert_eq!(verdicts(&path), [true, true, true]);
        assert_eq!(path.accepted(), Some(2));
        assert_eq!(path.steps[2].upper_ppb, upper_ppb(1, 5000, ALPHA));
    }

    #[test]
    fn a_bound_at_the_limit_is_accepted() {
        let limit = upper_ppb(2, 5000, ALPHA);
        assert_eq!(search([(2, 5000)], limit, ALPHA).accepted(), Some(0));
        assert_eq!(search([(2, 5000)], limit - 1, ALPHA).accepted(), None);
        assert_eq!(search([], LIMIT, ALPHA), Path::default());
    }

    /// Counting is the expensive part: what is behind a failure must not be counted.
    #[test]
    fn what_is_behind_a_failure_is_not_asked_for() {
        let mut asked = 0;
        let counts = (0..10).map(|at| {
            asked += 1;
            (at * 3, 5000)
        });
        assert_eq!(search(counts, LIMIT, ALPHA).accepted(), Some(0));
        assert_eq!(asked, 2);
    }
}
