// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that a crash left behind, cut anywhere.

use std::fs;
use std::path::Path;

use ibsr_proto::snapshot::{Gap, GapReason};

use super::{BOOT, Bench, PREFIX, names, scope, sealed_rows, seqs, wide};
use crate::spool::Spool;

/// A sealed segment with sweeps 1, 2, 3 and a gap row behind the second.
fn sample() -> (Vec<u8>, Vec<usize>) {
    let mut bench = Bench::new();
    bench.write_sweep(1, 2);
    bench.write_sweep(2, 0);
    let (reason, segment) = (GapReason::Retention, Some("x".into()));
    bench.spool.gap(Gap { from_boot_ns: 1, to_boot_ns: 2, reason, segment });
    bench.write_sweep(3, 3);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let bytes = fs::read(path).expect("the segment");
    let mut at = 0;
    let mut ends = Vec::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        if line.starts_with(br#"{"type":"sweep""#) {
            ends.push(at);
        }
    }
    (bytes, ends)
}

fn leave_behind(root: &Path, bytes: &[u8]) {
    let dir = root.join("xdp-eth0");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join(format!(".{PREFIX}000000000001.jsonl.part")), bytes).expect("a file");
}

/// Opens the spool over a torn file and checks what became of it.
fn recovers_to(bytes: &[u8], sweeps: usize, is_finished: bool) {
    let root = tempfile::tempdir().expect("a directory");
    leave_behind(root.path(), bytes);
    let spool = Spool::open(root.path(), &scope(), wide(), None).expect("opens");
    let found = names(&root.path().join("xdp-eth0"));
    if sweeps == 0 {
        assert_eq!(found, [format!(".{PREFIX}000000000001.jsonl.part.damaged")]);
        return;
    }
    assert_eq!(found, [format!("{PREFIX}000000000001.jsonl")]);
    let path = root.path().join("xdp-eth0").join(&found[0]);
    let rows = sealed_rows(&path);
    assert_eq!(seqs(&rows), (1..=sweeps as u64).collect::<Vec<_>>());
    let text = fs::read_to_string(&path).expect("the segment");
    assert_eq!(text.contains(r#""recovered":true"#), !is_finished);
    assert_eq!(spool.next_seq(BOOT, 0), sweeps as u64 + 1);
}

/// R1: killed anywhere. Every prefix of a segment becomes the sweeps that are whole in it.
#[test]
fn a_segment_cut_at_any_byte_is_sealed_up_to_its_last_whole_sweep() {
    let (bytes, ends) = sample();
    for cut in 0..=bytes.len() {
        let sweeps = ends.iter().filter(|end| **end <= cut).count();
        recovers_to(&bytes[..cut], sweeps, cut == bytes.len());
    }
}

/// R2: after a power loss the length of a file may be ahead of its bytes.
#[test]
fn a_tail_of_nul_bytes_is_cut_off() {
    let (bytes, ends) = sample();
    for cut in (0..=bytes.len()).step_by(97).chain([ends[0], ends[1], bytes.len()]) {
        for nuls in [1, 4_096, 3 << 20] {
            let mut torn = bytes[..cut].to_vec();
            torn.resize(cut + nuls, 0);
            let sweeps = ends.iter().filter(|end| **end <= cut).count();
            recovers_to(&torn, sweeps, false);
        }
    }
}

/// A page that was never written in the middle of the file hides what lies behind it.
#[test]
fn a_hole_in_the_middle_ends_the_segment_there() {
    let (mut bytes, ends) = sample();
    bytes[ends[0] + 20..ends[1] - 5].fill(0);
    recovers_to(&bytes, 1, false);
}

/// Any single wrong byte: what is sealed is still whole in itself, and nothing panics.
#[test]
fn any_flipped_byte_never_makes_a_segment_that_contradicts_its_footer() {
    let (bytes, _) = sample();
    for at in 0..bytes.len() {
        let mut wrong = bytes.clone();
        wrong[at] ^= 1 << (at % 7);
        let root = tempfile::tempdir().expect("a directory");
        leave_behind(root.path(), &wrong);
        Spool::open(root.path(), &scope(), wide(), None).expect("opens");
        let dir = root.path().join("xdp-eth0");
        for name in names(&dir).iter().filter(|name| !name.starts_with('.')) {
            sealed_rows(&dir.join(name));
        }
    }
}

/// Rows that do not belong together never become a sweep, whatever their number.
#[test]
fn rows_of_another_sweep_end_the_segment_before_it() {
    let text = String::from_utf8(sample().0).expect("UTF-8");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let third = lines.iter().position(|line| line.contains(r#"source","seq":3,"#)).expect("rows");
    let with = |at: usize, line: String| {
        let mut wrong: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        wrong[at] = line;
        wrong.concat().into_bytes()
    };
    recovers_to(&with(third, lines[third].replace(":3,", ":2,")), 2, false);
    let close = third + 3;
    assert!(lines[close].starts_with(r#"{"type":"sweep","seq":3,"#));
    recovers_to(&with(close, lines[close].replacen(":3,", ":4,", 1)), 2, false);
    let twice = lines[..third].concat() + &lines[1..third].concat();
    recovers_to(twice.as_bytes(), 2, false);
}

/// Killed while recovering: the file was cut and the new footer is torn.
#[test]
fn recovery_that_was_cut_short_is_done_again() {
    let (bytes, ends) = sample();
    let mut torn = bytes[..ends[1]].to_vec();
    torn.extend_from_slice(br#"{"type":"footer","lines":5,"sha2"#);
    recovers_to(&torn, 2, false);
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_set_aside_and_kept() {
    let (bytes, _) = sample();
    let text = String::from_utf8(bytes).expect("UTF-8");
    for (from, to) in [
        (r#""scope":"xdp-eth0""#, r#""scope":"xdp-eth1""#),
        ("0af3c9d1-0000", "0af3c9d2-0000"),
        (r#""schema":"ibsr/1""#, r#""schema":"ibsr/9""#),
        (r#""host":"host""#, r#""host":"other""#),
    ] {
        assert!(text.contains(from), "{from}");
        recovers_to(text.replacen(from, to, 1).as_bytes(), 0, false);
    }
}

#[test]
fn a_torn_file_whose_name_is_taken_is_kept_beside_the_sealed_one() {
    let (bytes, ends) = sample();
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("xdp-eth0");
    leave_behind(root.path(), &bytes[..ends[0]]);
    fs::write(dir.join(format!("{PREFIX}000000000001.jsonl")), &bytes).expect("a file");
    Spool::open(root.path(), &scope(), wide(), None).expect("opens");
    let expected = [
        format!(".{PREFIX}000000000001.jsonl.part.damaged"),
        format!("{PREFIX}000000000001.jsonl"),
    ];
    assert_eq!(names(&dir), expected);
    assert_eq!(fs::read(dir.join(&expected[0])).expect("kept"), &bytes[..ends[0]]);
    assert_eq!(fs::read(dir.join(&expected[1])).expect("kept"), bytes);
}

/// Set aside is bounded: a file more stays where it is and the spool opens all the same.
#[test]
fn damaged_files_of_one_name_do_not_pile_up() {
    let root = tempfile::tempdir().expect("a directory");
    for _ in 0..12 {
        leave_behind(root.path(), b"damaged");
        Spool::open(root.path(), &scope(), wide(), None).expect("opens");
    }
    assert_eq!(names(&root.path().join("xdp-eth0")).len(), 9);
}

/// A reader that was killed goes on where it was: same numbers, nothing counted is lost.
#[test]
fn a_restart_seals_the_open_segment_and_goes_on() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 2);
    bench.write_sweep(2, 2);
    let mut bench = bench.restart();
    assert_eq!(bench.names(), [format!("{PREFIX}000000000001.jsonl")]);
    assert!(bench.spool.needs_full());
    assert_eq!(bench.spool.next_seq(BOOT, 0), 3);
    bench.write_sweep(3, 2);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    assert_eq!(seqs(&sealed_rows(&path)), [3]);
}
