// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report of a fleet by Spark: a real cluster of two executors gives the bytes of one
//! process, reads from a bucket, and hands on what a program that failed has said.

#[path = "fleet/queries.rs"]
mod queries;
#[path = "fleet/recording.rs"]
mod recording;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_tests::process::{Said, program, say};
use ibsr_tests::s3::{BUCKET, Server};
use recording::Recording;
use tempfile::TempDir;

const NOW: &str = "2026-11-24T12:00:00Z";
/// 2026-11-20T21:13:00Z.
const START_UNIX_MS: u64 = 1_795_209_180_000;
const DAY_MINUTES: u64 = 24 * 60;

/// The Python environment of `make deps-fleet`.
fn venv() -> PathBuf {
    let venv = program("xtask").parent().expect("a folder").join("../fleet-venv");
    assert!(venv.join("bin/python").is_file(), "PySpark is missing: run `make deps-fleet`");
    venv.canonicalize().expect("it exists")
}

/// Two hosts over three midnights; the first has two interfaces, the second boots anew and
/// its reader is restarted.
fn recordings() -> Vec<Recording> {
    let first = Recording {
        host: "edge-1",
        scope: "xdp-eth0",
        boot8: "0af3c9d1",
        first_seq: 17,
        start_unix_ms: START_UNIX_MS,
        start_boot_ns: 3_600_000_000_000,
        period_ms: 60_000,
        sweeps: 3 * DAY_MINUTES,
        per_segment: 47,
        restarts: vec![100, 1500],
        seed: 1,
    };
    let second = Recording {
        scope: "xdp-eth1",
        period_ms: 120_000,
        sweeps: DAY_MINUTES,
        seed: 2,
        ..first.clone()
    };
    let third = Recording {
        host: "edge-2",
        boot8: "1bf3c9d1",
        sweeps: DAY_MINUTES,
        per_segment: 61,
        start_unix_ms: START_UNIX_MS + 7_000,
        seed: 3,
        ..first.clone()
    };
    let fourth = Recording {
        boot8: "2cf3c9d1",
        start_unix_ms: START_UNIX_MS + 90_000_000,
        start_boot_ns: 41_000_000_000,
        seed: 4,
        ..third.clone()
    };
    vec![first, second, third, fourth]
}

/// The bucket's files below a folder.
fn bucket() -> (TempDir, Vec<PathBuf>) {
    let root = tempfile::tempdir().expect("a directory");
    let paths = recordings().iter().flat_map(|it| it.write_bucket(root.path())).collect();
    (root, paths)
}

/// `spark-submit` of the job, with a home of its own: a cluster writes its logs there.
struct Cluster {
    home: TempDir,
}

impl Cluster {
    fn new() -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let packages = fs::read_dir(venv().join("lib")).expect("a venv").next().expect("a Python");
        let pyspark = packages.expect("readable").path().join("site-packages/pyspark");
        for entry in fs::read_dir(pyspark).expect("PySpark is there") {
            let entry = entry.expect("readable");
            symlink(entry.path(), home.path().join(entry.file_name())).expect("linked");
        }
        fs::create_dir(home.path().join("local")).expect("made");
        Self { home }
    }

    fn submit(&self, master: &str) -> Command {
        let mut command = Command::new(self.home.path().join("bin/spark-submit"));
        command
            .env("SPARK_HOME", self.home.path())
            .env("SPARK_LOCAL_IP", "127.0.0.1")
            .env("SPARK_LOCAL_DIRS", self.home.path().join("local"))
            .env("PYSPARK_PYTHON", venv().join("bin/python"))
            .args(["--master", master, "--conf", "spark.ui.enabled=false"])
            .args(["--conf", "spark.log.level=ERROR", "--conf", "spark.driver.memory=512m"]);
        command
    }

    fn job(&self, master: &str) -> Command {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fleet/spark_report.py");
        let mut command = self.submit(master);
        command.arg(script).args(["--now", NOW, "--report-binary"]).arg(program("ibsr-report"));
        command
    }
}

/// Every file below `dir` with its bytes.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(dir).expect("below it").to_owned();
                found.insert(name, fs::read(&path).expect("readable"));
            }
        }
    }
    found
}

/// Panics when the two reports differ in a file or in a byte of one.
#[track_caller]
fn assert_same(one: &Path, other: &Path) {
    let (one, other) = (files(one), files(other));
    assert!(one.len() >= 3, "a report has several files: {:?}", one.keys());
    assert_eq!(one.keys().collect::<Vec<_>>(), other.keys().collect::<Vec<_>>());
    for (name, bytes) in &one {
        let same = *bytes == other[name];
        assert!(same, "`{}` differs", name.display());
    }
}

/// One process over the same files.
fn one_process(root: &Path, out: &Path) -> Said {
    let mut command = Command::new(program("ibsr-report"));
    say(command.arg("run").arg(root).args(["--now", NOW, "--out"]).arg(out))
}

