// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logarithms from additions, multiplications and divisions only.
//!
//! These are exactly defined by IEEE 754, the logarithm of a platform's library is not: two
//! machines could differ in the last bit, and a report must not.

/// High and low part of the logarithm of 2; the high part times an exponent is exact.
const LN2_HI: f64 = 0.693_147_180_369_123_8;
const LN2_LO: f64 = 1.908_214_929_270_587_7e-10;

/// Natural logarithm of a positive, finite, normal number, within a few units in the last
/// place.
pub(super) fn ln(x: f64) -> f64 {
    const MANTISSA: u64 = (1 << 52) - 1;
    const ONE: u64 = 1.0_f64.to_bits();
    debug_assert!(x.is_normal() && x > 0.0, "{x} has no logarithm here");
    let bits = x.to_bits();
    let mut exponent = (bits >> 52) as i64 - (ONE >> 52) as i64;
    let mut mantissa = f64::from_bits(bits & MANTISSA | ONE);
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa /= 2.0;
        exponent += 1;
    }
    let exponent = exponent as f64;
    exponent * LN2_HI + (two_atanh((mantissa - 1.0) / (mantissa + 1.0)) + exponent * LN2_LO)
}

/// `ln(1 + x)` for `-1 < x`, exact for small `x` too.
pub(super) fn ln_1p(x: f64) -> f64 {
    if x.abs() > 0.25 { ln(1.0 + x) } else { two_atanh(x / (2.0 + x)) }
}

/// `ln((1 + s) / (1 - s))` for `|s| < 0.18`: the series of odd powers.
fn two_atanh(s: f64) -> f64 {
    /// 0.18^2 to this power is below the precision of an `f64`.
    const TERMS: u32 = 12;
    let square = s * s;
    let sum = (1..=TERMS).rev().fold(0.0, |sum, n| square * (sum + 1.0 / f64::from(2 * n + 1)));
    2.0 * s + 2.0 * s * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_near(left: f64, right: f64) -> bool {
        (left - right).abs() <= 4.0 * f64::EPSILON * right.abs().max(f64::MIN_POSITIVE)
    }

    #[test]
    fn a_logarithm_is_that_of_the_platform_but_for_the_last_places() {
        let mut x = 1e-300;
        while x < 1e300 {
            assert!(is_near(ln(x), x.ln()), "{x}: {} {}", ln(x), x.ln());
            x *= 1.000_9;
        }
        assert_eq!(ln(1.0), 0.0);
    }

    #[test]
    fn a_logarithm_next_to_one_keeps_its_digits() {
        for exponent in 1..300 {
            for sign in [1.0, -1.0] {
                let x = sign * 0.9 * 10_f64.powi(-exponent);
                assert!(is_near(ln_1p(x), x.ln_1p()), "{x}: {} {}", ln_1p(x), x.ln_1p());
            }
        }
        for percent in -99..300 {
            let x = f64::from(percent) / 100.0;
            assert!(is_near(ln_1p(x), x.ln_1p()), "{x}: {} {}", ln_1p(x), x.ln_1p());
        }
    }
}
