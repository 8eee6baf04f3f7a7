// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy held against recorded flows: which rule takes what from whom, what is not known, how
//! sure all of it is, and the same bytes whatever the order.

use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_proto::snapshot::cgroup::words::{Direction, Protocol, Steps};
use ibsr_proto::snapshot::cgroup::{Flow, Row};
use ibsr_tests::flow_segments::{behaviour, write, write_with};
use ibsr_tests::process::{program, say};
use serde_json::{Value, json};

use super::egress_stage::{
    EVERY_DIMENSION, egress, every_dimension, identities, owned, policy, report, to, unknown, week,
};
use super::number;

/// `comm` and rule of each row of a list.
fn decided(report: &Value, list: &str) -> Vec<(String, String)> {
    let rows = report[list].as_array().expect("a list");
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or("-").to_owned();
    let mut all: Vec<_> = rows.iter().map(|row| (text(row, "comm"), text(row, "rule"))).collect();
    all.sort();
    all
}

#[track_caller]
fn assert_conserved(report: &Value) {
    let flows = |name: &str| number(report, &format!("/flows/{name}"));
    assert_eq!(flows("flows"), flows("judged") + flows("unjudged"));
    assert_eq!(flows("judged"), flows("exempt") + flows("allowed") + flows("would_deny"));
}

/// Each flow by the rule that takes it, the others allowed; loopback and the protected exempt.
#[test]
fn each_dimension_of_a_rule_takes_what_it_names() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    let _path = write(&spool, &[every_dimension()]);
    let policy = policy(dir.path(), EVERY_DIMENSION);
    let exe = identities(dir.path(), Some("1048576:99"));
    let (report, _) = report(egress(&spool, &policy).arg("--identities").arg(&exe));
    let expected: Vec<(String, String)> = [
        ("browser", "by-name"),
        ("chronyd", "by-protocol"),
        ("curl", "by-address"),
        ("guest", "by-user"),
        ("job", "by-cgroup"),
        ("proxy", "by-port"),
        ("strange", "by-exe"),
    ]
    .map(|(comm, rule)| (comm.to_owned(), rule.to_owned()))
    .into();
    assert_eq!(decided(&report, "losses"), expected);
    assert_conserved(&report);
    assert_eq!(number(&report, "/flows/flows"), 11);
    assert_eq!(number(&report, "/flows/exempt"), 2);
    assert_eq!(number(&report, "/flows/allowed"), 2);
    assert_eq!(number(&report, "/flows/completed_denied"), 7);
    assert_eq!(report["unresolved"], json!([]));
    let rules = report["rules"].as_array().expect("a list");
    let decisions: Vec<u64> = rules.iter().map(|row| row["flows"].as_u64().expect("n")).collect();
    assert_eq!(decisions, [1, 1, 1, 1, 1, 1, 1, 1, 1], "one each, the default too");
    let first = &report["losses"][0];
    assert!(first["first_unix_ms"].as_u64() <= first["last_unix_ms"].as_u64(), "{first}");
}

/// Another machine's executables: only what depends on them is without a verdict.
#[test]
fn what_nobody_looked_up_is_said_and_not_guessed() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    let [gone, nobody] = unknown();
    let flows = every_dimension().into_iter().chain([gone.clone(), nobody]).collect();
    let _path = write(&spool, &[flows]);
    let rules = policy(dir.path(), EVERY_DIMENSION);
    let (open, said) = report(&mut egress(&spool, &rules));
    assert_eq!(said.code, Some(1));
    assert_eq!(open["unresolved"], json!(["exe /opt/strange"]));
    assert_conserved(&open);
    // Whoever is denied by something narrower is denied whatever it is; the others may be it.
    let lost = decided(&open, "losses");
    let names: Vec<&str> = lost.iter().map(|(comm, _)| comm.as_str()).collect();
    assert_eq!(names, ["-", "browser", "chronyd", "curl", "proxy"], "{lost:?}");
    let unjudged = open["unjudged"].as_array().expect("a list");
    let why = |comm: &str| {
        let row = unjudged.iter().find(|row| row["comm"] == comm);
        row.unwrap_or_else(|| panic!("`{comm}` is judged"))["why"].as_str().expect("why").to_owned()
    };
    assert!(why("plain").contains("executable") && why("strange").contains("executable"));
    // The machine has no such executable: nobody is it. What is gone still may be anywhere.
    let known = identities(dir.path(), None);
    let (shut, _) = report(egress(&spool, &rules).arg("--identities").arg(&known));
    assert_eq!(shut["unresolved"], json!([]));
    let rows = shut["unjudged"].as_array().expect("a list");
    assert_eq!(rows.len(), 1, "{rows:#?}");
    assert_eq!(rows[0]["comm"], "gone");
    assert!(rows[0]["why"].as_str().expect("why").contains("cgroup"), "{}", rows[0]);
    assert_eq!(number(&shut, "/flows/allowed"), 3, "the one that was unknown, too");
    // Its id stands in another row, with the path.
    let mut there = to(14, "there", "198.51.100.14", 443);
    (there.cgroup_id, there.cgroup_path) = (4444, Some("/system.slice/web.service/jobs".into()));
    let there = owned(there, |owner| owner.cgroup_id = 4444);
    let again = dir.path().join("again");
    let _path = write(&again, &[vec![gone, there]]);
    let (found, _) = report(egress(&again, &rules).arg("--identities").arg(&known));
    assert_eq!(decided(&found, "losses").len(), 2, "{found:#}");
}

