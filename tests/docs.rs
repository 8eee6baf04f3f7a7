// SPDX-License-Identifier: MIT OR Apache-2.0
//! Claims in the documentation that a command can check: the two queries run, every link
//! leads somewhere, every command line names flags that exist.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::snapshot::Row;
use ibsr_proto::snapshot::cgroup::{Flow, words::Direction};
use ibsr_tests::flow_segments::{flow, write};
use ibsr_tests::process::{program, say};
use ibsr_tests::segments::{SegmentSpec, Traffic, rows};

/// The executable that flows of the harness are of.
const EXE_INODE: u64 = 3;
const EXE_DEVICE: &str = "1:0";

const PROGRAMS: [&str; 4] = ["ibsr-loader", "ibsr-reader", "ibsr-export", "ibsr-report"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README, CHANGELOG and every page of docs/, with their texts.
fn pages() -> Vec<(PathBuf, String)> {
    let pages = [root(), root().join("docs")]
        .iter()
        .flat_map(|dir| fs::read_dir(dir).expect("the repository is readable"))
        .map(|entry| entry.expect("a directory entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .map(|path| (path.clone(), fs::read_to_string(&path).expect("a page is UTF-8")))
        .collect::<Vec<_>>();
    assert!(pages.len() > 8, "the pages were found");
    pages
}

/// The fenced code of `language` in a page.
fn fenced(page: &str, language: &str) -> String {
    let text = fs::read_to_string(root().join("docs").join(page)).expect("the page exists");
    let from = text.split_once(&format!("```{language}\n")).expect("the page has such code").1;
    from.split_once("```").expect("the code ends").0.to_owned()
}

/// A spool of two segments, and its ten greatest senders of SYNs as `count, address`.
fn spool_with_truth() -> (tempfile::TempDir, Vec<String>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mut traffic = Traffic::new(11, 40);
    let mut newest = BTreeMap::new();
    for first_seq in [17, 20] {
        let spec = SegmentSpec::of(first_seq, traffic.sweeps(3));
        for row in rows(&spec.bytes()) {
            if let Row::Source(row) = row {
                newest.insert((row.src, row.dst_port, row.born_boot_ns), row.syn);
            }
        }
        let _path = spec.write(dir.path());
    }
    let mut by_source = BTreeMap::<String, u64>::new();
    for ((src, ..), syn) in newest {
        *by_source.entry(src.to_string()).or_default() += syn;
    }
    let mut top: Vec<_> = by_source.into_iter().collect();
    top.sort_by_key(|(src, syn)| (std::cmp::Reverse(*syn), src.clone()));
    top.truncate(10);
    (dir, top.into_iter().map(|(src, syn)| format!("{syn}\t{src}")).collect())
}

/// Sorted, because sources with equal counts may come in any order from jq.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_jq_query_finds_the_top_senders() {
    let (spool, mut truth) = spool_with_truth();
    let query =
        fenced("snapshot-format.md", "sh").replace("SPOOL", &spool.path().display().to_string());
    let said = say(Command::new("bash").args(["-c", &query])).expect_code(0);
    truth.sort();
    assert_eq!(sorted(&said.stdout), truth, "{}", said.stderr);
}

#[test]
fn the_duckdb_query_finds_the_top_senders() {
    let (spool, truth) = spool_with_truth();
    let query =
        fenced("snapshot-format.md", "sql").replace("SPOOL", &spool.path().display().to_string());
    let script = "import sys, duckdb\n\
                  for src, syn in duckdb.sql(sys.argv[1]).fetchall(): print(f'{syn}\\t{src}')";
    let modules = program("xtask").parent().expect("a folder").join("../tools/python");
    let said =
        say(Command::new("python3").args(["-c", script, &query]).env("PYTHONPATH", &modules));
    assert!(
        !said.stderr.contains("No module named 'duckdb'"),
        "DuckDB is missing: run `cargo xtask test`"
    );
    assert_eq!(said.expect_code(0).stdout.lines().collect::<Vec<_>>(), truth);
}

/// Two processes, three servers, two sweeps: counters are cumulative, so the first sweep counts
/// for nothing; a listener's row and an incoming flow are no talk to anybody.
fn flows() -> (tempfile::TempDir, Vec<&'static str>) {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let incoming = Flow { direction: Direction(2), ..flow(9, "nginx", 3, 9_999) };
    let early = vec![flow(1, "curl", 1, 100), flow(2, "curl", 1, 10), incoming.clone()];
    let late =
        vec![flow(1, "curl", 1, 700), flow(3, "curl", 2, 50), flow(4, "psql", 1, 300), incoming];
    let _path = write(dir.path(), &[early, late]);
    let truth = vec![
        "curl\t198.51.100.1\t443\t710\t2",
        "psql\t198.51.100.1\t443\t300\t1",
        "curl\t198.51.100.2\t443\t50\t1",
    ];
    (dir, truth)
}

/// The fenced code of `language` below the heading about flows.
fn who_talks(language: &str, spool: &Path) -> String {
    query("Who talks to whom", language, spool)
}

/// The first fenced code of `language` below a heading.
fn query(heading: &str, language: &str, spool: &Path) -> String {
    let text = fs::read_to_string(root().join("docs/queries.md")).expect("the page exists");
    let heading = format!("\n## {heading}\n");
    let section = text.split_once(&heading).expect("the heading exists").1;
    let from = section.split_once(&format!("```{language}\n")).expect("it has such code").1;
    let code = from.split_once("```").expect("the code ends").0;
    code.replace("SPOOL", &spool.display().to_string())
}

#[test]
fn the_jq_query_finds_who_talks_to_whom() {
    let (spool, truth) = flows();
    let said = say(Command::new("bash").args(["-c", &who_talks("sh", spool.path())]));
    assert_eq!(said.expect_code(0).stdout.lines().collect::<Vec<_>>(), truth);
}

#[test]
fn the_duckdb_query_finds_who_talks_to_whom() {
    let (spool, truth) = flows();
    assert_eq!(duckdb(&who_talks("sql", spool.path())), truth);
}

/// The rows that DuckDB finds.
fn duckdb(query: &str) -> Vec<String> {
    let script = "import sys, duckdb\n\
                  for row in duckdb.sql(sys.argv[1]).fetchall(): print(*row, sep='\\t')";
    let modules = program("xtask").parent().expect("a folder").join("../tools/python");
    let mut command = Command::new("python3");
    command.args(["-c", script, query]).env("PYTHONPATH", &modules);
    say(&mut command).expect_code(0).stdout.lines().map(str::to_owned).collect()
}

/// What two applications have, over two sweeps: a flag, none, one that is no finding, and one of
/// an application that no flow names.
#[test]
fn the_duckdb_query_finds_what_was_flagged() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = write(dir.path(), &[vec![flow(1, "curl", 1, 100)], vec![flow(1, "curl", 1, 700)]]);
    let mut text = String::new();
    for (seq, exe_inode, remote, flags, connects) in [
        (1, EXE_INODE, "198.51.100.1", vec![], 20),
        (2, EXE_INODE, "198.51.100.1", vec!["regular_intervals"], 40),
        (2, EXE_INODE, "198.51.100.2", vec![], 3),
        (2, EXE_INODE, "198.51.100.3", vec!["in_baseline"], 3),
        (2, 99, "198.51.100.4", vec!["not_in_baseline"], 1),
    ] {
        let row = serde_json::json!({
            "type": "behaviour", "seq": seq, "exe_device": EXE_DEVICE, "exe_inode": exe_inode,
            "remote_addr": remote, "remote_port": 443, "protocol": "tcp", "flags": flags,
            "born_boot_ns": 1, "connects": connects, "bytes_out": 10 * connects,
            "name": (seq == 2 && connects == 40).then_some("beacon.example.org"),
        });
        text.push_str(&format!("{row}\n"));
    }
    fs::write(path.with_file_name("behaviour.jsonl"), text).expect("a file");
    let rows = duckdb(&query("What was flagged", "sql", dir.path()));
    let expected = [
        "curl\tbeacon.example.org\t443\t['regular_intervals']\t40\t400",
        "None\t198.51.100.4\t443\t['not_in_baseline']\t1\t10",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn the_iam_policy_is_json_and_asks_for_no_delete() {
    let policy: serde_json::Value =
        serde_json::from_str(&fenced("s3-upload.md", "json")).expect("valid JSON");
    let actions = policy["Statement"][0]["Action"].to_string();
    assert!(actions.contains("s3:PutObject") && !actions.contains("Delete"), "{actions}");
}

#[test]
fn every_relative_link_leads_somewhere() {
    for (path, text) in pages() {
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            let aim = path.parent().expect("a page lies in a folder").join(file);
            assert!(aim.exists(), "{}: `{target}` leads nowhere", path.display());
        }
    }
}

/// Command lines of ours in a text: indented, in a fence, after `$`, or after `sudo`.
fn command_lines(text: &str) -> Vec<Vec<String>> {
    text.lines()
        .map(|line| line.trim().trim_start_matches("$ ").trim_start_matches("sudo "))
        .filter(|line| PROGRAMS.iter().any(|program| line.starts_with(&format!("{program} "))))
        .map(|line| line.split(" #").next().unwrap_or(line))
        .map(|line| line.split_whitespace().map(|word| word.trim_matches('`').to_owned()).collect())
        .collect()
}

/// Panics when a flag of the command line is not in the help of its subcommand.
#[track_caller]
fn check_flags(words: &[String], place: &str) {
    let mut command = Command::new(program(&words[0]));
    let subcommands = words[1..].iter().take_while(|word| {
        word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    });
    let mut help = String::new();
    // A positional argument can look like a subcommand: the deepest help that answers counts.
    for word in subcommands {
        command.arg(word);
        let mut ask = Command::new(command.get_program());
        let said = say(ask.args(command.get_args()).arg("--help"));
        if said.code != Some(0) || said.stdout == help {
            break;
        }
        help = said.stdout;
    }
    for flag in words.iter().filter(|word| word.starts_with("--")) {
        let flag = flag.split('=').next().unwrap_or(flag);
        assert!(help.contains(flag), "{place}: `{}` has no {flag}", words.join(" "));
    }
}

#[test]
fn every_command_line_in_the_documentation_names_flags_that_exist() {
    let mut checked = 0;
    for (path, text) in pages() {
        for words in command_lines(&text) {
            check_flags(&words, &path.display().to_string());
            checked += 1;
        }
    }
    assert!(checked > 10, "only {checked} command lines were found");
}

#[test]
fn each_help_ends_with_two_command_lines_that_parse() {
    for name in PROGRAMS {
        let help = say(Command::new(program(name)).arg("--help")).expect_code(0).stdout;
        let examples = command_lines(&help);
        assert!(examples.len() >= 2, "{name} --help shows {} examples", examples.len());
        examples.iter().for_each(|words| check_flags(words, name));
    }
}
