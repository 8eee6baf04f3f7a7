// SPDX-License-Identifier: MIT OR Apache-2.0
//! Increments spread over windows.

use std::collections::{BTreeMap, BTreeSet};

use super::entries::Increment;
use super::tally::Tally;
use super::timing::Placed;

/// What a sweep put into a window.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    /// Which sweep of the unit.
    pub sweep: usize,
    /// How much.
    pub tally: Tally,
}

/// The windows of one source.
#[derive(Debug, Default)]
pub struct Windows {
    shares: BTreeMap<i128, Vec<Share>>,
    ports: BTreeMap<i128, BTreeSet<u16>>,
}

/// `tally`, gathered over `(from_ns, to_ns]`, window by window.
pub fn spread(tally: &Tally, from_ns: i128, to_ns: i128, window_ns: i128) -> Vec<(i128, Tally)> {
    let until = |edge_ns: i128| {
        let part = u128::try_from(edge_ns.clamp(from_ns, to_ns) - from_ns).expect("clamped");
        let whole = u128::try_from(to_ns - from_ns).expect("sweeps ascend");
        tally.each(tally, |n, _| n * part / whole)
    };
    (from_ns / window_ns..=(to_ns - 1) / window_ns)
        .map(|window| {
            let upper = until((window + 1) * window_ns);
            (window, upper.since(&until(window * window_ns)).expect("a later edge holds more"))
        })
        .filter(|(_, share)| !share.is_zero())
        .collect()
}

/// Whether one unbroken run of timed intervals covers all of `window`.
pub fn is_complete(placed: &[Placed<'_>], window: i128, window_ns: i128) -> bool {
    let mut need_ns = window * window_ns;
    for at in placed.iter().filter(|at| at.is_timed) {
        if at.from_ns <= need_ns && at.to_ns > need_ns {
            need_ns = at.to_ns;
        }
    }
    need_ns >= (window + 1) * window_ns
}

impl Windows {
    /// The windows of the source whose increments these are.
    pub fn of(increments: &[&Increment], placed: &[Placed<'_>], window_ns: i128) -> Self {
        let mut by_sweep: BTreeMap<usize, Tally> = BTreeMap::new();
        let mut windows = Self::default();
        for found in increments.iter().filter(|found| found.is_timed && !found.tally.is_zero()) {
            by_sweep.entry(found.sweep).or_default().add(&found.tally);
            let ends_in = (placed[found.sweep].to_ns - 1) / window_ns;
            windows.ports.entry(ends_in).or_default().insert(found.port);
        }
        for (sweep, sum) in by_sweep {
            let at = &placed[sweep];
            for (window, tally) in spread(&sum, at.from_ns, at.to_ns, window_ns) {
                windows.shares.entry(window).or_default().push(Share { sweep, tally });
            }
        }
        windows
    }

    /// Windows that hold anything.
    pub fn numbers(&self) -> Vec<i128> {
        self.shares.keys().copied().collect()
    }

    /// Everything in `window` that the sweeps up to `sweep` put there.
    pub fn tally(&self, window: i128, sweep: usize) -> Tally {
        let mut sum = Tally::default();
        for share in self.shares.get(&window).into_iter().flatten() {
            if share.sweep <= sweep {
                sum.add(&share.tally);
            }
        }
        sum
    }

    /// Distinct ports of `window`.
    pub fn ports(&self, window: i128) -> u128 {
        self.ports.get(&window).map_or(0, |ports| ports.len() as u128)
    }
}