/// Runs a job to its end. `spark-submit` hands the job's stderr on as its own stdout.
fn submit(job: &mut Command) -> Said {
    let said = say(job);
    Said { stderr: said.stdout + &said.stderr, stdout: String::new(), code: said.code }
}

/// Who folded what: the lines of the job's progress.
fn folds(said: &Said) -> Vec<(String, String)> {
    said.stderr
        .lines()
        .filter_map(|line| line.strip_prefix("spark_report: folded "))
        .filter_map(|line| line.split_once(" on "))
        .filter_map(|(unit, rest)| Some((unit.to_owned(), rest.split_once(" in ")?.0.to_owned())))
        .collect()
}

/// P4: the same report from one process and from a cluster whose two executors are processes
/// of their own, over days that hang together through warm-up, actions and open segments.
#[test]
fn two_executors_give_the_bytes_of_one_process() {
    let (root, _) = bucket();
    let (cluster, outs) = (Cluster::new(), tempfile::tempdir().expect("a directory"));
    let (here, there) = (outs.path().join("here"), outs.path().join("there"));
    let alone = one_process(root.path(), &here);
    let mut job = cluster.job("local-cluster[2,1,1024]");
    let said = submit(job.arg("--input").arg(root.path()).arg("--out").arg(&there));
    let said = said.expect_code(alone.code.expect("it ended by itself"));
    assert_same(&here, &there);

    let folds = folds(&said);
    let units: BTreeSet<_> = folds.iter().map(|(unit, _)| unit).collect();
    // The day before a first one is asked for too, and has nothing.
    assert_eq!((units.len(), folds.len()), (9, 9), "{}", said.stderr);
    let workers: BTreeSet<_> = folds.iter().map(|(_, worker)| worker).collect();
    assert_eq!(workers.len(), 2, "{folds:?}");
    let logs = files(&cluster.home.path().join("work"));
    assert_eq!(logs.keys().filter(|path| path.ends_with("stderr")).count(), 2, "{logs:?}");
}

/// Executors fetch from a bucket themselves; a listing stands for a connector.
#[test]
fn executors_read_a_bucket() {
    let (root, paths) = bucket();
    let (cluster, server) = (Cluster::new(), Server::start());
    let outs = tempfile::tempdir().expect("a directory");
    let (here, there) = (outs.path().join("here"), outs.path().join("there"));
    let mut listing = String::new();
    for path in paths {
        let key = path.strip_prefix(root.path()).expect("below it").to_str().expect("text");
        server.put(&format!("fleet/{key}"), &fs::read(&path).expect("readable"));
        listing += &format!("s3a://{BUCKET}/fleet/{key}\n");
    }
    let names = outs.path().join("listing");
    fs::write(&names, listing).expect("written");
    let alone = one_process(root.path(), &here);
    let mut job = cluster.job("local[2]");
    job.arg("--listing").arg(&names).arg("--out").arg(&there);
    job.env("IBSR_ENDPOINT_URL", server.endpoint()).env("IBSR_FORCE_PATH_STYLE", "1");
    let _said = submit(server.credentials(&mut job)).expect_code(alone.code.expect("it ended"));
    assert_same(&here, &there);
}

/// The other layout: a file a day and stream, under the day of its first sweeps.
#[test]
fn executors_read_what_compact_made() {
    let (root, _) = bucket();
    let (cluster, outs) = (Cluster::new(), tempfile::tempdir().expect("a directory"));
    let [packed, here, there] = ["packed", "here", "there"].map(|name| outs.path().join(name));
    let mut compact = Command::new(program("ibsr-report"));
    let _said = say(compact.arg("compact").arg(root.path()).arg("--out").arg(&packed));
    let alone = one_process(root.path(), &here);
    let mut job = cluster.job("local[2]");
    let said = submit(job.arg("--input").arg(&packed).arg("--out").arg(&there));
    let _said = said.expect_code(alone.code.expect("it ended by itself"));
    assert_same(&here, &there);
}

/// Spark wraps an error into a page of its own: what the program said comes out in front.
#[test]
fn a_task_that_fails_says_why() {
    let root = tempfile::tempdir().expect("a directory");
    let _paths = Recording { sweeps: 90, ..recordings()[0].clone() }.write_bucket(root.path());
    let rules = root.path().join("wrong.toml");
    fs::write(&rules, "[[rule]]\nname = 7\n").expect("written");
    let cluster = Cluster::new();
    let mut job = cluster.job("local[1]");
    job.arg("--input").arg(root.path()).arg("--out").arg(root.path().join("out"));
    let said = submit(job.arg("--rules").arg(&rules)).expect_code(2);
    let _said = said.expect_stderr("spark_report: a task failed: `").expect_stderr("wrong.toml");
    let mut job = cluster.job("local[1]");
    let said = submit(job.arg("--input").arg(root.path().join("none")).args(["--out", "never"]));
    let _said = said.expect_code(1).expect_stderr("hint: an input is the folder");
}
