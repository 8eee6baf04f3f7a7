// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each look at the same evidence may spend of the error.
//!
//! Who looks until the answer pleases will see it by chance. The errors of all looks
//! together, however many, are below 5 %: the sum of 1/j^2 over all j is pi^2/6.

/// `0.05 * 6 / pi^2`, in parts of 10^15.
const FIRST: u128 = 30_396_355_092_701;
/// Parts of [`FIRST`] in one part per thousand million.
const PARTS_PER_PPB: u128 = 1_000_000;

/// Error of the `look`-th report about one stream of evidence, from 1, in parts per thousand
/// million and rounded down. Look 0 counts as the first.
#[must_use]
pub fn alpha_ppb(look: u32) -> u64 {
    let look = u128::from(look.max(1));
    u64::try_from(FIRST / (PARTS_PER_PPB * look * look)).expect("less than at the first look")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_look_spends_less() {
        let exact = |look: f64| (0.3 / std::f64::consts::PI.powi(2) / (look * look) * 1e9).floor();
        for look in 1..2000_u32 {
            assert_eq!(alpha_ppb(look) as f64, exact(f64::from(look)), "{look}");
        }
        assert_eq!(alpha_ppb(1), 30_396_355);
        assert_eq!(alpha_ppb(0), alpha_ppb(1));
        assert_eq!(alpha_ppb(u32::MAX), 0);
    }

    #[test]
    fn all_looks_together_spend_less_than_five_percent() {
        let spent: u64 = (1..=100_000).map(alpha_ppb).sum();
        assert!(spent < 50_000_000, "{spent}");
        assert!(spent > 49_990_000, "{spent}");
    }
}
