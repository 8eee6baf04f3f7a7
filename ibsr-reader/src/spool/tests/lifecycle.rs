// SPDX-License-Identifier: MIT OR Apache-2.0
//! From the first sweep to the sealed file, and on after a restart.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use ibsr_proto::snapshot::{Gap, GapReason};

use super::{
    BOOT, Bench, PREFIX, at_boot_ns, header, scope, sealed_rows, seqs, source, sweep, wide,
};
use crate::spool::{Limits, Spool, SpoolError};

#[test]
fn a_segment_is_hidden_until_it_is_sealed_and_then_whole() {
    let mut bench = Bench::new();
    bench.write_sweep(17, 3);
    bench.write_sweep(18, 2);
    assert_eq!(bench.names(), [format!(".{PREFIX}000000000017.jsonl.part")]);
    let path = bench.spool.seal().expect("seals").expect("something to seal");
    assert_eq!(bench.names(), [format!("{PREFIX}000000000017.jsonl")]);
    assert_eq!(path, bench.dir().join(&bench.names()[0]));
    let rows = sealed_rows(&path);
    assert_eq!((rows.len(), seqs(&rows)), (8, vec![17, 18]));
    let mode = fs::metadata(&path).expect("stat").permissions().mode() & 0o7777;
    assert_eq!(mode & !0o640, 0, "no more than its owner and group may read it");
    assert_eq!(bench.spool.seal().expect("seals"), None, "nothing is open");
}

#[test]
fn nothing_is_made_before_the_first_sweep_nor_of_a_sweep_that_was_taken_back() {
    let mut bench = Bench::new();
    assert!(bench.names().is_empty());
    bench.spool.begin_sweep(5);
    bench.spool.source(&source(5, 1));
    bench.spool.discard_sweep().expect("taken back");
    assert!(bench.names().is_empty());
    assert_eq!(bench.spool.seal().expect("seals"), None);
}

/// The digest, the lines and the bytes must all go back, also when the sweep was larger than
/// the buffer and part of it is in the file.
#[test]
fn a_sweep_that_is_taken_back_leaves_no_trace() {
    for rows in [1, 5_000] {
        let mut bench = Bench::new();
        bench.write_sweep(1, 2);
        bench.spool.begin_sweep(2);
        (0..rows).for_each(|number| bench.spool.source(&source(2, number % 250)));
        bench.spool.discard_sweep().expect("taken back");
        bench.write_sweep(2, 1);
        let path = bench.spool.seal().expect("seals").expect("a segment");
        assert_eq!(seqs(&sealed_rows(&path)), [1, 2]);
    }
}

/// R11: SIGTERM in the middle of a sweep.
#[test]
fn sealing_inside_a_sweep_seals_what_was_whole() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 2);
    bench.spool.begin_sweep(2);
    bench.spool.source(&source(2, 1));
    let path = bench.spool.seal().expect("seals").expect("a segment");
    assert_eq!(seqs(&sealed_rows(&path)), [1]);
    assert_eq!(bench.spool.next_seq(BOOT, 0), 2, "the number is used by the next sweep");
}

#[test]
fn another_header_begins_another_segment_and_the_same_one_does_not() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 1);
    bench.spool.set_header(header("a"));
    bench.write_sweep(2, 1);
    bench.spool.set_header(header("b"));
    bench.write_sweep(3, 1);
    bench.spool.seal().expect("seals");
    let names = bench.names();
    assert_eq!(names.len(), 2);
    let epochs: Vec<_> =
        names.iter().map(|name| sealed_rows(&bench.dir().join(name))[0]["epoch"].clone()).collect();
    assert_eq!(epochs, ["a", "b"]);
}

