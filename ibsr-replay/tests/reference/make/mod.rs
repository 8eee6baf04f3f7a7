// SPDX-License-Identifier: MIT OR Apache-2.0
//! Random small inputs: `traffic` is what sources do, `host` a kernel table and the reader
//! in front of it, `faults` what can happen to a recording, `rules` random rule sets.

mod faults;
mod host;
mod rules;
mod traffic;

use super::rng::Rng;
use super::slow::{Settings, Stream};

/// Everything that one seed makes.
#[derive(Debug, Clone)]
pub struct Input {
    /// One or two streams.
    pub streams: Vec<Stream>,
    /// How to replay them.
    pub settings: Settings,
}

/// Lengths that all the times of an input are made from.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Length of a window.
    pub window_ns: u64,
    /// Usual time between sweeps.
    pub period_ns: u64,
    /// What the header says about it, 0 for nothing.
    pub period_ms: u64,
    /// Sweeps of a stream.
    pub sweeps: u64,
}

const MS_NS: u64 = 1_000_000;

/// The input of a seed.
pub fn input(seed: u64) -> Input {
    let mut rng = Rng::new(seed);
    let scale = scale(&mut rng);
    let sources = traffic::sources(&mut rng);
    let rules = rules::rule_set(&mut rng, scale.window_ns, &sources);
    let streams = (0..rng.between(1, 2))
        .map(|number| host::stream(&mut rng, number, scale, &sources))
        .collect();
    Input { streams, settings: Settings { window_ns: scale.window_ns, rules } }
}

fn scale(rng: &mut Rng) -> Scale {
    // Long windows make a day short enough to be replayed from its warm-up to its end.
    let window_ms = rng.pick(&[1_000, 7_500, 10_000, 10_000, 60_000, 300_000, 300_000]);
    let period_ms = rng.between(window_ms / 4, window_ms * 5 / 2);
    Scale {
        window_ns: window_ms * MS_NS,
        period_ns: period_ms * MS_NS + rng.pick(&[0, 0, 1, 777_777]),
        period_ms: if rng.chance(10) { 0 } else { period_ms },
        sweeps: rng.between(30, 130),
    }
}
