// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bounds against closed forms, published numbers, another library and chance itself.

use statrs::distribution::{ContinuousCDF as _, Normal};
use statrs::function::beta::beta_reg;

use super::*;

/// 5 %.
const ALPHA: u64 = 50_000_000;

/// Clusters that are needed for a target, from the definition of the report.
#[test]
fn as_many_clusters_are_needed_as_the_definition_says() {
    let table: [(u64, &[(u64, u64)]); 3] = [
        (10_000_000, &[(0, 299), (1, 473), (2, 628), (5, 1049)]),
        (1_000_000, &[(0, 2995), (1, 4742), (2, 6294), (5, 10_511)]),
        (100_000, &[(0, 29_956), (1, 47_437)]),
    ];
    for (target, cases) in table {
        for &(k, n) in cases {
            assert_eq!(needed(k, target, ALPHA), n, "{k} at {target}");
            assert!(upper_ppb(k, n, ALPHA) <= target, "{k} of {n}");
            assert!(upper_ppb(k, n - 1, ALPHA) > target, "{k} of {}", n - 1);
        }
    }
}

/// Without hits the bound is 1 - alpha^(1/n).
#[test]
fn without_hits_the_bound_is_the_closed_form() {
    for n in [1_u64, 2, 10, 100, 299, 2995, 29_956, 1_000_000, 1_000_000_000] {
        for alpha in [ALPHA, 30_396_355, 1_000_000] {
            let exact = -f64::exp_m1((alpha as f64 / 1e9).ln() / n as f64) * 1e9;
            let is = upper_ppb(0, n, alpha);
            assert!((is as f64 - exact.ceil()).abs() <= 1.0, "{n} {alpha}: {is} {exact}");
        }
    }
}

/// The bound is the share at which the tail is alpha: asked of another library, and one part
/// lower is not enough.
#[test]
fn a_bound_is_the_least_share_that_is_excluded() {
    for (k, n) in [(1, 20), (3, 50), (5, 1049), (17, 400), (100, 2000), (999, 1000)] {
        let tail = |ppb: u64| beta_reg((n - k) as f64, k as f64 + 1.0, 1.0 - ppb as f64 / 1e9);
        let upper = upper_ppb(k, n, ALPHA);
        assert!(tail(upper) <= 0.05 + 1e-10, "{k} of {n}: {}", tail(upper));
        assert!(tail(upper - 2) > 0.05 - 1e-10, "{k} of {n}: {}", tail(upper - 2));
    }
}

#[test]
fn where_nothing_can_be_said_the_bound_is_everything() {
    assert_eq!(upper_ppb(0, 0, ALPHA), 1_000_000_000);
    assert_eq!(upper_ppb(5, 5, ALPHA), 1_000_000_000);
    assert_eq!(upper_ppb(6, 5, ALPHA), 1_000_000_000);
    assert_eq!(upper_ppb(0, 1_000_000, 0), 1_000_000_000);
    assert_eq!(wilson_ppb(0, 0, ALPHA), 1_000_000_000);
    assert_eq!(needed(0, 1_000_000_000, ALPHA), 0);
    assert_eq!(needed(0, 0, ALPHA), u64::MAX);
    assert_eq!(needed(0, 1_000_000, 0), u64::MAX);
}

#[test]
fn more_hits_raise_a_bound_and_more_clusters_lower_it() {
    for n in [10, 100, 5000] {
        let bounds: Vec<u64> = (0..n).map(|k| upper_ppb(k, n, ALPHA)).collect();
        assert!(bounds.is_sorted_by(|low, high| low < high), "{n}");
    }
    let bounds: Vec<u64> = (4..2000).map(|n| upper_ppb(3, n, ALPHA)).collect();
    assert!(bounds.is_sorted_by(|high, low| high > low));
}

#[test]
fn extreme_counts_end() {
    assert_eq!(upper_ppb(u64::MAX, u64::MAX, ALPHA), 1_000_000_000);
    assert!(upper_ppb(0, u64::MAX, ALPHA) == 1);
    assert!(upper_ppb(u64::MAX / 2, u64::MAX, ALPHA) >= 500_000_000);
    assert_eq!(needed(u64::MAX, 1_000_000, ALPHA), u64::MAX);
}

#[test]
fn a_quantile_is_that_of_another_library() {
    let normal = Normal::standard();
    for alpha in [1, 1000, 1_000_000, 30_396_355, ALPHA, 100_000_000, 200_000_000, 450_000_000] {
        let expected = normal.inverse_cdf(1.0 - alpha as f64 / 1e9);
        let is = normal_quantile(alpha);
        assert!((is - expected).abs() < 1e-6, "{alpha}: {is} {expected}");
    }
}

/// Without hits Wilson's bound is z^2 / (n + z^2), below the exact one: why it decides nothing.
#[test]
fn without_hits_wilson_is_too_low() {
    let square = Normal::standard().inverse_cdf(0.95).powi(2);
    for n in [10, 299, 2995, 29_956] {
        let exact = (square / (n as f64 + square) * 1e9).ceil();
        let is = wilson_ppb(0, n, ALPHA);
        assert!((is as f64 - exact).abs() <= 1.0, "{n}: {is} {exact}");
        assert!(is < upper_ppb(0, n, ALPHA), "{n}");
    }
}

#[test]
fn wilson_with_hits_is_the_textbook_value() {
    // (0.1 + 0.013_527_72 + 0.051_166_28) / 1.027_055_43, with z = 1.644_853_63.
    assert_eq!(wilson_ppb(10, 100, ALPHA) / 1000, 160_355);
    assert_eq!(wilson_ppb(100, 100, ALPHA), 1_000_000_000);
}

/// SplitMix64, so that the draws are the same everywhere.
struct Draws(u64);

impl Draws {
    fn is_hit(&mut self, p_ppb: u64) -> bool {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let drawn = mixed ^ (mixed >> 31);
        (u128::from(drawn) * u128::from(WHOLE_PPB)) >> 64 < u128::from(p_ppb)
    }
}

/// Share of sites whose true share is not below the bound that was computed for them.
fn missed(n: u64, p_ppb: u64, bound: fn(u64, u64, u64) -> u64) -> f64 {
    const SITES: u64 = 4000;
    let mut draws = Draws(n ^ (p_ppb << 20));
    let mut misses = 0;
    for _ in 0..SITES {
        let k = (0..n).filter(|_| draws.is_hit(p_ppb)).count() as u64;
        misses += u64::from(bound(k, n, ALPHA) < p_ppb);
    }
    misses as f64 / SITES as f64
}

/// The promise itself: at most 5 % of the sites are worse than their bound. Three standard
/// deviations of 4,000 draws are 1 %.
#[test]
fn a_bound_misses_the_truth_no_more_often_than_promised() {
    let mut most: f64 = 0.0;
    for (n, p_ppb) in [
        (100, 20_000_000),
        (100, 31_000_000),
        (300, 10_000_000),
        (300, 100_000_000),
        (1000, 3_100_000),
        (1000, 5_000_000),
        (200, 500_000_000),
        (3000, 1_001_000),
    ] {
        let missed = missed(n, p_ppb, upper_ppb);
        assert!(missed <= 0.06, "{n} at {p_ppb}: {missed}");
        most = most.max(missed);
    }
    // A bound that is never wrong promises nothing: it would be too high.
    assert!(most > 0.03, "{most}");
    assert!(missed(1000, 2_750_000, wilson_ppb) > 0.055, "Wilson would have been enough");
}