/// Directions as the guard sees them: what came in is asked at its own port, a datagram at both
/// ends of its way.
#[test]
fn each_direction_is_asked_as_the_guard_asks() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    let came = |socket, comm, port| Flow {
        direction: Direction(2),
        local_port: port,
        ..to(socket, comm, "198.51.100.1", 50_000)
    };
    let older = |socket, comm, local, remote| Flow {
        direction: Direction(0),
        local_port: local,
        ..to(socket, comm, "198.51.100.1", remote)
    };
    let mut bound = to(5, "bound", "198.51.100.5", 9);
    (bound.protocol, bound.steps, bound.local_port) = (Protocol(17), Steps(0x3), 5353);
    let mut silent = Flow { socket: 6, ..bound.clone() };
    (silent.owner, silent.packets_in) = (came(6, "silent", 1).owner, 0);
    let flows = vec![
        came(1, "refused", 22),
        came(2, "served", 443),
        older(3, "unclear", 22, 50_000),
        older(4, "clear", 443, 50_000),
        bound,
        silent,
    ];
    let _path = write(&spool, &[flows]);
    let rules = policy(
        dir.path(),
        "established: judge\nrules:\n  - {name: in, action: deny, direction: in, ports: [22, 5353]}\n",
    );
    let (report, _) = report(&mut egress(&spool, &rules));
    assert_conserved(&report);
    let mut lost = decided(&report, "losses");
    lost.retain(|(comm, _)| comm != "bound");
    assert_eq!(lost, [("refused".to_owned(), "in".to_owned())]);
    assert_eq!(decided(&report, "losses").len(), 2, "what comes to a bound port is no answer");
    assert_eq!(decided(&report, "unjudged"), [("unclear".to_owned(), "-".to_owned())]);
    assert_eq!(number(&report, "/flows/allowed"), 3);
    assert_eq!(number(&report, "/surface/clients"), 1, "22 and 443 are one cluster of clients");
    assert_eq!(number(&report, "/surface/clients_lost"), 1);
}

/// What a rule is meant to deny hurts nobody, and is shown; a failed flow loses nothing.
#[test]
fn what_is_meant_or_never_worked_is_no_loss() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    let mut failed = to(3, "scan", "192.0.2.3", 443);
    failed.steps = Steps(0x99);
    let flows = vec![to(1, "curl", "192.0.2.1", 443), to(2, "wget", "198.51.100.1", 443), failed];
    let _path = write_with(&spool, &[flows], &[Row::Behaviour(Box::new(behaviour(1, 1)))]);
    let rules = policy(dir.path(), "rules:\n  - {name: lab, action: deny, cidr: 192.0.2.0/24}\n");
    let (plain, _) = report(&mut egress(&spool, &rules));
    assert_eq!(decided(&plain, "losses"), [("curl".to_owned(), "lab".to_owned())]);
    assert_eq!(decided(&plain, "denials"), [("scan".to_owned(), "lab".to_owned())]);
    assert_eq!(plain["surface"]["destinations"]["k"], 1);
    assert_eq!(plain["surface"]["destinations"]["n"], 2);
    let (meant, _) = report(egress(&spool, &rules).args(["--intended", "lab"]));
    assert_eq!(meant["surface"]["destinations"]["k"], 0);
    assert_eq!((&meant["surface"]["intended"], &meant["losses"]), (&json!(1), &json!([])));
    assert_eq!(decided(&meant, "denials").len(), 2);
    say(egress(&spool, &rules).args(["--intended", "lob"]))
        .expect_code(2)
        .expect_stderr("the policy has no rule `lob`")
        .expect_stderr("hint: ");
}

fn failed(report: &Value) -> Vec<String> {
    let gates = report["decision"]["gates"].as_array().expect("gates").iter();
    let failed = gates.filter(|gate| gate["is_passed"] == false);
    failed.map(|gate| gate["name"].as_str().expect("a name").to_owned()).collect()
}

