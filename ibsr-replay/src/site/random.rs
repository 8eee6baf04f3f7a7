// SPDX-License-Identifier: MIT OR Apache-2.0
//! Numbers that depend on a seed and on nothing else: the same on every platform.

/// splitmix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// The whole of a chance.
const PPM: u64 = 1_000_000;

const fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    /// From a seed; neighbouring seeds give unrelated numbers.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Of one thing among many: `words` names it, so numbers of one thing do not depend on
    /// how many were drawn for another.
    #[must_use]
    pub fn of(seed: u64, words: &[u64]) -> Self {
        Self(words.iter().fold(mixed(seed.wrapping_add(GOLDEN)), |state, word| {
            mixed(state ^ mixed(word.wrapping_add(GOLDEN)))
        }))
    }

    /// The next 64 bits.
    pub const fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mixed(self.0)
    }

    /// A number below `limit`; 0 where `limit` is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        let wide = u128::from(self.next_u64()) * u128::from(limit);
        u64::try_from(wide >> 64).expect("a product's upper half has 64 bits")
    }

    /// A number from `first` to `last`, both included.
    pub fn between(&mut self, (first, last): (u64, u64)) -> u64 {
        first + self.below(last.saturating_sub(first) + 1)
    }

    /// True `ppm` times in a million.
    pub fn chance(&mut self, ppm: u64) -> bool {
        self.below(PPM) < ppm
    }

    /// One of `items`, which are not empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        let at = usize::try_from(self.below(items.len() as u64)).expect("an index");
        items[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of the reference implementation, seed 1234567.
    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        let mut random = Random::new(1_234_567);
        let first = [(); 3].map(|()| random.next_u64());
        assert_eq!(
            first,
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]
        );
    }

    #[test]
    fn a_range_holds_both_its_ends_and_nothing_else() {
        let mut random = Random::new(7);
        let drawn: Vec<u64> = (0..1000).map(|_| random.between((3, 6))).collect();
        assert!((3..=6).all(|n| drawn.contains(&n)) && drawn.iter().all(|n| (3..=6).contains(n)));
        assert_eq!(random.below(0), 0);
    }

    #[test]
    fn a_chance_comes_as_often_as_it_says() {
        let mut random = Random::of(1, &[2, 3]);
        let hits = (0..100_000).filter(|_| random.chance(250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }
}
