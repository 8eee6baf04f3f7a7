// SPDX-License-Identifier: MIT OR Apache-2.0
//! Time: intervals by the boot clock, the wall clock beside it in every sweep.

use std::fs;
use std::path::Path;

use ibsr_tests::process::say;
use rustix::time::{ClockId, clock_gettime};
use test_tag::tag;

use crate::scope::{Design, Made, SCOPE, reader, spool};
use crate::sealed::Sealed;

/// R8: only one module can see the wall clock, so setting it can reach nothing else.
#[test]
fn the_wall_clock_is_read_in_one_place() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ibsr-reader/src");
    let mut readers = Vec::new();
    for path in files_below(&source) {
        let text = fs::read_to_string(&path).expect("source");
        let is_reading = ["ClockId::Realtime", "SystemTime", "Utc::now", "jiff"]
            .iter()
            .any(|word| text.lines().any(|line| !is_comment(line) && line.contains(word)));
        if is_reading {
            readers.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        }
    }
    assert_eq!(readers, ["clock.rs"]);
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with("//")
}

/// Files of the program, without tests, which may set file times.
fn files_below(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(dir).expect("a directory").flatten().map(|entry| entry.path());
    entries
        .flat_map(|path| match path.is_dir() {
            true if path.ends_with("tests") => Vec::new(),
            true => files_below(&path),
            false => vec![path],
        })
        .collect()
}

/// R8: each sweep carries both clocks, read at one moment, so their offset is on record and
/// a step of the wall clock shows as a change of it.
#[tag(root)]
#[test]
fn a_sweep_records_the_offset_of_the_wall_clock() {
    let (made, spool) = (Made::new(&Design::default()), spool());
    let millis = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    let offset = || millis(ClockId::Realtime) - millis(ClockId::Boottime);
    let before = offset();
    let said = say(&mut reader("once", SCOPE, made.root.path(), spool.path())).expect_code(0);
    let sweep = &Sealed::read(Path::new(said.stdout.trim())).sweeps[0].0;
    let recorded = sweep.at_unix_ms as i64 - (sweep.at_boot_ns / 1_000_000) as i64;
    assert!((recorded - before).abs() < 1000, "{recorded} against {before}");
}
