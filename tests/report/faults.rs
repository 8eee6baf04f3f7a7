// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bad input: every row and file that cannot be used is named and counted, the rest counts,
//! and nothing panics.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ibsr_proto::snapshot::{Gap, GapReason, Source};
use ibsr_tests::segments::{FIRST_SEQ, Random, START_BOOT_NS, SegmentSpec, Traffic, seal};
use serde_json::Value;

use super::{json, number, run, say};

fn spec(sources: u32, sweeps: usize) -> SegmentSpec {
    SegmentSpec::of(FIRST_SEQ, Traffic::new(1, sources).sweeps(sweeps))
}

/// The lines of a segment without its footer.
fn rows(spec: &SegmentSpec) -> Vec<Vec<u8>> {
    let bytes = spec.bytes();
    let mut rows: Vec<_> =
        bytes.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect();
    rows.pop();
    rows
}

fn write(dir: &Path, name: &str, rows: &[Vec<u8>]) {
    fs::write(dir.join(name), seal(rows.concat())).expect("written");
}

fn reasons(report: &Value, list: &str) -> Vec<String> {
    let rows = report.pointer(list).and_then(Value::as_array).expect("a list");
    let text = |row: &Value| {
        format!(
            "{}:{}: {}",
            row["segment"].as_str().expect("a name"),
            row["line"].as_u64().unwrap_or(0),
            row["reason"].as_str().expect("a reason")
        )
    };
    rows.iter().map(text).collect()
}

/// P1: each kind of bad row is rejected with its file and line; the rows around it count.
#[test]
fn a_bad_row_is_rejected_by_file_and_line_and_the_others_count() {
    let dir = tempfile::tempdir().expect("a directory");
    let spec = spec(5, 2);
    let good = rows(&spec);
    write(dir.path(), "good.jsonl", &good);
    let (expected, _) = json(dir.path());
    assert_eq!(expected["is_whole"], Value::Bool(true));
    let twice =
        String::from_utf8(good[1].clone()).expect("text").replace("\"syn\":", "\"syn\":1,\"syn\":");
    let huge = String::from_utf8(good[1].clone())
        .expect("text")
        .replace("\"packets\":", "\"packets\":99999999999999999999");
    let bad: Vec<Vec<u8>> = vec![
        good[1][..good[1].len() / 2].iter().copied().chain([b'\n']).collect(),
        b"{\"type\":\"source\",\"src\":\"\xff\xfe\"}\n".to_vec(),
        twice.into_bytes(),
        huge.into_bytes(),
        [vec![b'['; 200_000], b"\n".to_vec()].concat(),
        [vec![b'x'; 3 << 20], b"\n".to_vec()].concat(),
        b"\n".to_vec(),
        b"null\n".to_vec(),
        b"{\"type\":\"sweep\"}\n".to_vec(),
        b"\0\0\0\0\n".to_vec(),
        good[0].clone(),
    ];
    let count = bad.len();
    let mut mixed = good.clone();
    for (at, row) in bad.into_iter().enumerate() {
        mixed.insert(1 + at, row);
    }
    write(dir.path(), "good.jsonl", &mixed);
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1));
    assert_eq!(report["is_whole"], Value::Bool(false), "not all of the input was used");
    assert_eq!(number(&report, "/input/rows_rejected"), count as u64);
    for (line, reason) in (2..).zip(reasons(&report, "/input/rejected")) {
        assert!(reason.starts_with(&format!("good.jsonl:{line}: ")), "{reason}");
    }
    assert_eq!(report["sources"], expected["sources"]);
    assert_eq!(report["totals"], expected["totals"]);
}

/// P1: a file of another schema is refused by name, and the others are used.
#[test]
fn mixed_schemas_are_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let good = rows(&spec(5, 2));
    write(dir.path(), "a.jsonl", &good);
    let header = String::from_utf8(good[0].clone()).expect("text");
    write(dir.path(), "b.jsonl", &[header.replace("ibsr/1", "ibsr/9").into_bytes()]);
    write(dir.path(), "c.jsonl", &[b"{\"type\":\"flow\",\"schema\":\"ibsr/1\"}\n".to_vec()]);
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1));
    let refused = reasons(&report, "/input/refused");
    assert_eq!(refused.len(), 2, "{refused:?}");
    assert!(refused[0].contains("b.jsonl") && refused[0].contains("`ibsr/9`"), "{refused:?}");
    assert!(refused[1].contains("no header"), "{refused:?}");
    assert_eq!(number(&report, "/input/segments_used"), 1);
}

