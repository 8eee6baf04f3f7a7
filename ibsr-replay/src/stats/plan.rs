// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much longer to observe.

use super::bound::needed;

/// What is missing until a bound reaches its target, if hits stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Clusters that are needed with the present number of hits; `u64::MAX` where no number
    /// is enough.
    pub needed_clusters: u64,
    /// Days until there are so many, in thousandths and rounded up; `None` when none come or
    /// no number is enough.
    pub more_days_milli: Option<u64>,
}

/// Plans for `k` hits of `n` clusters, when `per_day_milli` thousandths of a new cluster
/// come a day. `alpha_ppb` is what the look at the end of these days may spend.
#[must_use]
pub fn plan(k: u64, n: u64, per_day_milli: u64, target_ppb: u64, alpha_ppb: u64) -> Plan {
    let needed_clusters = needed(k, target_ppb, alpha_ppb);
    let more_days_milli = match needed_clusters {
        u64::MAX => None,
        needed => days_milli(needed.saturating_sub(n), per_day_milli),
    };
    Plan { needed_clusters, more_days_milli }
}

/// Time for so many clusters. Both sides are thousandths, of clusters and of days.
fn days_milli(missing: u64, per_day_milli: u64) -> Option<u64> {
    const MILLI: u128 = 1000;
    match (missing, per_day_milli) {
        (0, _) => Some(0),
        (_, 0) => None,
        _ => {
            let milli = u128::from(missing) * MILLI * MILLI;
            u64::try_from(milli.div_ceil(u128::from(per_day_milli))).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALPHA: u64 = 50_000_000;
    const TARGET: u64 = 1_000_000;

    /// 4742 clusters are needed with one hit; 1806 are missing; at 430 a day that is 4.2 days.
    #[test]
    fn days_are_what_is_missing_by_what_comes() {
        let plan = plan(1, 2936, 430_000, TARGET, ALPHA);
        assert_eq!(plan, Plan { needed_clusters: 4742, more_days_milli: Some(4200) });
    }

    #[test]
    fn a_part_of_a_day_is_rounded_up() {
        assert_eq!(plan(0, 2994, 1_000_000, TARGET, ALPHA).more_days_milli, Some(1));
        assert_eq!(plan(0, 2994, 3, TARGET, ALPHA).more_days_milli, Some(333_334));
    }

    #[test]
    fn enough_is_enough_even_when_no_more_come() {
        assert_eq!(plan(0, 2995, 0, TARGET, ALPHA).more_days_milli, Some(0));
        assert_eq!(plan(0, u64::MAX, 0, TARGET, ALPHA).more_days_milli, Some(0));
    }

    #[test]
    fn where_none_come_or_no_number_is_enough_there_is_no_plan() {
        assert_eq!(plan(0, 2994, 0, TARGET, ALPHA).more_days_milli, None);
        assert_eq!(plan(0, 2994, 1000, 0, ALPHA).more_days_milli, None);
        assert_eq!(plan(u64::MAX, 0, u64::MAX, TARGET, ALPHA).more_days_milli, None);
    }
}
