// SPDX-License-Identifier: MIT OR Apache-2.0
//! What cannot be packed stays out by name, what was damaged is not read.

use std::fs;

use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic, seal};

use super::{compact, directory, paths, report};

/// Given back in our own spelling it would not match its footer.
#[test]
fn a_segment_in_another_spelling_is_left_out_by_name() {
    let (spool, parquet) = (directory(), directory());
    let mut traffic = Traffic::new(1, 5);
    SegmentSpec::of(FIRST_SEQ, traffic.sweeps(2)).write(spool.path());
    let text = String::from_utf8(SegmentSpec::of(FIRST_SEQ + 2, traffic.sweeps(2)).bytes());
    let text = text.expect("text").replace("\"syn\":", "\"syn\": ");
    let (rows, _footer) = text.trim_end().rsplit_once('\n').expect("lines");
    let odd = seal(format!("{rows}\n").into_bytes());
    fs::write(spool.path().join("odd.jsonl"), odd).expect("written");
    let said = compact(spool.path(), parquet.path()).expect_code(1);
    let said = said.expect_stderr("odd.jsonl").expect_stderr("another spelling");
    assert_eq!(paths(&said).len(), 1);
    let (_, files) = report(parquet.path());
    let (_, all) = report(spool.path());
    assert!(files != all, "the report over what was packed lacks what was left out");
}

#[test]
fn a_damaged_segment_is_refused_and_the_others_are_packed() {
    let (spool, parquet) = (directory(), directory());
    let mut traffic = Traffic::new(1, 5);
    SegmentSpec::of(FIRST_SEQ, traffic.sweeps(2)).write(spool.path());
    let second = SegmentSpec::of(FIRST_SEQ + 2, traffic.sweeps(2)).write(spool.path());
    let mut bytes = fs::read(&second).expect("read");
    bytes[500] ^= 1;
    fs::write(&second, bytes).expect("written");
    let said = compact(spool.path(), parquet.path()).expect_code(1);
    let name = second.file_name().expect("a name").to_string_lossy().into_owned();
    assert_eq!(paths(&said.expect_stderr(&name)).len(), 1);
}

#[test]
fn nothing_to_pack_is_an_answer_and_no_file() {
    let (spool, parquet) = (directory(), directory());
    let said = compact(spool.path(), parquet.path()).expect_code(1);
    assert_eq!(said.stdout, "");
    assert_eq!(fs::read_dir(parquet.path()).expect("listed").count(), 0);
}

/// P6: every byte is tried by unit tests; here, that a run goes on, names the file and uses
/// the rest.
#[test]
fn a_flipped_bit_in_parquet_costs_the_file_by_name() {
    let (spool, parquet) = (directory(), directory());
    super::recording(spool.path());
    let files = paths(&compact(spool.path(), parquet.path()).expect_code(0));
    let (_, whole) = report(parquet.path());
    let good = fs::read(&files[0]).expect("read");
    for at in [0, 3, 5, 20, 60, good.len() / 2, good.len() - 300, good.len() - 6, good.len() - 1] {
        let mut flipped = good.clone();
        flipped[at] ^= 0x10;
        fs::write(&files[0], flipped).expect("written");
        let (said, report) = report(parquet.path());
        assert!(said.stderr.contains("xdp-eth0-0af3c9da-000000000017.parquet"), "{}", said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
        assert!(report != whole);
        let json = String::from_utf8_lossy(&report["report.json"]);
        assert!(
            json.contains("xdp-eth0-0af3c9da-000000000017.parquet"),
            "byte {at}: the report names it"
        );
    }
    fs::write(&files[0], &good[..good.len() - 100]).expect("written");
    let (said, _) = report(parquet.path());
    assert!(said.stderr.contains("000000000017.parquet"), "{}", said.stderr);
    fs::write(&files[0], good).expect("written");
    assert!(report(parquet.path()).1 == whole);
}
