// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows on the boot clock: window `w` of length `W` is `[w W, (w + 1) W)`.
//!
//! A sweep's interval rarely ends on a window's edge. Its increments are spread over the
//! windows that it covers in proportion to the overlap, in integers: up to an edge at `t`
//! the floor of `n (t - from) / (to - from)` belongs to the windows before it. So every
//! packet is in one window, sums are kept exactly, and two sweeps that end in one window do
//! not make it look twice as busy as the next.

use serde::{Deserialize, Serialize};

use super::counts::Counts;

/// A stretch of the boot clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stretch {
    /// Start.
    pub from_ns: u64,
    /// End, after the start.
    pub to_ns: u64,
}

impl Stretch {
    /// Length.
    #[must_use]
    pub const fn len_ns(self) -> u64 {
        self.to_ns.saturating_sub(self.from_ns)
    }
}

/// The shares of `counts`, gathered over `over`, by window, in order. A window without a
/// share is left out.
pub fn apportion(
    counts: Counts,
    over: Stretch,
    window_ns: u64,
) -> impl Iterator<Item = (u64, Counts)> {
    let Stretch { from_ns, to_ns } = over;
    let last = to_ns.saturating_sub(1) / window_ns;
    let mut given = Counts::default();
    (from_ns / window_ns..=last).filter_map(move |window| {
        let edge = (window + 1).saturating_mul(window_ns).min(to_ns);
        let until = counts.map(|n| scaled(n, edge - from_ns, over.len_ns()));
        let share = until.zip(given, |until, given| until - given);
        given = until;
        (!share.is_zero()).then_some((window, share))
    })
}

/// `n * part / whole`, rounded down; the wide division only where it is needed.
fn scaled(n: u64, part: u64, whole: u64) -> u64 {
    if part >= whole {
        return n;
    }
    match n.checked_mul(part) {
        Some(product) => product / whole,
        None => {
            let wide = u128::from(n) * u128::from(part) / u128::from(whole);
            u64::try_from(wide).expect("part < whole, so the result is below n")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syns(n: u64, from_ns: u64, to_ns: u64) -> Vec<(u64, u64)> {
        let counts = Counts { syn: n, ..Counts::default() };
        apportion(counts, Stretch { from_ns, to_ns }, 10)
            .map(|(window, share)| (window, share.syn))
            .collect()
    }

    #[test]
    fn an_interval_inside_a_window_belongs_to_it() {
        assert_eq!(syns(7, 20, 30), [(2, 7)]);
        assert_eq!(syns(7, 23, 26), [(2, 7)]);
    }

    #[test]
    fn an_interval_over_an_edge_is_split_by_overlap() {
        assert_eq!(syns(10, 16, 26), [(1, 4), (2, 6)]);
        assert_eq!(syns(1, 16, 26), [(2, 1)]);
        assert_eq!(syns(30, 5, 35), [(0, 5), (1, 10), (2, 10), (3, 5)]);
    }

    /// The sum is what the report is about: it must survive any rounding, at any size.
    #[test]
    fn no_packet_is_lost_or_made_by_spreading() {
        for n in [0, 1, 2, 3, 97, u64::MAX / 3, u64::MAX] {
            for from in 0..25 {
                for to in from + 1..from + 40 {
                    let sum: u64 = syns(n, from, to).iter().map(|(_, share)| share).sum();
                    assert_eq!(sum, n, "{n} over {from}..{to}");
                }
            }
        }
    }
}
