// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rule file.

use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::counts::Counts;
use ibsr_replay::rules::parse::parse;
use ibsr_replay::rules::text::{sha256, to_toml};

const WINDOW_NS: u64 = 10_000_000_000;

/// A file that is refused is refused with a place in it; one that is accepted says the same
/// after it was written out, and can judge any counters.
///
/// # Panics
/// When that is not so.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let set = match parse(text) {
        Ok(set) => set,
        Err(refused) => {
            let lines = text.split('\n').count();
            assert!((1..=lines).contains(&refused.line()), "line {} of {lines}", refused.line());
            assert!(refused.column() >= 1);
            assert!(!refused.to_string().is_empty());
            return;
        }
    };
    let written = to_toml(&set);
    let again = parse(&written).expect("what is written can be read");
    assert_eq!(again, set, "{written}");
    assert_eq!(sha256(&again), sha256(&set));
    judge(Compiled::new(set, WINDOW_NS));
}

fn judge(compiled: Compiled) {
    let most = Counts {
        syn: u64::MAX,
        ack: u64::MAX,
        handshakes: u64::MAX,
        fin: u64::MAX,
        rst: u64::MAX,
        packets: u64::MAX,
        bytes: u64::MAX,
    };
    for (at, rule) in compiled.set().rules.iter().enumerate() {
        for (counts, ports) in [(Counts::default(), 0), (most, u32::MAX)] {
            let level = compiled.level(at, &counts, ports);
            assert!(usize::from(level) <= rule.thresholds());
        }
    }
}
