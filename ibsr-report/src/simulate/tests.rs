// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written must be what the ingest reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Parser as _;
use ibsr_proto::snapshot::{Row, SegmentName};

use super::*;
use crate::cli::{Cli, Command};
use crate::ingest::scan::{Scanned, scan};

fn args(dir: &Path, more: &[&str]) -> SimulateArgs {
    let dir = dir.to_str().expect("UTF-8");
    let flags = ["ibsr-report", "simulate", "--out", dir];
    match Cli::parse_from(flags.iter().chain(more)).command {
        Command::Simulate(args) => args,
        other => panic!("{other:?}"),
    }
}

fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let list = |dir: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(dir).expect("a directory");
        entries.map(|entry| entry.expect("an entry").path()).collect()
    };
    let mut files = BTreeMap::new();
    for path in list(dir).into_iter().chain(list(&dir.join("xdp-sim0"))) {
        if path.is_file() {
            let bytes = fs::read(&path).expect("a file");
            files.insert(path.strip_prefix(dir).expect("below").to_owned(), bytes);
        }
    }
    files
}

fn made(more: &[&str]) -> BTreeMap<PathBuf, Vec<u8>> {
    let dir = tempfile::tempdir().expect("a directory");
    let small = [&["--days", "2", "--clients", "30"], more].concat();
    let spec = args(dir.path(), &small).spec().expect("a site");
    let truth = truth_csv(&spec);
    fs::write(dir.path().join(TRUTH), truth).expect("written");
    let written = write(dir.path(), Sweeps::new(spec).expect("a site")).expect("written");
    let files = files(dir.path());
    assert_eq!(written.segments, files.len() as u64 - 1, "nothing hidden is left");
    files
}

#[test]
fn the_same_flags_make_the_same_files() {
    let first = made(&["--seed", "3"]);
    assert!(first == made(&["--seed", "3"]));
    assert!(first != made(&["--seed", "4"]));
    assert!(first != made(&["--seed", "3", "--start", "2026-01-06T00:00:00Z"]));
}

#[test]
fn every_segment_is_sealed_and_says_that_it_is_simulated() {
    let files = made(&[]);
    let mut last_seq = None;
    for (path, bytes) in files.iter().filter(|(path, _)| path.starts_with("xdp-sim0")) {
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8");
        let name = SegmentName::parse(name, "xdp-sim0").expect("the name of a segment");
        let scanned = scan(bytes.as_slice()).expect("whole");
        let Scanned::Sources(contents) = scanned else { panic!("of another sensor") };
        assert_eq!(contents.header.evidence, "simulated");
        assert!(contents.header.tool.starts_with("ibsr-report simulate"));
        assert!(contents.header.program_sha256.bytes().all(|byte| byte == b'0'));
        for sweep in &contents.sweeps {
            assert_eq!(sweep.seq, last_seq.map_or(0, |last| last + 1));
            last_seq = Some(sweep.seq);
        }
        assert_eq!(contents.sweeps.first().map(|sweep| sweep.seq), Some(name.first_seq));
    }
    assert_eq!(last_seq, Some(2 * 8_640 - 1));
}

/// A row without a truth could be graded by nobody.
#[test]
fn truth_names_every_source_of_the_segments() {
    let files = made(&["--preset", "mixed"]);
    let truth = String::from_utf8(files[Path::new(TRUTH)].clone()).expect("UTF-8");
    let known: BTreeMap<&str, &str> = truth.lines().filter_map(|l| l.split_once(',')).collect();
    assert_eq!(known["src"], "class,is_legitimate,is_attack");
    let mut rows = 0;
    for (_, bytes) in files.iter().filter(|(path, _)| path.starts_with("xdp-sim0")) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if let Row::Source(row) = Row::from_line(line).expect("a row") {
                assert!(known.contains_key(row.src.to_string().as_str()), "{}", row.src);
                rows += 1;
            }
        }
    }
    assert!(rows > 10_000, "{rows}");
}

#[test]
fn what_cannot_be_is_refused_with_a_hint() {
    let dir = tempfile::tempdir().expect("a directory");
    let refused =
        |more: &[&str]| format!("{:#}", simulate(&args(dir.path(), more)).expect_err("refused"));
    assert!(refused(&["--start", "2026-01-05T01:00:00Z"]).contains("hint: give --start"));
    assert!(refused(&["--clients", "500000", "--days", "9"]).contains("hint: give less"));
    assert!(files_or_none(dir.path()), "nothing was written");
    fs::write(dir.path().join("x"), "").expect("written");
    assert!(refused(&[]).contains("is not empty"));
}

fn files_or_none(dir: &Path) -> bool {
    fs::read_dir(dir).expect("a directory").next().is_none()
}