/// P1: hundreds of resealed files with changed bytes: whatever they say, it is a report.
#[test]
fn changed_rows_under_a_valid_footer_never_panic() {
    let dir = tempfile::tempdir().expect("a directory");
    let original = rows(&spec(4, 3)).concat();
    let mut random = Random(7);
    for number in 0..200 {
        let mut text = original.clone();
        for _ in 0..=random.below(6) {
            let at = usize::try_from(random.below(text.len() as u64)).expect("fits");
            // Digits keep rows readable, so that wrong numbers reach the fold.
            text[at] = match random.below(3) {
                0 => b'0' + u8::try_from(random.below(10)).expect("a digit"),
                1 => b'9',
                _ => u8::try_from(random.below(256)).expect("a byte"),
            };
        }
        fs::write(dir.path().join(format!("{number:03}.jsonl")), seal(text)).expect("written");
        let said =
            say(run(&dir.path().join(format!("{number:03}.jsonl"))).args(["--format", "json"]));
        assert!(matches!(said.code, Some(0 | 1)), "{number}: {:?}\n{}", said.code, said.stderr);
        assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    }
}

/// P1: the largest counters that fit into a row, in a file that is otherwise right.
#[test]
fn the_largest_counters_give_a_report() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut spec = spec(3, 3);
    for sweep in &mut spec.sweeps {
        for source in &mut sweep.sources {
            source.packets = u64::MAX;
            source.syn = u64::MAX;
            source.bytes = u64::MAX;
        }
        sweep.close.totals.tracked = u64::MAX;
    }
    write(dir.path(), "a.jsonl", &rows(&spec));
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1), "the law cannot hold");
    assert!(number(&report, "/law/violations") > 0);
    for sweep in &mut spec.sweeps {
        sweep.close.at_unix_ms = u64::MAX;
    }
    write(dir.path(), "a.jsonl", &rows(&spec));
    let (report, _) = json(dir.path());
    let refused = reasons(&report, "/input/refused");
    assert!(refused[0].contains("beyond the calendar"), "{refused:?}");
}

/// P2: a missing segment costs rates, never counts.
#[test]
fn a_missing_segment_is_a_gap_and_no_count_is_lost() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut traffic = Traffic::new(3, 20);
    let paths: Vec<_> = (0..4)
        .map(|n| SegmentSpec::of(FIRST_SEQ + 3 * n, traffic.sweeps(3)).write(dir.path()))
        .collect();
    let (whole, _) = json(dir.path());
    fs::remove_file(&paths[1]).expect("removed");
    let (report, _) = json(dir.path());
    assert_eq!(report["is_whole"], Value::Bool(true), "a gap is not a fault of the input");
    let gaps = report["gaps"].as_array().expect("a list");
    assert_eq!((gaps.len(), gaps[0]["reason"].as_str()), (1, Some("missing")));
    let length = gaps[0]["to_boot_ns"].as_u64().zip(gaps[0]["from_boot_ns"].as_u64());
    assert_eq!(length.map(|(to, from)| to - from), Some(40_000_000_000));
    assert_eq!(report["totals"], whole["totals"]);
    // A source that was silent since the hole is in no row behind it; all others are whole.
    let seen = number(&report, "/loss/seen_packets") + number(&report, "/loss/unseen_packets");
    assert_eq!(seen, number(&whole, "/loss/seen_packets"));
}

/// P2: two machines from one image, uploading to one prefix.
#[test]
fn two_hosts_with_one_name_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    for (boot, seed) in [("aaaaaaaa", 1), ("bbbbbbbb", 2)] {
        let sweeps = Traffic::new(seed, 3).sweeps(12);
        let boot = format!("{boot}-5b1e-4c7a-9d30-6f2b8f1c2a44");
        SegmentSpec { boot, ..SegmentSpec::of(FIRST_SEQ, sweeps) }.write(dir.path());
    }
    let said = say(&mut run(dir.path()))
        .expect_code(2)
        .expect_stderr("refusing to mix two hosts with one name")
        .expect_stderr("aaaaaaaa")
        .expect_stderr("hint: ");
    assert_eq!(said.stdout, "");
}

/// P2: a cloned machine has even the same boot id.
#[test]
fn recordings_that_contradict_each_other_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let one = spec(3, 4);
    let mut other = spec(3, 4);
    for sweep in &mut other.sweeps {
        sweep.close.at_boot_ns += 5;
    }
    write(dir.path(), "one.jsonl", &rows(&one));
    write(dir.path(), "other.jsonl", &rows(&other));
    let _said = say(&mut run(dir.path()))
        .expect_code(2)
        .expect_stderr("contradict each other")
        .expect_stderr("`one.jsonl`");
}

