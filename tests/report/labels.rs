// SPDX-License-Identifier: MIT OR Apache-2.0
//! Labels by connections: recordings of both sensors of one host. What the second one saw is
//! made from what the first one counted, so that the truth is known.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::Flow;
use ibsr_proto::snapshot::cgroup::words::Steps;
use ibsr_tests::beside;
use ibsr_tests::process::{program, say};
use serde_json::Value;

use super::same_bytes::report;
use super::{number, run};

const NOW: [&str; 2] = ["--now", "2026-11-22T15:00:00Z"];
const DAYS: [&str; 2] = ["2026-01-05", "2026-01-06"];

/// Two days of a site with SYN floods.
fn record(dir: &Path) {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("simulate").arg("--out").arg(dir);
    command.args(["--days", "2", "--clients", "20", "--preset", "flood", "--seed", "5"]);
    let _said = say(&mut command).expect_code(0);
}

/// The same with every connection in a cgroup that is watched.
fn record_both(dir: &Path) -> BTreeMap<u64, PathBuf> {
    record(dir);
    beside::write(dir, |_| true)
}

/// The report with all of its sources.
fn json(input: &Path) -> Value {
    let said = say(run(input).args(["--format", "json", "--quiet", "--top", "100000"]));
    serde_json::from_str(&said.expect_code(1).stdout).expect("JSON")
}

fn gate<'a>(report: &'a Value, name: &str) -> &'a Value {
    let gates = report["decision"]["gates"].as_array().expect("a list");
    gates.iter().find(|gate| gate["name"] == name).unwrap_or_else(|| panic!("no gate `{name}`"))
}

fn is_passed(report: &Value, name: &str) -> bool {
    gate(report, name)["is_passed"].as_bool().expect("a fact")
}

/// Label and counters of every listed source.
fn sources(report: &Value) -> BTreeMap<String, (String, u64, u64)> {
    let list = report["sources"].as_array().expect("a list");
    assert_eq!(list.len() as u64, number(report, "/population/count"), "all are listed");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let row = |row: &Value| {
        let (syn, handshakes) = (number(row, "/syn"), number(row, "/handshakes"));
        (text(&row["src"]), (text(&row["label"]), syn, handshakes))
    };
    list.iter().map(row).collect()
}

#[test]
fn both_sensors_beside_each_other_give_labels_by_connections_and_lift_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    record(dir.path());
    let alone = json(dir.path());
    let _flows = beside::write(dir.path(), |_| true);
    let both = json(dir.path());
    for gates in ["labels", "handshakes_known"] {
        assert!(!is_passed(&alone, gates) && is_passed(&both, gates), "{gates}");
    }
    assert_eq!(alone["settings"]["is_label_independent"], false);
    assert_eq!(both["settings"]["is_label_independent"], true);
    let text = |report: &Value| report["settings"]["labels"].as_str().expect("text").to_owned();
    assert!(text(&alone).starts_with("by XDP counters"), "{}", text(&alone));
    assert!(text(&both).starts_with("by connections"), "{}", text(&both));
    assert_eq!(number(&both, "/label_basis/stream_days"), 2);
    assert_eq!(number(&both, "/label_basis/stream_days_covered"), 2);
    assert_eq!(number(&both, "/label_basis/sources"), number(&both, "/population/count"));
    let handshakes = number(&both, "/population/counts/handshakes");
    assert!(handshakes > 100, "{handshakes}");
    for field in ["handshakes", "handshakes_known", "connections", "connections_both_ways"] {
        assert_eq!(number(&both, &format!("/label_basis/{field}")), handshakes, "{field}");
        assert_eq!(number(&alone, &format!("/label_basis/{field}")), 0, "{field}");
    }
    // The definition, worked out from the rows: a connection with payload for each handshake.
    let (mut legitimate, mut abusive) = (0, 0);
    let before = sources(&alone);
    for (src, (label, syn, handshakes)) in sources(&both) {
        let expected = match handshakes {
            0 => before[&src].0.as_str(),
            done if 2 * done >= syn => "legitimate",
            _ => "unknown",
        };
        assert_eq!(label, expected, "{src}: {handshakes} of {syn}");
        legitimate += u64::from(label == "legitimate");
        abusive += u64::from(label == "abusive");
    }
    assert!(legitimate > 10 && abusive > 0, "{legitimate}, {abusive}");
    let page = say(&mut run(dir.path())).expect_code(1).stdout;
    assert!(page.contains(&format!("By connections: {}.", number(&both, "/population/count"))));
}

