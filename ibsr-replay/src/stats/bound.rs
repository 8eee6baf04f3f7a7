// SPDX-License-Identifier: MIT OR Apache-2.0
//! Upper confidence bounds for a share of which `k` in `n` were seen.
//!
//! Gates look at Clopper and Pearson's bound: over any number of sites its error is at most
//! what was promised, whatever the true share. Wilson's is closer on average and too low for
//! `k = 0`, so it is printed and decides nothing.

use super::ln::ln;
use super::tail::{MAX_ALPHA_PPB, WHOLE_PPB, is_excluded};

/// One-sided Clopper-Pearson bound, in parts per thousand million and rounded up: the least
/// share at which `k` or fewer hits have a probability of at most `alpha_ppb`.
///
/// All of it where nothing can be said: `n` is 0, `k` is `n` or more, `alpha_ppb` is 0. An
/// error of more than a half counts as a half.
///
/// Source: Clopper and Pearson, Biometrika 26, 1934.
#[must_use]
pub fn upper_ppb(k: u64, n: u64, alpha_ppb: u64) -> u64 {
    let (mut low, mut high) = (0, WHOLE_PPB);
    while high - low > 1 {
        let middle = u64::midpoint(low, high);
        if is_excluded(k, n, middle, alpha_ppb) { high = middle } else { low = middle }
    }
    high
}

/// The least `n` for which [`upper_ppb`] of `k` hits is at most `target_ppb`; `u64::MAX`
/// where there is none.
#[must_use]
pub fn needed(k: u64, target_ppb: u64, alpha_ppb: u64) -> u64 {
    if target_ppb >= WHOLE_PPB {
        return 0;
    }
    // Behind this an `f64` no longer tells neighbours apart, and no site has so many.
    const MOST: u64 = 1 << 53;
    let is_enough = |n| is_excluded(k, n, target_ppb, alpha_ppb);
    let mut enough = k.saturating_add(1);
    while !is_enough(enough) {
        if enough >= MOST {
            return u64::MAX;
        }
        enough = enough.saturating_mul(2);
    }
    let mut short = k;
    while enough - short > 1 {
        let middle = u64::midpoint(short, enough);
        if is_enough(middle) { enough = middle } else { short = middle }
    }
    enough
}

/// One-sided Wilson bound, in parts per thousand million, rounded up. All of it where `n` is
/// 0.
///
/// Source: Wilson, Journal of the American Statistical Association 22, 1927.
#[must_use]
pub fn wilson_ppb(k: u64, n: u64, alpha_ppb: u64) -> u64 {
    if n == 0 || alpha_ppb == 0 {
        return WHOLE_PPB;
    }
    let z = normal_quantile(alpha_ppb.min(MAX_ALPHA_PPB));
    let (n, square) = (n as f64, z * z);
    let share = (k as f64 / n).min(1.0);
    let spread = z * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt();
    let upper = (share + square / (2.0 * n) + spread) / (1.0 + square / n);
    ((upper * WHOLE_PPB as f64).ceil() as u64).min(WHOLE_PPB)
}

/// The deviation that a normal value exceeds with a probability of `alpha_ppb`.
fn normal_quantile(alpha_ppb: u64) -> f64 {
    let ln_alpha = ln(alpha_ppb as f64 / WHOLE_PPB as f64);
    // 40 deviations are beyond any error that parts per thousand million can say.
    let (mut low, mut high) = (0.0, 40.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if ln_normal_tail(middle) <= ln_alpha { high = middle } else { low = middle }
    }
    high
}

/// Logarithm of the probability that a normal value exceeds `z`, for `z >= 0`.
fn ln_normal_tail(z: f64) -> f64 {
    /// Below this the fraction converges too slowly, and the series is short.
    const FRACTION_FROM: f64 = 1.0;
    let root = (std::f64::consts::TAU).sqrt();
    if z < FRACTION_FROM {
        // 1/2 less the integral of the density from 0, by its power series.
        let (mut sum, mut power) = (0.0, z);
        for n in 0..30 {
            let n = f64::from(n);
            sum += power / (2.0 * n + 1.0);
            power *= -z * z / (2.0 * (n + 1.0));
        }
        return ln(0.5 - sum / root);
    }
    // Laplace's continued fraction of Mills' ratio, from the inside out.
    let fraction = (1..=500).rev().fold(z, |inner, n| z + f64::from(n) / inner);
    -z * z / 2.0 - ln(root * fraction)
}

#[cfg(test)]
#[path = "bound_tests.rs"]
mod tests;