/// 348 destinations show 1 % at the first look when none is lost.
#[test]
fn each_verdict_is_reached_by_its_gates() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    week(&spool, 3_600);
    let verdict = |spool: &Path, text: &str, flags: &[&str]| {
        let rules = policy(dir.path(), text);
        let (report, said) = report(egress(spool, &rules).args(flags));
        let word = report["decision"]["verdict"].as_str().expect("a word").to_owned();
        (word, failed(&report), said.code)
    };
    let denies = "rules:\n  - {name: far, action: deny, cidr: 172.16.0.0/12}\n";
    let unheard = ["rehearsed_days", "rehearsed"].map(str::to_owned).to_vec();
    let trial = ("ready_canary".to_owned(), unheard, Some(0));
    assert_eq!(verdict(&spool, denies, &[]), trial);
    let many = "rules:\n  - {name: many, action: deny, cidr: 10.1.0.0/16}\n";
    let (word, why, code) = verdict(&spool, many, &[]);
    assert_eq!((word.as_str(), code), ("not_ready", Some(1)));
    assert_eq!(why, ["false_positives", "connections", "worst_day", "rehearsed_days", "rehearsed"]);
    let all = "default: {out: deny}\n";
    let (word, why, _) = verdict(&spool, all, &[]);
    assert_eq!(word, "not_ready");
    assert!(why.contains(&"cut_off".to_owned()), "{why:?}");
    let (word, why, code) = verdict(&spool, "default: {out: allow}\n", &[]);
    assert_eq!((word.as_str(), code), ("no_benefit", Some(1)));
    assert_eq!(why, ["denies", "rehearsed_days", "rehearsed"]);
    let few = dir.path().join("few");
    week(&few, 100);
    let (word, why, code) = verdict(&few, denies, &[]);
    assert_eq!((word.as_str(), code), ("insufficient_evidence", Some(1)));
    assert_eq!(why[0], "destinations");
}

/// What it prints and every file that it writes.
fn everything(command: &mut Command) -> Vec<(String, Vec<u8>)> {
    let out = tempfile::tempdir().expect("a directory");
    let said = say(command.arg("--out").arg(out.path())).expect_code(1);
    let mut all = vec![("stdout".to_owned(), said.stdout.into_bytes())];
    for entry in fs::read_dir(out.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        all.push((name, fs::read(&path).expect("readable")));
    }
    all.sort();
    assert_eq!(all.len(), 7, "{:?}", all.iter().map(|(name, _)| name).collect::<Vec<_>>());
    all
}

/// Order of files, threads, the memory that makes it read a stream in shares: no byte.
#[test]
fn nothing_around_the_inputs_changes_a_byte() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    week(&spool, 3_600);
    let copies = dir.path().join("copies");
    fs::create_dir_all(&copies).expect("made");
    let segment = fs::read_dir(&spool).expect("listed").next().expect("one").expect("an entry");
    let packed = zstd::encode_all(fs::read(segment.path()).expect("readable").as_slice(), 1);
    let name = format!("{}.zst", segment.file_name().to_string_lossy());
    fs::write(copies.join(name), packed.expect("packs")).expect("written");
    let rules = policy(dir.path(), "rules:\n  - {name: far, action: deny, cidr: 10.1.0.0/16}\n");
    let first = everything(egress(&spool, &rules).args(["--threads", "1"]));
    for flags in [["--threads", "7"], ["--memory", "1MiB"]] {
        assert!(everything(egress(&spool, &rules).args(flags)) == first, "{flags:?}");
    }
    assert!(everything(&mut egress(&copies, &rules)) == first, "another packing");
}

#[test]
fn two_hosts_two_sensors_and_none_are_refused_with_a_way_out() {
    let dir = tempfile::tempdir().expect("a directory");
    let spool = dir.path().join("spool");
    let rules = policy(dir.path(), "rules:\n  - {name: far, action: deny, cidr: 10.1.0.0/16}\n");
    fs::create_dir_all(&spool).expect("made");
    say(&mut egress(&spool, &rules)).expect_code(2).expect_stderr("failed to find a segment");
    week(&spool, 3);
    say(egress(&spool, &rules).args(["--cgroup", "user.slice"]))
        .expect_code(2)
        .expect_stderr("failed to find a sensor of the cgroup `user.slice`");
    let (narrow, _) =
        report(egress(&spool, &rules).args(["--cgroup", "system.slice/web.service/"]));
    assert_eq!(number(&narrow, "/flows/flows"), 3);
    let (none, _) = report(egress(&spool, &rules).args(["--cgroup", "system.slice/web.service/x"]));
    assert_eq!(number(&none, "/flows/flows"), 0);
    let help = say(Command::new(program("ibsr-report")).args(["egress", "--help"])).expect_code(0);
    assert!(help.stdout.contains("Examples:"), "{}", help.stdout);
}
