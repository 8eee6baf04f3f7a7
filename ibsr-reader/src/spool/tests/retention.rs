// SPDX-License-Identifier: MIT OR Apache-2.0
//! The bounds of the spool: uploaded segments leave first, then sweeps are merged, then the
//! oldest segment is dropped, and a gap row tells which.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ibsr_proto::ledger::{Entry, Event};
use ibsr_proto::snapshot::{Gap, GapReason, SegmentName, Sweep};
use rustix::fs::Timespec;
use serde_json::Value;

use super::{Bench, PREFIX, at_boot_ns, names, scope, sealed_rows, seqs, source, sweep, wide};
use crate::spool::dir::Dir;
use crate::spool::{Limits, Spool, coarsen};

const TIME: Timespec = Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };

fn bytes_in(dir: &Path) -> u64 {
    let sealed = names(dir).into_iter().filter(|name| !name.starts_with('.'));
    sealed.map(|name| fs::metadata(dir.join(name)).expect("stat").len()).sum()
}

/// Writes a segment of `sweeps` sweeps and lets the spool tidy up.
fn segment(bench: &mut Bench, first_seq: u64, sweeps: u64) -> PathBuf {
    (first_seq..first_seq + sweeps).for_each(|seq| bench.write_sweep(seq, 5));
    let path = bench.spool.seal().expect("seals").expect("a segment");
    bench.spool.maintain(at_boot_ns(first_seq + sweeps)).expect("maintains");
    path
}

/// Last counters of each source of a segment.
fn counters(rows: &[Value]) -> BTreeMap<String, (u64, u64)> {
    let sources = rows.iter().filter(|row| row["type"] == "source");
    let number = |row: &Value, field: &str| row[field].as_u64().expect("a number");
    let of = |row: &Value| {
        let key = format!("{} {} {}", row["src"], row["dst_port"], row["born_boot_ns"]);
        (key, (number(row, "packets"), number(row, "bytes")))
    };
    sources.map(of).collect()
}

fn sealed_with_gap() -> (Bench, PathBuf) {
    let mut bench = Bench::new();
    for seq in 1..=6 {
        bench.write_sweep(seq, 2 + seq % 4);
        if seq == 3 {
            let (reason, segment) = (GapReason::Detached, None);
            bench.spool.gap(Gap { from_boot_ns: 1, to_boot_ns: 2, reason, segment });
        }
    }
    let path = bench.spool.seal().expect("seals").expect("a segment");
    (bench, path)
}

fn merge(bench: Bench, path: &Path, max_keys: u64) -> (tempfile::TempDir, Option<PathBuf>) {
    let Bench { root, spool } = bench;
    drop(spool);
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    let name = SegmentName::parse(name, "xdp-eth0").expect("a segment");
    let dir = Dir::open(root.path(), &scope()).expect("opens");
    let bytes = fs::metadata(path).expect("stat").len();
    let merged = coarsen::merge_with(&dir, &name, bytes, TIME, max_keys).expect("merges");
    let path = merged.map(|merged| {
        let path = dir.path_of(&merged.name.to_string());
        assert_eq!(merged.bytes, fs::metadata(&path).expect("stat").len());
        path
    });
    (root, path)
}

#[test]
fn merging_keeps_the_last_counters_of_every_source_and_the_gaps() {
    let (bench, path) = sealed_with_gap();
    let before = sealed_rows(&path);
    let (_root, merged) = merge(bench, &path, 1_000);
    let merged = merged.expect("smaller");
    assert!(merged.ends_with(format!("{PREFIX}000000000001-to-000000000006.jsonl")));
    let after = sealed_rows(&merged);
    assert_eq!(counters(&after), counters(&before));
    assert_eq!(after[0], before[0], "the header");
    let sweep = after.iter().find(|row| row["type"] == "sweep").expect("a sweep");
    assert_eq!(seqs(&after), [6]);
    assert_eq!((&sweep["merged_from_seq"], &sweep["since_boot_ns"]), (&1.into(), &0.into()));
    assert_eq!((&sweep["rows"], &sweep["at_boot_ns"]), (&5.into(), &at_boot_ns(6).into()));
    assert!(after.iter().all(|row| row["type"] != "source" || row["seq"] == 6));
    assert_eq!(after.iter().filter(|row| row["type"] == "gap").count(), 1);
}

