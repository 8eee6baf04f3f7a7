// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `ibsr-report fold` left behind. `ibsr-report` is a program and has no library to
//! link, so its own source is compiled in here.
#![no_main]
#![allow(dead_code, reason = "only what reads is used")]

use std::io::Write as _;

use sha2::{Digest as _, Sha256};

#[path = "../../ibsr-report/src/partial/mod.rs"]
mod partial;

const MAGIC: &[u8] = b"ibsr-partial/1\n";

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    // Magic and digest that fit, or nothing behind them would ever be reached.
    let mut bytes = [MAGIC, data].concat();
    let digest = Sha256::digest(&bytes);
    bytes.extend_from_slice(&digest);
    let mut file = tempfile::NamedTempFile::new().expect("room for a file");
    file.write_all(&bytes).expect("room for a file");
    let Ok(read) = partial::codec::open(file.path()) else { return };
    let mut facts = partial::Facts::new(read.facts.terms.clone());
    let _ = facts.join(read.facts);
    let _ = facts.input();
    let _ = partial::runs::merge(read.runs, |_, _| Ok(()));
});
