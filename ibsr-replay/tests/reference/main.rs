// SPDX-License-Identifier: MIT OR Apache-2.0
//! The engine against a second replay of the same definition (docs/method.md), on random
//! small recordings: `make` draws them, `slow` is the second replay, `flat` puts both
//! results into one form, `shrink` makes a difference small enough to be read.

mod flat;
mod make;
mod rng;
mod shrink;
mod slow;

use flat::Reached;

const INPUTS: u64 = 1000;

/// `REFERENCE_SEED=n` looks at one input only.
#[test]
fn the_engine_says_what_a_second_replay_says_about_a_thousand_inputs() {
    let one = std::env::var("REFERENCE_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..INPUTS, |seed| seed..seed + 1);
    let mut reached = Reached::default();
    for seed in seeds {
        let input = make::input(seed);
        let shares = if seed % 2 == 0 { 1 } else { 3 };
        if let Some(found) = shrink::difference(&input, shares, &mut reached) {
            let small = shrink::shrink(input);
            let small_found = shrink::difference(&small, 1, &mut Reached::default());
            panic!("seed {seed}: {found}\n{}\nsmallest: {small_found:?}", shrink::describe(&small));
        }
    }
    if one.is_none() {
        assert_all_reached(&reached);
    }
}

/// The inputs are of use only while they reach everything that can differ.
fn assert_all_reached(reached: &Reached) {
    let Reached { units, whole_units, gaps, sources, acted, untimed, together, .. } = *reached;
    let Reached { allow, established, shared, port, .. } = *reached;
    assert!(units > 3 * INPUTS / 2 && whole_units > units / 5, "{reached:?}");
    assert!(gaps > 5 * INPUTS, "{reached:?}");
    assert!(acted > sources / 5 && acted < sources, "{reached:?}");
    assert!(untimed > sources / 5 && untimed < sources, "{reached:?}");
    assert!(together > INPUTS, "{reached:?}");
    assert!(allow.min(established).min(shared).min(port) > 10 * INPUTS, "{reached:?}");
}