/// A broken law in any of them must not disappear.
#[test]
fn a_merged_sweep_is_conserved_only_when_all_were() {
    let mut bench = Bench::new();
    for seq in 1..=3 {
        bench.spool.begin_sweep(seq);
        bench.spool.source(&source(seq, 1));
        let row = Sweep { conserved: seq != 2, ..sweep(seq, 0, 1) };
        bench.spool.end_sweep(&row).expect("ends");
    }
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let (_root, merged) = merge(bench, &path, 1_000);
    let rows = sealed_rows(&merged.expect("smaller"));
    let sweep = rows.iter().find(|row| row["type"] == "sweep").expect("a sweep");
    assert_eq!(sweep["conserved"], false);
}

/// A table larger than memory is read in several passes.
#[test]
fn the_number_of_passes_changes_nothing() {
    let merged_in = |max_keys| {
        let (bench, path) = sealed_with_gap();
        let (_root, merged) = merge(bench, &path, max_keys);
        fs::read(merged.expect("smaller")).expect("the segment")
    };
    assert_eq!(merged_in(1), merged_in(1_000));
    assert_eq!(merged_in(3), merged_in(1_000));
}

#[test]
fn a_merged_segment_keeps_the_age_of_its_sweeps() {
    let (bench, path) = sealed_with_gap();
    let (_root, merged) = merge(bench, &path, 1_000);
    let modified = fs::metadata(merged.expect("smaller")).and_then(|it| it.modified());
    let since_epoch = modified.expect("stat").duration_since(std::time::UNIX_EPOCH);
    assert_eq!(since_epoch.expect("after 1970").as_secs(), 1_700_000_000);
}

#[test]
fn what_merging_does_not_make_smaller_stays_as_it_is() {
    let mut bench = Bench::new();
    bench.write_sweep(1, 5);
    let path = bench.spool.seal().expect("seals").expect("a segment");
    let (root, merged) = merge(bench, &path, 1_000);
    assert_eq!(merged, None);
    assert_eq!(names(&root.path().join("xdp-eth0")).len(), 1, "no half-made file stays");
}

