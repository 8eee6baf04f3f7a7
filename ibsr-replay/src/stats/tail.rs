// SPDX-License-Identifier: MIT OR Apache-2.0
//! The lower tail of a binomial: how likely are so few hits, if the share were `p`?
//!
//! Everything about bounds is this one question. It is answered by comparing logarithms,
//! with the deviance form of the binomial (Loader, "Fast and accurate computation of
//! binomial probabilities", 2000): no large numbers cancel, whatever `n`.

use super::ln::{ln, ln_1p};

/// Parts per thousand million in a whole.
pub(super) const WHOLE_PPB: u64 = 1_000_000_000;
/// Largest error that can be asked for: beyond a half a bound is no bound.
pub(super) const MAX_ALPHA_PPB: u64 = WHOLE_PPB / 2;
/// Terms of the tail that are added one by one. What is left is replaced by more than it can
/// be, so a bound stays one; at 100,000 terms that matters from about 10^8 hits on.
const MAX_TERMS: u32 = 100_000;

/// Whether `k` or fewer hits of `n` have a probability of at most `alpha_ppb` when the true
/// share is `p_ppb`: then the true share is below `p_ppb`, with an error of `alpha_ppb`.
pub(super) fn is_excluded(k: u64, n: u64, p_ppb: u64, alpha_ppb: u64) -> bool {
    let alpha_ppb = alpha_ppb.min(MAX_ALPHA_PPB);
    if p_ppb >= WHOLE_PPB {
        return k < n;
    }
    // A median of the distribution is n*p rounded up or down: from there on the tail is
    // more than half.
    let is_below_mean = u128::from(k) * u128::from(WHOLE_PPB) < u128::from(n) * u128::from(p_ppb);
    alpha_ppb > 0 && is_below_mean && ln_tail(k, n, share(p_ppb)) <= ln(share(alpha_ppb))
}

fn share(ppb: u64) -> f64 {
    ppb as f64 / WHOLE_PPB as f64
}

/// Logarithm of P(X <= k), for `k < n * p` and `0 < p < 1`.
fn ln_tail(k: u64, n: u64, p: f64) -> f64 {
    let (k_real, n_real) = (k as f64, n as f64);
    let odds = (1.0 - p) / p;
    // Terms from k downwards, in units of the first; their ratio only gets smaller.
    let (mut sum, mut term, mut at) = (1.0, 1.0, k_real);
    for _ in 0..MAX_TERMS {
        let ratio = at * odds / (n_real - at + 1.0);
        let rest = term * ratio / (1.0 - ratio);
        if rest <= sum * (f64::EPSILON / 4.0) || ratio >= 1.0 {
            return ln_mass(k_real, n_real, p) + ln(sum);
        }
        term *= ratio;
        sum += term;
        at -= 1.0;
    }
    let ratio = at * odds / (n_real - at + 1.0);
    ln_mass(k_real, n_real, p) + ln(sum + term * ratio / (1.0 - ratio))
}

/// Logarithm of P(X = k).
fn ln_mass(k: f64, n: f64, p: f64) -> f64 {
    if k == 0.0 {
        return n * ln_1p(-p);
    }
    let others = n - k;
    let spread = ln(std::f64::consts::TAU * k * (others / n));
    stirling_error(n)
        - stirling_error(k)
        - stirling_error(others)
        - deviance(k, n * p)
        - deviance(others, n * (1.0 - p))
        - 0.5 * spread
}

/// `ln(n!)` less Stirling's formula for it, for a whole `n > 0`.
fn stirling_error(n: f64) -> f64 {
    /// From here on the series has all digits.
    const SERIES_FROM: f64 = 16.0;
    if n < SERIES_FROM {
        let mut factorial = 1.0;
        let mut factor = 2.0;
        while factor <= n {
            factorial *= factor;
            factor += 1.0;
        }
        return ln(factorial) - (n * ln(n) - n + 0.5 * ln(std::f64::consts::TAU * n));
    }
    let square = n * n;
    let tail = (1.0 / 1260.0 - (1.0 / 1680.0 - 1.0 / (1188.0 * square)) / square) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - tail) / square) / n
}

/// `x * ln(x / mean) + mean - x` without the cancellation where `x` is near `mean`.
fn deviance(x: f64, mean: f64) -> f64 {
    let gap = x - mean;
    if gap.abs() > 0.1 * (x + mean) {
        return x * ln(x / mean) - gap;
    }
    // With v = gap / (x + mean): gap*v + 2x * (v^3/3 + v^5/5 + ...).
    let v = gap / (x + mean);
    let square = v * v;
    // 0.01 to the ninth is below the precision of an `f64`.
    let sum = (1..=9).rev().fold(0.0, |sum, n| square * (sum + 1.0 / f64::from(2 * n + 1)));
    gap * v + 2.0 * x * v * sum
}

#[cfg(test)]
mod tests {
    use statrs::function::beta::beta_reg;

    use super::*;

    /// P(X <= k) as a regularised beta function, from another library.
    fn reference(k: u64, n: u64, p: f64) -> f64 {
        beta_reg((n - k) as f64, k as f64 + 1.0, 1.0 - p).ln()
    }

    #[test]
    fn a_tail_is_that_of_another_library() {
        for n in [1_u64, 2, 7, 30, 299, 1049, 5_000] {
            for k in [0, 1, 2, 5, 15, 16, 17, 40, 200].into_iter().filter(|k| *k < n) {
                for p in [0.001, 0.01, 0.05, 0.2, 0.5, 0.9, 0.999] {
                    let expected = reference(k, n, p);
                    if k as f64 >= n as f64 * p || expected < -600.0 {
                        continue;
                    }
                    let is = ln_tail(k, n, p);
                    let most = 1e-9 * expected.abs().max(1.0);
                    assert!((is - expected).abs() < most, "{k} {n} {p}: {is} {expected}");
                }
            }
        }
    }

    /// One hit of four thousand million, or half of them: a few terms or many.
    #[test]
    fn large_numbers_are_answered() {
        assert!(is_excluded(0, 4_000_000_000, 1, 50_000_000));
        assert!(is_excluded(1_000_000, 4_000_000_000, 251_000, 50_000_000));
        assert!(!is_excluded(1_000_000, 4_000_000_000, 250_001, 50_000_000));
        assert!(is_excluded(u64::MAX / 2, u64::MAX, 500_000_001, 50_000_000));
        assert!(!is_excluded(u64::MAX - 1, u64::MAX, 999_999_999, 50_000_000));
    }

    #[test]
    fn nothing_is_excluded_without_an_error_or_at_the_mean() {
        assert!(!is_excluded(0, 1_000_000, 500_000_000, 0));
        assert!(!is_excluded(0, 1_000_000, 0, 50_000_000));
        assert!(!is_excluded(5, 10, 500_000_000, u64::MAX));
        assert!(!is_excluded(10, 10, 1_000_000_000, 50_000_000));
        assert!(is_excluded(9, 10, 1_000_000_000, 50_000_000));
    }
}
