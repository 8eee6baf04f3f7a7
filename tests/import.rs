// SPDX-License-Identifier: MIT OR Apache-2.0
//! Snapshots of nr-ibsr: what follows from their lines is counted, what does not is a gap.
//! Every number here was worked out by hand from the lines above it.

#[path = "import/faults.rs"]
mod faults;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_tests::process::{Said, program, say};
use serde_json::{Value, json};

/// 2026-11-22T14:00:00Z.
const START: u64 = 1_795_356_000;
const ATTACKER: &str = "198.51.100.7";
const CLIENT: &str = "203.0.113.9";

/// A line of run `run` at START + `at`, with counts since START + `base`.
fn line(run: &str, at: u64, base: u64, buckets: &[Value]) -> String {
    let line = json!({
        "version": 7, "ts_unix_sec": START + at, "interval_sec": 10, "run_id": run,
        "counter_mode": "cumulative", "base_ts_unix_sec": START + base, "dst_ports": [443],
        "buckets": buckets,
    });
    format!("{line}\n")
}

/// SYNs without an answer.
fn bucket(src: &str, syn: u64) -> Value {
    json!({
        "key_type": "src_ip", "src_ip": src, "dst_port": 443, "syn": syn, "ack": 0,
        "handshake_ack": 0, "rst": 0, "packets": syn, "bytes": 60 * syn,
    })
}

fn report(input: &Path, more: &[&str]) -> (Value, Said) {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("run").arg(input).args(["--input-format", "nr-ibsr", "--format", "json"]);
    let said = say(command.args(["--now", "2026-11-24T12:00:00Z", "--top", "100"]).args(more));
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    let value = serde_json::from_str(&said.stdout);
    (value.unwrap_or_else(|error| panic!("{error}\n{}", said.stderr)), said)
}

/// The report over one file of these lines.
fn of(lines: &[String]) -> Value {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("snapshots.jsonl"), lines.concat()).expect("written");
    report(dir.path(), &[]).0
}

/// A field of a source.
#[track_caller]
fn source(report: &Value, src: &str, field: &str) -> u64 {
    let sources = report["sources"].as_array().expect("a list");
    let found = sources.iter().find(|source| source["src"] == src).expect("it is listed");
    found[field].as_u64().unwrap_or_else(|| panic!("{field} is {}", found[field]))
}

#[track_caller]
fn timed(report: &Value, timed_ms: u64, untimed_ms: u64) {
    let period = &report["period"];
    assert_eq!(period["timed_ms"], timed_ms, "{period}");
    assert_eq!(period["untimed_ms"], untimed_ms, "{period}");
}

fn gaps(report: &Value) -> Vec<(u64, u64, String)> {
    let gaps = report["gaps"].as_array().expect("a list").iter();
    let at =
        |gap: &Value, field: &str| gap[field].as_u64().expect("a time") / 1_000_000_000 - START;
    gaps.map(|gap| {
        let reason = gap["reason"].as_str().expect("a word").to_owned();
        (at(gap, "from_boot_ns"), at(gap, "to_boot_ns"), reason)
    })
    .collect()
}

#[test]
fn lines_of_one_base_differ_by_what_was_counted_between_them() {
    let report = of(&[
        line("r", 10, 0, &[bucket(ATTACKER, 1000)]),
        line("r", 20, 0, &[bucket(ATTACKER, 3000), bucket(CLIENT, 400)]),
        line("r", 30, 0, &[bucket(ATTACKER, 3100), bucket(CLIENT, 400)]),
    ]);
    timed(&report, 30_000, 0);
    assert_eq!(source(&report, ATTACKER, "syn"), 3100);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 2000);
    assert_eq!(source(&report, ATTACKER, "peak_at_unix_ms"), (START + 10) * 1000);
    // The line before listed everything, so it began after that line.
    assert_eq!(source(&report, CLIENT, "peak_window_syn"), 400);
    assert_eq!(source(&report, CLIENT, "untimed_syn"), 0);
    assert_eq!(report["totals"]["tracked"], 3500);
    assert_eq!(report["law"]["violations"], 0);
    assert_eq!(report["coverage"]["ppm"], Value::Null, "what the interface received is unknown");
    assert_eq!(report["decision"]["verdict"], "insufficient_evidence");
}

/// A quarter of an hour in one number is no rate.
#[test]
fn a_first_line_long_after_its_base_has_counts_and_no_rate() {
    let report = of(&[
        line("r", 900, 0, &[bucket(ATTACKER, 90_000)]),
        line("r", 910, 0, &[bucket(ATTACKER, 90_050)]),
    ]);
    assert_eq!(source(&report, ATTACKER, "syn"), 90_050);
    assert_eq!(source(&report, ATTACKER, "untimed_syn"), 90_000);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 50);
    assert_eq!(report["period"]["timed_ms"], 10_000);
}

#[test]
fn a_line_that_is_late_is_a_gap() {
    let report = of(&[
        line("r", 10, 0, &[bucket(ATTACKER, 10)]),
        line("r", 50, 0, &[bucket(ATTACKER, 9010)]),
        line("r", 60, 0, &[bucket(ATTACKER, 9015)]),
    ]);
    timed(&report, 20_000, 40_000);
    assert_eq!(gaps(&report), [(10, 50, "late".to_owned())]);
    assert_eq!(source(&report, ATTACKER, "untimed_syn"), 9000);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 10);
}

