// SPDX-License-Identifier: MIT OR Apache-2.0
//! Linear counting (Whang et al., 1990): each different thing sets one bit of a map that a hash
//! chooses, and the bits that are still zero tell how many there were.

/// Bits of a map of `bits` that `distinct` different things set on average, at least 1.
#[must_use]
pub fn bits_of(distinct: u32, bits: usize) -> u32 {
    let bits = bits as f64;
    let set = bits * (1.0 - (-f64::from(distinct) / bits).exp());
    (set.round() as u32).max(1)
}

/// How many different things set `set` bits of a map of `bits` on average; the other way round.
/// With every bit set it is as if one were not.
#[must_use]
pub fn distinct_of(set: u32, bits: usize) -> u32 {
    let bits = bits as f64;
    let zero = (bits - f64::from(set)).max(1.0);
    (bits * (bits / zero).ln()).round() as u32
}

/// How many different things set the bits of `map`. Infinite when every bit is set.
#[must_use]
pub fn estimate(map: &[u64]) -> f64 {
    let set: u32 = map.iter().map(|word| word.count_ones()).sum();
    let bits = (map.len() * 64) as f64;
    bits * (bits / (bits - f64::from(set))).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bit_is_nothing_and_all_bits_are_too_many_to_say() {
        let mut map = [0; 16];
        assert_eq!(estimate(&map), 0.0);
        map[3] = 0b1011;
        assert!((estimate(&map) - 3.0).abs() < 0.01, "{}", estimate(&map));
        assert_eq!(estimate(&[u64::MAX; 16]), f64::INFINITY);
    }

    #[test]
    fn a_limit_in_things_is_one_in_bits_and_back() {
        assert_eq!((bits_of(100, 1_024), bits_of(1, 1_024)), (95, 1));
        assert_eq!((bits_of(200, 512), bits_of(50, 256)), (166, 45));
        for distinct in [1, 60, 100, 500, 1_000] {
            let back = distinct_of(bits_of(distinct, 1_024), 1_024);
            assert!(back.abs_diff(distinct) <= 1 + distinct / 200, "{distinct}: {back}");
        }
        assert!(distinct_of(512, 512) > 3_000);
    }
}
