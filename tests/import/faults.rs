// SPDX-License-Identifier: MIT OR Apache-2.0
//! Torn, doubled, reordered, contradicting and foreign lines.

use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_tests::process::{program, say};
use serde_json::Value;

use super::{ATTACKER, CLIENT, bucket, gaps, line, of, report, source};

fn good() -> Vec<String> {
    vec![
        line("r", 10, 0, &[bucket(ATTACKER, 100), bucket(CLIENT, 1)]),
        line("r", 20, 0, &[bucket(ATTACKER, 250), bucket(CLIENT, 2)]),
        line("r", 30, 0, &[bucket(ATTACKER, 900), bucket(CLIENT, 2)]),
    ]
}

fn write(dir: &Path, name: &str, lines: &[String]) {
    fs::write(dir.join(name), lines.concat()).expect("written");
}

#[test]
fn order_and_copies_of_lines_and_files_change_nothing() {
    let whole = of(&good());
    let dir = tempfile::tempdir().expect("a directory");
    let lines = good();
    write(dir.path(), "a.jsonl", &[lines[2].clone(), lines[0].clone()]);
    write(dir.path(), "b.jsonl", &[lines[0].clone(), lines[1].clone(), lines[1].clone()]);
    assert_eq!(report(dir.path(), &[]).0, whole);
    let packed = zstd::encode_all(lines.concat().as_bytes(), 1).expect("packs");
    let other = tempfile::tempdir().expect("a directory");
    fs::write(other.path().join("a.jsonl.zst"), packed).expect("written");
    assert_eq!(report(other.path(), &[]).0, whole);
}

/// The counters of the line behind it say what happened, over twice the time.
#[test]
fn a_torn_line_is_counted_and_the_others_are_used() {
    let mut lines = good();
    let half = lines[1].len() / 2;
    lines[1].truncate(half);
    lines[1].push('\n');
    lines.push("{\"version\":7,\"ts_uni".to_owned());
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "torn.jsonl", &lines);
    let (report, said) = report(dir.path(), &[]);
    assert!(said.stderr.contains("line=2") && said.stderr.contains("line=4"), "{}", said.stderr);
    assert_eq!(report["input"]["rows_rejected"], 2);
    assert_eq!(source(&report, ATTACKER, "syn"), 900);
    assert_eq!(source(&report, ATTACKER, "untimed_syn"), 0);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 400, "800 over 20 s");
    assert_eq!(gaps(&report), []);
}

#[test]
fn a_version_that_is_not_known_is_refused_by_name() {
    for (version, is_read) in [(4, false), (5, true), (6, true), (7, true), (8, false)] {
        let dir = tempfile::tempdir().expect("a directory");
        let text = good().concat().replace("\"version\":7", &format!("\"version\":{version}"));
        fs::write(dir.path().join("odd.jsonl"), text).expect("written");
        write(dir.path(), "ours.jsonl", &[line("other", 10, 0, &[bucket(CLIENT, 3)])]);
        let (report, _) = report(dir.path(), &[]);
        let refused = report["input"]["refused"].as_array().expect("a list");
        assert_eq!(refused.is_empty(), is_read, "{version}: {refused:?}");
        assert_eq!(report["input"]["segments_used"], if is_read { 2 } else { 1 });
        if let Some(refused) = refused.first() {
            assert_eq!(refused["segment"], "odd.jsonl");
            let reason = refused["reason"].as_str().expect("text");
            assert!(
                reason
                    .contains(&format!("version is {version}, this program reads versions 5 to 7")),
                "{reason}"
            );
        }
    }
}

#[test]
fn a_file_of_another_kind_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "good.jsonl", &good());
    fs::write(dir.path().join("prose.jsonl"), "hello\nworld\n").expect("written");
    fs::write(dir.path().join("cut.jsonl.zst"), [0x28, 0xb5, 0x2f, 0xfd, 1]).expect("written");
    let (report, _) = report(dir.path(), &[]);
    let refused = report["input"]["refused"].as_array().expect("a list");
    let names: Vec<_> = refused.iter().filter_map(|it| it["segment"].as_str()).collect();
    assert_eq!(names, ["cut.jsonl", "prose.jsonl"]);
    assert_eq!(source(&report, ATTACKER, "syn"), 900);
}

/// Each says something that cannot be used; none of it may reach a number.
#[test]
fn lines_that_cannot_be_are_rejected_one_by_one() {
    let good_line = &good()[1];
    for (from, to) in [
        ("cumulative", "delta"),
        ("src_ip\"", "src_ip24\""),
        ("198.51.100.7", "198.51.100"),
        ("\"packets\":250", "\"packets\":-1"),
        ("\"packets\":250", "\"packets\":99999999999999999999"),
        ("203.0.113.9", "198.51.100.7"),
        ("1795356020", "1795355000"),
        ("1795356020", "99999999999"),
        ("\"dst_port\":443", "\"dst_port\":70000"),
    ] {
        let bad = good_line.replace(from, to);
        assert_ne!(&bad, good_line, "{from}");
        let report = of(&[good()[0].clone(), bad, good()[2].clone()]);
        assert_eq!(report["input"]["rows_rejected"], 1, "{from} -> {to}");
        assert_eq!(source(&report, ATTACKER, "syn"), 900, "{from} -> {to}");
        assert_eq!(report["is_whole"], Value::Bool(false), "{from} -> {to}");
    }
}

#[test]
fn two_lines_that_contradict_each_other_are_both_left_out() {
    let mut lines = good();
    lines.insert(1, line("r", 20, 0, &[bucket(ATTACKER, 260), bucket(CLIENT, 2)]));
    let report = of(&lines);
    assert_eq!(report["input"]["rows_rejected"], 2);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 400);
}

#[test]
fn a_counter_that_goes_backwards_is_rejected() {
    let report = of(&[
        line("r", 10, 0, &[bucket(ATTACKER, 100)]),
        line("r", 20, 0, &[bucket(ATTACKER, 90)]),
    ]);
    assert_eq!(report["input"]["rows_rejected"], 1);
    assert_eq!(source(&report, ATTACKER, "syn"), 100);
}

/// Half of the packets of the second window are in the first one too.
#[test]
fn windows_that_overlap_are_not_counted_twice() {
    let report = of(&[
        line("r", 10, 10, &[bucket(ATTACKER, 100)]),
        line("r", 15, 15, &[bucket(ATTACKER, 100)]),
        line("r", 20, 20, &[bucket(ATTACKER, 100)]),
    ]);
    assert_eq!(report["input"]["rows_rejected"], 1);
    assert_eq!(source(&report, ATTACKER, "syn"), 200);
}

/// Without the flag a snapshot is no segment.
#[test]
fn the_format_has_to_be_named() {
    let dir = tempfile::tempdir().expect("a directory");
    write(dir.path(), "a.jsonl", &good());
    let said = say(Command::new(program("ibsr-report")).arg("sources").arg(dir.path()));
    let said = said.expect_code(1).expect_stderr("no header");
    assert!(!said.stdout.contains(ATTACKER));
}