/// Windows are whole by themselves; what lies between two was not recorded.
#[test]
fn a_line_whose_base_is_its_own_time_is_one_window() {
    let report = of(&[
        line("r", 10, 10, &[bucket(ATTACKER, 700)]),
        line("r", 20, 20, &[bucket(ATTACKER, 300), bucket(CLIENT, 1)]),
        line("r", 60, 60, &[bucket(ATTACKER, 500)]),
    ]);
    timed(&report, 30_000, 30_000);
    assert_eq!(gaps(&report), [(20, 50, "missing".to_owned())]);
    assert_eq!(source(&report, ATTACKER, "syn"), 1500);
    assert_eq!(source(&report, ATTACKER, "peak_window_syn"), 700);
    assert_eq!(source(&report, ATTACKER, "untimed_syn"), 0);
    assert_eq!(report["totals"]["tracked"], 1501);
    assert_eq!(report["law"]["violations"], 0);
}

/// Counters that began anew are not to be differenced with the old ones.
#[test]
fn another_base_is_another_epoch() {
    let report = of(&[
        line("r", 10, 0, &[bucket(ATTACKER, 5000)]),
        line("r", 20, 0, &[bucket(ATTACKER, 5100)]),
        line("r", 40, 30, &[bucket(ATTACKER, 200)]),
        line("r", 50, 30, &[bucket(ATTACKER, 260)]),
    ]);
    assert_eq!(report["streams"].as_array().map(Vec::len), Some(2));
    assert_eq!(source(&report, ATTACKER, "syn"), 5360);
    assert_eq!(report["input"]["rows_rejected"], 0);
    assert_eq!(report["period"]["timed_ms"], 40_000);
}

/// It was dropped, and what it did before that nobody wrote down.
#[test]
fn a_source_that_disappears_makes_a_gap() {
    let report = of(&[
        line("r", 10, 0, &[bucket(ATTACKER, 100), bucket(CLIENT, 5)]),
        line("r", 20, 0, &[bucket(ATTACKER, 200)]),
        line("r", 30, 0, &[bucket(ATTACKER, 300), bucket(CLIENT, 9)]),
        line("r", 40, 0, &[bucket(ATTACKER, 400), bucket(CLIENT, 9)]),
    ]);
    assert_eq!(gaps(&report), [(10, 20, "incomplete".to_owned())]);
    assert_eq!(source(&report, ATTACKER, "syn"), 400);
    assert_eq!(source(&report, ATTACKER, "untimed_syn"), 100);
    assert_eq!(source(&report, CLIENT, "untimed_syn"), 4, "since the line that still had it");
}

#[test]
fn two_runs_are_two_hosts() {
    let report = of(&[
        line("Node A/1", 10, 0, &[bucket(ATTACKER, 100)]),
        line("node-b", 10, 0, &[bucket(ATTACKER, 5)]),
    ]);
    let hosts: Vec<_> = report["streams"].as_array().expect("a list").iter().collect();
    assert_eq!(hosts.len(), 2);
    assert_eq!((&hosts[0]["host"], &hosts[1]["host"]), (&json!("node-a-1"), &json!("node-b")));
    assert_eq!(source(&report, ATTACKER, "syn"), 105);
}

#[test]
fn a_bucket_without_a_port_and_one_of_ipv6_are_read() {
    let mut bare = bucket("2001:db8::7", 30);
    bare.as_object_mut().expect("an object").remove("dst_port");
    let report = of(&[line("r", 10, 0, &[bare, bucket("2001:db8::7", 10)])]);
    assert_eq!(source(&report, "2001:db8::7", "syn"), 40);
    assert_eq!(source(&report, "2001:db8::7", "ports"), 2);
}

/// The rule on the page, which users of that tool know, over ten windows of 100 SYN/s: it is
/// hit in the first, and acts from the third on.
#[test]
fn the_rule_of_the_page_acts_as_it_says() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/queries.md");
    let text = fs::read_to_string(page).expect("the page exists");
    let rule = text.split_once("```toml\n").expect("the page has a rule").1;
    let rule = rule.split("```").next().expect("the code ends");
    let dir = tempfile::tempdir().expect("a directory");
    let rules = dir.path().join("rules.toml");
    fs::write(&rules, rule).expect("written");
    let mut lines = String::new();
    for window in 1..=10 {
        let finished = json!({
            "key_type": "src_ip", "src_ip": CLIENT, "dst_port": 443, "syn": 1000, "ack": 4000,
            "handshake_ack": 900, "rst": 0, "packets": 5000, "bytes": 500_000,
        });
        let buckets = [bucket(ATTACKER, 1000), finished];
        let _ = write!(lines, "{}", line("r", 10 * window, 10 * window, &buckets));
    }
    let input = dir.path().join("snapshots.jsonl");
    fs::write(&input, lines).expect("written");
    let (report, _) = report(&input, &["--rules", rules.to_str().expect("text")]);
    assert_eq!(source(&report, ATTACKER, "syn"), 10_000);
    assert_eq!(source(&report, ATTACKER, "syn_acted"), 8000);
    assert_eq!(source(&report, CLIENT, "syn_acted"), 0);
}
