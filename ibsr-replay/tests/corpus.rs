// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that the fuzzer ever found worth keeping, through the same functions without
//! the fuzzer (fuzz/src): what was once wrong must not come back.

use std::fs;
use std::path::Path;

#[path = "../../fuzz/src/row.rs"]
mod row;
#[path = "../../fuzz/src/rules.rs"]
mod rules;
#[path = "../../fuzz/src/segment.rs"]
mod segment;

/// Files below which a corpus was lost, not minimised.
const FEWEST: usize = 50;

fn replay(name: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
    let mut files = 0;
    for entry in fs::read_dir(&dir).expect("the corpus is part of the source") {
        let path = entry.expect("a directory can be listed").path();
        let data = fs::read(&path).expect("a file can be read");
        if std::panic::catch_unwind(|| run(&data)).is_err() {
            panic!("`{}` fails", path.display());
        }
        files += 1;
    }
    assert!(files >= FEWEST, "{files} files in `{}`", dir.display());
}

#[test]
fn every_rule_file_of_the_corpus_is_refused_or_understood() {
    replay("rules", rules::run);
}

#[test]
fn every_line_of_the_corpus_is_refused_or_understood() {
    replay("row", row::run);
}

#[test]
fn every_segment_of_the_corpus_can_be_folded() {
    replay("segment", segment::run);
}