#[test]
fn a_segment_is_sealed_when_it_is_old_enough_or_large_enough() {
    let mut bench = Bench::with(Limits { segment_age: Duration::from_secs(2), ..wide() });
    bench.write_sweep(10, 1);
    assert_eq!(bench.spool.maintain(at_boot_ns(11)).expect("maintains"), None);
    assert!(bench.spool.maintain(at_boot_ns(12)).expect("maintains").is_some());

    let mut bench = Bench::with(Limits { segment_bytes: 5_000, ..wide() });
    bench.write_sweep(10, 1);
    assert_eq!(bench.spool.maintain(0).expect("maintains"), None);
    bench.write_sweep(11, 30);
    assert!(bench.spool.maintain(0).expect("maintains").is_some());
}

#[test]
fn numbers_go_on_after_a_restart_and_begin_at_the_time_since_boot() {
    let mut bench = Bench::new();
    assert_eq!(bench.spool.next_seq(BOOT, 7_000_000_000), 7_000);
    (7_000..7_003).for_each(|seq| bench.write_sweep(seq, 1));
    assert_eq!(bench.spool.next_seq(BOOT, 0), 7_003);
    bench.spool.seal().expect("seals");
    let bench = bench.restart();
    assert_eq!(bench.spool.next_seq(BOOT, 9_000_000_000), 7_003);
    assert_eq!(bench.spool.next_seq("ffffffff-0000", 9_000_000), 9, "another boot");
}

#[test]
fn gap_rows_are_written_between_sweeps_or_wait_for_the_next() {
    let gap = |from_boot_ns| Gap {
        from_boot_ns,
        to_boot_ns: from_boot_ns + 1,
        reason: GapReason::Detached,
        segment: None,
    };
    let mut bench = Bench::new();
    bench.spool.gap(gap(1));
    bench.write_sweep(1, 1);
    bench.spool.gap(gap(2));
    bench.spool.begin_sweep(2);
    bench.spool.gap(gap(3));
    bench.spool.source(&source(2, 1));
    bench.spool.end_sweep(&sweep(2, 1, 1)).expect("ends");
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let rows = sealed_rows(&path);
    let gaps: Vec<_> = rows.iter().filter(|row| row["type"] == "gap").collect();
    let from: Vec<_> = gaps.iter().map(|row| row["from_boot_ns"].as_u64()).collect();
    assert_eq!(from, [Some(1), Some(2), Some(3)]);
}

/// A gap row is told once, in a file that was sealed: not lost with a lost file, and not
/// repeated after a sealed one.
#[test]
fn gap_rows_of_a_lost_file_come_again_in_the_next() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 1);
    let (reason, segment) = (GapReason::Detached, None);
    bench.spool.gap(Gap { from_boot_ns: 7, to_boot_ns: 8, reason, segment });
    fs::write(bench.dir().join(format!("{PREFIX}000000000001.jsonl")), "").expect("in the way");
    bench.spool.seal().expect_err("the name is taken");
    assert_eq!(gaps_of_next(&mut bench, 2), ["detached", "disk"]);
    bench.write_sweep(3, 1);
    fs::write(bench.dir().join(format!("{PREFIX}000000000003.jsonl")), "").expect("in the way");
    bench.spool.seal().expect_err("the name is taken");
    assert_eq!(gaps_of_next(&mut bench, 4), ["disk"]);
}

fn gaps_of_next(bench: &mut Bench, seq: u64) -> Vec<String> {
    bench.write_sweep(seq, 1);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let rows = sealed_rows(&path);
    let gaps = rows.iter().filter(|row| row["type"] == "gap");
    gaps.map(|row| row["reason"].as_str().expect("text").to_owned()).collect()
}

/// Two writers would interleave their numbers.
#[test]
fn a_second_reader_of_the_same_scope_is_refused() {
    let bench = Bench::new();
    let second = Spool::open(bench.root.path(), &scope(), wide(), None);
    assert!(matches!(second, Err(SpoolError::Locked { .. })), "{second:?}");
}

#[test]
fn a_sweep_is_full_until_one_was_written_full() {
    let mut bench = Bench::new();
    assert!(bench.spool.needs_full());
    bench.write_sweep(1, 1);
    assert!(!bench.spool.needs_full());
    bench.write_sweep(2, 1);
    assert!(!bench.spool.needs_full());
}