#[test]
fn a_day_without_the_second_sensor_keeps_the_limit_and_its_sources_their_proxy() {
    let dir = tempfile::tempdir().expect("a directory");
    let flows = record_both(dir.path());
    let (_, second) = flows.last_key_value().expect("two days");
    fs::remove_file(second).expect("removed");
    let report = json(dir.path());
    assert_eq!(number(gate(&report, "labels"), "/value"), 500_000);
    assert!(!is_passed(&report, "labels") && is_passed(&report, "handshakes_known"));
    assert_eq!(report["settings"]["is_label_independent"], false);
    let (by_connections, all) =
        (number(&report, "/label_basis/sources"), number(&report, "/population/count"));
    assert!(0 < by_connections && by_connections < all, "{by_connections} of {all}");
}

/// A sensor that saw the connections of none, and one that nobody vouches for, are no reason to
/// lift anything.
#[test]
fn a_cgroup_beside_the_traffic_makes_its_sources_unknown_and_keeps_the_limit() {
    let dir = tempfile::tempdir().expect("a directory");
    record(dir.path());
    let _flows = beside::write(dir.path(), |_| false);
    let report = json(dir.path());
    assert!(is_passed(&report, "labels") && !is_passed(&report, "handshakes_known"));
    assert_eq!(number(gate(&report, "handshakes_known"), "/value"), 0);
    assert_eq!(report["settings"]["is_label_independent"], false);
    assert_eq!(number(&report, "/population/legitimate"), 0);
    for (src, (label, syn, handshakes)) in sources(&report) {
        let is_accused = label == "abusive" || label == "spoofable";
        assert!(!(is_accused && handshakes > 0), "{src}: {label}, {handshakes} of {syn}");
    }
}

/// One source each: no connection is known, none carried payload, only half did.
#[test]
fn what_connections_show_of_a_source_decides_its_label() {
    let dir = tempfile::tempdir().expect("a directory");
    record(dir.path());
    let alone = json(dir.path());
    let good: Vec<String> = sources(&alone)
        .into_iter()
        .filter(|(_, (label, ..))| label == "legitimate")
        .map(|(src, _)| src)
        .take(4)
        .collect();
    let [unseen, silent, one_way, failed] = good.as_slice() else { panic!("{good:?}") };
    let stranger: SourceAddr = "203.0.113.250".parse().expect("an address");
    let mut strangers = 0;
    let _flows = beside::write(dir.path(), |flow: &mut Flow<'static>| {
        let src = flow.remote_addr.expect("a source").to_string();
        match &src {
            src if src == unseen => return false,
            src if src == silent => (flow.bytes_in, flow.bytes_out) = (4 * 52, 4 * 52),
            src if src == one_way => flow.bytes_out = 4 * 60,
            src if src == failed => flow.steps = Steps(step::CLOSED),
            _ if strangers < 3 => {
                strangers += 1;
                flow.remote_addr = Some(stranger);
            }
            _ => {}
        }
        true
    });
    let report = json(dir.path());
    let labels = sources(&report);
    for src in [unseen, silent, one_way, failed] {
        assert_eq!(labels[src].0, "unknown", "{src}");
    }
    assert!(!labels.contains_key("203.0.113.250"), "no interface saw it");
    for pointer in ["/population/count", "/population/counts/syn", "/days/0/sources"] {
        assert_eq!(number(&report, pointer), number(&alone, pointer), "{pointer}");
    }
}

fn fold(input: &Path, day: Option<&str>, partial: &Path) {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("fold").arg(input).arg("-o").arg(partial);
    command.args(day.iter().flat_map(|day| ["--day", day]));
    let _said = say(&mut command).expect_code(0);
}

/// Days apart, sensors apart, little memory, many threads.
#[test]
fn whoever_folds_what_where_the_labels_are_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let site = dir.path().join("site");
    let _flows = record_both(&site);
    let whole = report(&mut run(&site));
    for (memory, threads) in [("1MiB", "1"), ("1MiB", "3")] {
        let args = ["--memory", memory, "--threads", threads];
        assert_eq!(whole, report(run(&site).args(args)), "{memory}, {threads} threads");
    }
    let partial = |name: &str| dir.path().join(name);
    let mut parts = Vec::new();
    let sensors: Vec<PathBuf> = fs::read_dir(&site)
        .expect("a directory")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(sensors.len(), 2, "{sensors:?}");
    for (sensor, at) in sensors.iter().zip(0..) {
        for day in DAYS {
            let path = partial(&format!("{at}-{day}"));
            fold(sensor, Some(day), &path);
            parts.push(path);
        }
    }
    for turn in 0..3 {
        parts.rotate_left(turn);
        let mut merge = Command::new(program("ibsr-report"));
        merge.arg("merge").args(&parts).args(NOW);
        assert_eq!(whole, report(&mut merge), "{parts:?}");
    }
}