/// P3: a cut archive and a bomb are named; the rest of the input is used.
#[test]
fn cut_archives_and_bombs_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = spec(50, 5).bytes();
    fs::write(dir.path().join("good.jsonl"), &bytes).expect("written");
    let packed = zstd::encode_all(bytes.as_slice(), 1).expect("packs");
    fs::write(dir.path().join("cut.jsonl.zst"), &packed[..packed.len() - 9]).expect("written");
    let bomb = zstd::encode_all(vec![b'\n'; 300 << 20].as_slice(), 1).expect("packs");
    let header = zstd::encode_all(rows(&spec(1, 1))[0].as_slice(), 1).expect("packs");
    fs::write(dir.path().join("bomb.jsonl.zst"), [header, bomb].concat()).expect("written");
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("bomb.jsonl.zst"), "{}", said.stderr);
    let refused = reasons(&report, "/input/refused");
    assert!(refused[0].contains("bomb.jsonl:0: failed to read it: it unpacks"), "{refused:?}");
    assert!(refused[1].contains("cut.jsonl:0: failed to read it"), "{refused:?}");
    assert_eq!(number(&report, "/input/segments_used"), 1);
}

/// P5: no data is an answer of its own, not a division by zero.
#[test]
fn nothing_at_all_is_a_defined_report() {
    let dir = tempfile::tempdir().expect("a directory");
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1));
    assert_eq!(report["is_whole"], Value::Bool(false));
    assert_eq!(report["coverage"]["ppm"], Value::Null);
    assert_eq!(report["impact"]["syn"]["ppm"], Value::Null);
    assert_eq!(report["decision"]["verdict"], "insufficient_evidence");
    let text = say(&mut run(dir.path())).expect_code(1).stdout;
    assert!(text.contains("INSUFFICIENT_EVIDENCE"), "{text}");
    assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
}

/// P5: one source; all sources attack; none does.
#[test]
fn the_extremes_of_a_population_are_defined() {
    type Change = fn(&mut Source);
    let cases: [(u32, Change, &str); 3] = [
        (1, |_| {}, "/population/legitimate"),
        (9, |_| {}, "/population/legitimate"),
        (9, |s| (s.ack, s.handshakes, s.fin) = (0, 0, 0), "/population/abusive"),
    ];
    for (sources, change, label) in cases {
        let dir = tempfile::tempdir().expect("a directory");
        let mut spec = spec(sources, 12);
        for source in spec.sweeps.iter_mut().flat_map(|sweep| &mut sweep.sources) {
            source.syn *= 100;
            source.handshakes *= 100;
            source.ack *= 100;
            change(source);
        }
        write(dir.path(), "a.jsonl", &rows(&spec));
        let (report, _) = json(dir.path());
        assert_eq!(number(&report, label), u64::from(sources), "{label}");
        assert_eq!(number(&report, "/population/count"), u64::from(sources));
    }
}

/// P6: whichever byte of a segment is changed, the file is named and none of it is used.
#[test]
fn a_flipped_bit_anywhere_costs_the_file_and_never_a_number() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = spec(1, 1).bytes();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        fs::write(dir.path().join(format!("{at:05}.jsonl")), flipped).expect("written");
    }
    let (report, said) = json(dir.path());
    assert_eq!(said.code, Some(1));
    assert_eq!(number(&report, "/input/segments_refused"), bytes.len() as u64);
    assert_eq!(number(&report, "/input/segments_used"), 0);
    assert_eq!(number(&report, "/population/count"), 0);
}

/// P6: cut anywhere, also between two lines.
#[test]
fn a_segment_cut_anywhere_is_not_used() {
    let dir = tempfile::tempdir().expect("a directory");
    let bytes = spec(2, 2).bytes();
    let cuts: BTreeSet<_> = (0..bytes.len()).step_by(7).chain([bytes.len() - 1]).collect();
    for cut in &cuts {
        fs::write(dir.path().join(format!("{cut:05}.jsonl")), &bytes[..*cut]).expect("written");
    }
    let (report, _) = json(dir.path());
    assert_eq!(number(&report, "/input/segments_refused"), cuts.len() as u64);
}

/// What the reader states as a gap reaches the report with its reason.
#[test]
fn a_gap_row_reaches_the_report() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut spec = spec(3, 3);
    spec.gaps.push(Gap {
        from_boot_ns: START_BOOT_NS - 60_000_000_000,
        to_boot_ns: START_BOOT_NS - 30_000_000_000,
        reason: GapReason::Disk,
        segment: None,
    });
    write(dir.path(), "a.jsonl", &rows(&spec));
    let (report, _) = json(dir.path());
    assert_eq!(report["gaps"][0]["reason"], "disk");
    assert_eq!(report["is_whole"], Value::Bool(true));
}

#[test]
fn a_missing_input_and_a_wrong_flag_are_errors_that_name_it() {
    let _said = say(&mut run(Path::new("/nonexistent/spool")))
        .expect_code(2)
        .expect_stderr("`/nonexistent/spool`");
    let dir = tempfile::tempdir().expect("a directory");
    let _said = say(run(dir.path()).args(["--window", "1ms"])).expect_code(2).expect_stderr("1ms");
}
