// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments of cgroups beside those of interfaces: they hold flows, which no rule
//! acts on, and say who talks to whom.

use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_proto::baseline::Baseline;
use ibsr_proto::cgroup_abi::step;
use ibsr_proto::snapshot::cgroup::words::{Direction, ErrorName, Protocol, Steps};
use ibsr_proto::snapshot::cgroup::{Behaviour, Flow, Row};
use ibsr_tests::flow_segments::{app, behaviour, flow, write, write_with, zone};
use ibsr_tests::process::{program, say};
use ibsr_tests::segments::write_many;
use serde_json::Value;

use super::run;

const SECTION: &str = "Who talks to whom";

#[test]
fn segments_of_a_cgroup_add_a_section_and_change_no_other() {
    let spool = tempfile::tempdir().expect("a directory");
    let _paths = write_many(spool.path(), 5, 3);
    let alone = say(&mut run(spool.path())).expect_code(1);
    assert!(!alone.stdout.contains(SECTION), "{}", alone.stdout);
    let both = |format| say(run(spool.path()).args(["--format", format])).expect_code(1).stdout;
    let before: Value = serde_json::from_str(&both("json")).expect("JSON");
    let _path = write(spool.path(), &[vec![flow(1, "curl", 9, 100)]]);
    let together = say(&mut run(spool.path())).expect_code(1);
    assert!(together.stdout.contains(SECTION), "{}", together.stdout);
    let mut after: Value = serde_json::from_str(&both("json")).expect("JSON");
    assert!(before.get("talks").is_none());
    assert!(after.as_object_mut().expect("a report").remove("talks").is_some());
    for field in ["decision", "surface", "capture", "impact", "days", "population", "sources"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    assert!(!together.stderr.contains("not used"), "{}", together.stderr);
}

#[test]
fn segments_of_a_cgroup_alone_are_told_to_be_nothing_to_simulate() {
    let spool = tempfile::tempdir().expect("a directory");
    let path = write(spool.path(), &[vec![flow(1, "curl", 9, 100)]]);
    let out = spool.path().join("out");
    let mut compact = Command::new(program("ibsr-report"));
    compact.arg("compact").arg(&path).arg("--out").arg(&out);
    let mut sources = Command::new(program("ibsr-report"));
    sources.arg("sources").arg(&path);
    for command in [&mut sources, &mut compact] {
        let said = say(command)
            .expect_code(2)
            .expect_stderr("no source that a rule could act on")
            .expect_stderr("hint: ");
        assert_eq!(said.stdout, "");
    }
    assert!(!out.exists());
}

fn json(command: &mut Command) -> Value {
    let said = say(command.args(["--format", "json", "--quiet"]));
    serde_json::from_str(&said.expect_code(1).stdout).expect("JSON")
}

/// Two processes, three servers, one of them in two sweeps: worked out by hand.
#[test]
fn the_section_says_who_talked_to_whom_and_how_much() {
    let spool = tempfile::tempdir().expect("a directory");
    let later = |mut flow: Flow<'static>, bytes_out| {
        (flow.seq, flow.bytes_out) = (2, bytes_out);
        flow
    };
    let mut failed = flow(4, "backup", 11, 60);
    failed.steps = Steps(step::CONNECTED | step::SYN_SENT | step::FAILED | step::CLOSED);
    failed.error = ErrorName(111);
    let first = vec![flow(1, "curl", 9, 100), flow(2, "curl", 9, 50), failed];
    let named = Flow { name: Some("backup.example.org".into()), ..flow(3, "backup", 10, 9) };
    let second = vec![later(flow(1, "curl", 9, 100), 700), later(named, 9_000)];
    let _path = write(spool.path(), &[first, second]);
    let report = json(&mut run(spool.path()));
    let talks = &report["talks"];
    assert_eq!(talks["rows"], 5);
    assert_eq!(talks["rows_rejected"], 0);
    let apps: Vec<_> = talks["apps"].as_array().expect("a list").iter().collect();
    let of = |row: &Value| {
        let number = |name: &str| row[name].as_u64().expect("a number");
        let comm = row["comm"].as_str().expect("a name").to_owned();
        (comm, number("connections"), number("failed"), number("bytes_out"), number("bytes_in"))
    };
    assert_eq!(of(apps[0]), ("backup".into(), 2, 1, 9_060, 800));
    assert_eq!(of(apps[1]), ("curl".into(), 2, 0, 750, 800));
    assert_eq!(apps[0]["place"], "/system.slice/web.service");
    assert_eq!(talks["pairs"].as_array().expect("a list").len(), 3);
    assert_eq!(talks["pairs"][0]["addr"], "198.51.100.10");
    assert_eq!(talks["pairs"][0]["name"], "backup.example.org");
    assert_eq!(talks["pairs"][1]["name"], Value::Null);
    assert_eq!(talks["pairs"][2]["errors"][0]["error"], "ECONNREFUSED");
    assert_eq!(talks["total"]["connections"], 4);
}