/// A flipped bit must not be sealed again under a digest that makes it right.
#[test]
fn a_damaged_segment_is_not_merged() {
    let (bench, path) = sealed_with_gap();
    let text = fs::read_to_string(&path).expect("text");
    fs::write(&path, text.replacen(r#""packets":1,"#, r#""packets":9,"#, 1)).expect("written");
    assert_eq!(merge(bench, &path, 1_000).1, None);
}

/// A long run in a small spool: bounded at every step, merged first, then dropped oldest
/// first, and each drop is told in a gap row with the segment's name.
#[test]
fn a_small_spool_merges_then_drops_and_says_so() {
    let mut bench = Bench::new();
    let one = fs::metadata(segment(&mut bench, 1, 8)).expect("stat").len();
    let bound = 3 * one;
    let mut bench = Bench::with(Limits { spool_bytes: bound, ..wide() });
    let mut written = Vec::new();
    for first_seq in (1..200).step_by(8) {
        let path = segment(&mut bench, first_seq, 8);
        written.push(path.file_name().expect("a name").to_string_lossy().into_owned());
        assert!(bytes_in(&bench.dir()) <= bound, "after {first_seq}");
    }
    bench.write_sweep(1_000, 1);
    bench.spool.seal().expect("seals");
    let left = bench.names();
    let is_left = |name: &str| {
        let stem = name.strip_suffix(".jsonl").expect("a segment");
        left.iter().any(|it| it.starts_with(stem))
    };
    let gone: Vec<_> = written.iter().filter(|name| !is_left(name)).collect();
    assert!(!gone.is_empty() && gone.len() < written.len() - 3, "{left:?}");
    assert!(left.iter().any(|name| name.contains("-to-")), "{left:?}");
    assert!(is_left(written.last().expect("some")), "the newest stays");
    let told = gaps_told(&bench.dir());
    let last_gone = gone.last().expect("some").strip_suffix(".jsonl").expect("a segment");
    assert!(told.iter().any(|name| name.starts_with(last_gone)), "{told:?}");
}

fn gaps_told(dir: &Path) -> Vec<String> {
    let sealed = names(dir).into_iter().filter(|name| !name.starts_with('.'));
    let rows = sealed.flat_map(|name| sealed_rows(&dir.join(name)));
    let gaps = rows.filter(|row| row["type"] == "gap" && row["reason"] == "retention");
    gaps.map(|row| row["segment"].as_str().expect("its name").to_owned()).collect()
}

fn ledger_line(path: &Path, event: Event) -> String {
    let entry = Entry {
        v: 1,
        event,
        scope: "xdp-eth0".into(),
        name: path.file_name().expect("a name").to_string_lossy().into_owned(),
        sha256: "00".into(),
        bytes: fs::metadata(path).expect("stat").len(),
        bucket: "b".into(),
        key: "k".into(),
        unix_ms: 1,
    };
    serde_json::to_string(&entry).expect("serializes") + "\n"
}

/// What the bucket has is no loss: it leaves first, without a gap row, though it is newer.
#[test]
fn uploaded_segments_leave_first_and_need_no_gap_row() {
    let place = tempfile::tempdir().expect("a directory");
    let ledger = place.path().join("ledger.jsonl");
    let one = fs::metadata(segment(&mut Bench::new(), 1, 2)).expect("stat").len();
    let limits = Limits { spool_bytes: 3 * one + one / 2, ..wide() };
    let mut bench = Bench::with_ledger(limits, Some(ledger.clone()));
    let paths: Vec<_> = (0..3).map(|n| segment(&mut bench, 1 + 2 * n, 2)).collect();
    assert!(paths.iter().all(|path| path.exists()), "{}", bytes_in(&bench.dir()));
    let text = ledger_line(&paths[0], Event::Attempted)
        + &ledger_line(&paths[1], Event::Uploaded)
        + "{\"v\":1,\"event\":\"uplo";
    fs::write(&ledger, text).expect("written");
    let last = segment(&mut bench, 7, 2);
    let is_there: Vec<_> = paths.iter().chain([&last]).map(|path| path.exists()).collect();
    assert_eq!(is_there, [true, false, true, true], "{}", bytes_in(&bench.dir()));
    bench.write_sweep(9, 1);
    bench.spool.seal().expect("seals");
    assert_eq!(gaps_told(&bench.dir()), Vec::<String>::new());
}

/// The size must be the one that was uploaded: another file of that name is not in the
/// bucket.
#[test]
fn a_segment_of_another_size_than_the_ledger_says_is_not_uploaded() {
    let place = tempfile::tempdir().expect("a directory");
    let ledger = place.path().join("ledger.jsonl");
    let limits = Limits { keep_uploaded: Duration::ZERO, ..wide() };
    let mut bench = Bench::with_ledger(limits, Some(ledger.clone()));
    let path = segment(&mut bench, 1, 2);
    let line = ledger_line(&path, Event::Uploaded);
    fs::write(&ledger, line.replace("\"bytes\":", "\"bytes\":1")).expect("written");
    std::thread::sleep(Duration::from_millis(5));
    let second = segment(&mut bench, 3, 2);
    assert!(path.exists() && second.exists());
    fs::write(&ledger, line).expect("written");
    segment(&mut bench, 5, 2);
    assert!(!path.exists() && second.exists());
}

/// Merging was cut short before its last step, at its first, or in the middle.
#[test]
fn an_interrupted_merge_is_finished_and_loses_nothing() {
    let (bench, path) = sealed_with_gap();
    let (root, merged) = merge(bench, &path, 1_000);
    let dir = root.path().join("xdp-eth0");
    let merged = merged.expect("smaller");
    let name = merged.file_name().expect("a name").to_string_lossy().into_owned();
    let bytes = fs::read(&merged).expect("the segment");

    let mut spool = Spool::open(root.path(), &scope(), wide(), None).expect("opens");
    spool.maintain(1).expect("maintains");
    assert_eq!(names(&dir), std::slice::from_ref(&name), "both were sealed: the old one goes");
    drop(spool);

    fs::write(&path, "stands for the sealed origin").expect("written");
    fs::rename(&merged, dir.join(format!(".{name}.part"))).expect("renamed");
    drop(Spool::open(root.path(), &scope(), wide(), None).expect("opens"));
    assert_eq!(names(&dir), [path.file_name().expect("a name").to_string_lossy()]);

    fs::remove_file(&path).expect("removed");
    fs::write(dir.join(format!(".{name}.part")), bytes).expect("written");
    drop(Spool::open(root.path(), &scope(), wide(), None).expect("opens"));
    assert_eq!(names(&dir), [name], "without its origin it is kept");
}

#[test]
fn an_old_segment_is_dropped_by_age() {
    let mut bench = Bench::with(Limits { spool_age: Duration::from_secs(3_600), ..wide() });
    let path = segment(&mut bench, 1, 2);
    let young = segment(&mut bench, 3, 2);
    let file = fs::File::options().append(true).open(&path).expect("opens");
    let day_ago = fs::metadata(&path).and_then(|it| it.modified()).expect("a time")
        - Duration::from_secs(86_400);
    file.set_modified(day_ago).expect("set");
    segment(&mut bench, 5, 2);
    assert!(!path.exists() && young.exists());
    segment(&mut bench, 7, 1);
    assert_eq!(gaps_told(&bench.dir()), [path.file_name().expect("a name").to_string_lossy()]);
}