const REGULAR: u32 = 0x1;
const VOLUME: u32 = 0x4;
const PEERS: u32 = 0x8;
const IN_BASELINE: u32 = 0x20;
const NAME_VOLUME: u32 = 0x80;

/// The newest row of each flag, with its line; what is no finding is in no list.
#[test]
fn what_was_measured_is_listed_with_its_evidence_and_its_innocent_reasons() {
    let spool = tempfile::tempdir().expect("a directory");
    let known = Behaviour { remote_port: 80, ..behaviour(2, IN_BASELINE) };
    let others = [
        Row::Behaviour(Box::new(behaviour(1, REGULAR))),
        Row::Behaviour(Box::new(behaviour(2, REGULAR))),
        Row::Behaviour(Box::new(known)),
        Row::App(Box::new(app(2, VOLUME | PEERS))),
        Row::Zone(Box::new(zone(2, NAME_VOLUME))),
    ];
    let sweeps = [vec![flow(1, "curl", 9, 100)], vec![]];
    let path = write_with(spool.path(), &sweeps, &others);
    let report = json(&mut run(spool.path()));
    let findings = report["talks"]["findings"].as_array().expect("a list");
    let of =
        |row: &Value| (row["measured"].as_str().expect("a word").to_owned(), row["addr"].clone());
    let all: Vec<_> = findings.iter().map(of).collect();
    let expected = [
        ("regular_intervals".to_owned(), Value::from("198.51.100.9")),
        ("volume_out".to_owned(), Value::Null),
        ("many_internal_peers".to_owned(), Value::Null),
        ("name_volume".to_owned(), Value::Null),
    ];
    assert_eq!(all.len(), expected.len(), "{findings:#?}");
    assert!(expected.iter().all(|one| all.contains(one)), "{all:?}");
    let regular = findings.iter().find(|row| row["measured"] == "regular_intervals").expect("one");
    assert_eq!((&regular["comm"], &regular["connections"]), (&"curl".into(), &40.into()));
    assert_eq!((&regular["failed"], &regular["name"]), (&3.into(), &"beacon.example.org".into()));
    // Header, flow, row, sweep, row.
    assert_eq!(regular["line"], 5);
    let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
    assert!(regular["file"].as_str().expect("a file").ends_with(name), "{regular}");
    let names = findings.iter().find(|row| row["measured"] == "name_volume").expect("one");
    assert_eq!((&names["zone"], &names["questions"]), (&"example.org".into(), &340.into()));
    assert_eq!(report["talks"]["findings_cut"], false);
    let text = say(run(spool.path()).arg("--quiet")).expect_code(1).stdout;
    for words in [
        "every 1 m",
        "3.0 GiB in the window",
        "about 250 in the window",
        "48.0 KiB of names in",
        "*.example.org",
        "update",
        "backups",
    ] {
        assert!(text.contains(words), "no `{words}` in {text}");
    }
    assert!(!text.contains("not_in_baseline"), "{text}");
}

/// What a cluster folds and merges is what one machine says; a day is merged once.
#[test]
fn a_partial_gives_the_same_section_and_is_not_merged_twice() {
    let spool = tempfile::tempdir().expect("a directory");
    let _path = write(spool.path(), &[vec![flow(1, "curl", 9, 100), flow(2, "sh", 8, 50)]]);
    let whole = json(&mut run(spool.path()));
    let partial = spool.path().join("partial");
    let mut fold = Command::new(program("ibsr-report"));
    fold.arg("fold").arg(spool.path()).arg("-o").arg(&partial);
    say(&mut fold).expect_code(0);
    let mut merge = Command::new(program("ibsr-report"));
    let out = spool.path().join("out");
    merge.arg("merge").arg(&partial).arg("--out").arg(&out);
    merge.args(["--now", "2026-11-22T15:00:00Z"]);
    assert_eq!(json(&mut merge)["talks"], whole["talks"]);
    let mut twice = Command::new(program("ibsr-report"));
    twice.arg("merge").args([&partial, &partial]).arg("--out").arg(&out);
    say(&mut twice).expect_code(2).expect_stderr("two partials hold");
}

fn baseline(input: &Path, output: &Path, flags: &[&str]) -> Command {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("baseline").arg(input).arg("-o").arg(output).args(flags);
    command
}

/// What was answered is known, once, in order; what failed, came in or has no owner is not.
#[test]
fn a_baseline_holds_what_was_reached_and_nothing_else() {
    let spool = tempfile::tempdir().expect("a directory");
    let mut refused = flow(3, "scan", 77, 60);
    refused.steps = Steps(step::CONNECTED | step::SYN_SENT | step::FAILED);
    let mut came = flow(4, "sshd", 78, 60);
    came.direction = Direction(2);
    let mut nobody = flow(5, "x", 79, 60);
    nobody.owner = None;
    let mut asked = flow(6, "dig", 80, 60);
    (asked.protocol, asked.packets_in) = (Protocol(17), 0);
    let known = [flow(1, "curl", 9, 100), flow(2, "curl", 9, 5), flow(7, "curl", 8, 1)];
    let rows: Vec<_> = known.into_iter().chain([refused, came, nobody, asked]).collect();
    let path = write(spool.path(), &[rows]);
    let file = spool.path().join("web.baseline");
    say(&mut baseline(&path, &file, &[])).expect_code(0);
    let text = fs::read_to_string(&file).expect("written");
    let read = Baseline::parse(&text).expect("a baseline");
    let prefixes = |read: &Baseline| -> Vec<String> {
        read.entries.iter().map(|entry| entry.prefix.to_string()).collect()
    };
    assert_eq!(prefixes(&read), ["198.51.100.8/32", "198.51.100.9/32"]);
    let entry = &read.entries[0];
    let found = (entry.exe_inode, entry.exe_device, entry.protocol, entry.port);
    assert_eq!((found, read.host.as_str()), ((3, 1 << 20, 6, 443), "h1"));
    say(&mut baseline(&path, &file, &["--prefix-v4", "24"])).expect_code(0);
    let read = Baseline::parse(&fs::read_to_string(&file).expect("written")).expect("a baseline");
    assert_eq!(prefixes(&read), ["198.51.100.0/24"]);
}

#[test]
fn a_baseline_of_nothing_is_refused_and_leaves_no_file() {
    let spool = tempfile::tempdir().expect("a directory");
    let file = spool.path().join("web.baseline");
    let _paths = write_many(&spool.path().join("xdp-eth0"), 5, 3);
    say(&mut baseline(spool.path(), &file, &[]))
        .expect_code(2)
        .expect_stderr("failed to find a segment of a cgroup")
        .expect_stderr("hint: ");
    let mut refused = flow(3, "scan", 77, 60);
    refused.steps = Steps(step::CONNECTED);
    let _path = write(spool.path(), &[vec![refused]]);
    say(&mut baseline(spool.path(), &file, &[]))
        .expect_code(2)
        .expect_stderr("failed to find a connection that was answered")
        .expect_stderr("hint: ");
    assert!(!file.exists());
}
