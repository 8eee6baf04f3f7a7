// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same recording gives the same bytes: any order, packing, layout, thread count,
//! locale and time zone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic};

use super::{program, run, say};

/// Two hosts with six segments each.
fn recording(spool: &Path) -> Vec<PathBuf> {
    let mut paths = Vec::new();
    for (host, boot) in [("h1", 'a'), ("h2", 'b')] {
        let mut traffic = Traffic::new(u64::from(boot), 40);
        for number in 0..6 {
            let spec = SegmentSpec {
                host: host.into(),
                boot: format!("0af3c9d{boot}-5b1e-4c7a-9d30-6f2b8f1c2a44"),
                ..SegmentSpec::of(FIRST_SEQ + 4 * number, traffic.sweeps(4))
            };
            paths.push(spec.write(spool));
        }
    }
    paths
}

/// What it prints and every file that it writes.
pub(super) fn report(command: &mut Command) -> BTreeMap<String, String> {
    let out = tempfile::tempdir().expect("a directory");
    let said = say(command.arg("--out").arg(out.path())).expect_code(1);
    let mut all = BTreeMap::from([("stdout".to_owned(), said.stdout)]);
    for entry in fs::read_dir(out.path()).expect("listed") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        all.insert(name, fs::read_to_string(&path).expect("text"));
    }
    assert!(all.len() >= 6, "{:?}", all.keys());
    all
}

/// P4: nothing around the inputs can be seen in the report.
#[test]
fn threads_locale_and_time_zone_change_no_byte() {
    let spool = tempfile::tempdir().expect("a directory");
    recording(spool.path());
    let first = report(run(spool.path()).args(["--threads", "1"]));
    for (threads, zone, locale) in [
        ("2", "Asia/Kathmandu", "de_DE.UTF-8"),
        ("7", "America/Caracas", "C"),
        ("64", "UTC", "tr_TR"),
    ] {
        let again = report(
            run(spool.path())
                .args(["--threads", threads])
                .env("TZ", zone)
                .env("LC_ALL", locale)
                .env("LANG", locale),
        );
        assert_eq!(first, again, "{threads} threads, {zone}, {locale}");
    }
}

/// P2: the order of the files, and naming one twice, change no byte.
#[test]
fn the_order_of_inputs_changes_no_byte() {
    let spool = tempfile::tempdir().expect("a directory");
    let mut paths = recording(spool.path());
    let by_directory = report(&mut run(spool.path()));
    for turn in 0..3 {
        paths.rotate_left(5);
        if turn == 1 {
            paths.reverse();
        }
        let mut command = run(&paths[0]);
        command.args(&paths);
        assert_eq!(by_directory, report(&mut command), "turn {turn}");
    }
}

/// A spool and a bucket of it are the same recording.
#[test]
fn packing_and_layout_change_no_byte() {
    let spool = tempfile::tempdir().expect("a directory");
    let paths = recording(spool.path());
    let plain = report(&mut run(spool.path()));
    let bucket = tempfile::tempdir().expect("a directory");
    for (number, path) in paths.iter().enumerate() {
        let dir = bucket.path().join(format!("host=h/scope=s/date=2026-11-22/hour={number:02}"));
        fs::create_dir_all(&dir).expect("made");
        let name = path.file_name().expect("a name").to_str().expect("text");
        let text = fs::read(path).expect("readable");
        let (extension, bytes) = match number % 3 {
            0 => ("", text),
            1 => (".zst", zstd::encode_all(text.as_slice(), 1).expect("packs")),
            _ => (".gz", gzip(path)),
        };
        fs::write(dir.join(format!("{name}{extension}")), bytes).expect("written");
    }
    assert_eq!(plain, report(&mut run(bucket.path())));
}

/// The command that every Debian has, so that the packing is not our own library's.
fn gzip(path: &Path) -> Vec<u8> {
    let output = Command::new("gzip").arg("-c").arg(path).output().expect("gzip runs");
    assert!(output.status.success());
    output.stdout
}

/// `ibsr-report ... | head -1` is no failure.
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let spool = tempfile::tempdir().expect("a directory");
    recording(spool.path());
    let mut child = run(spool.path())
        .args(["--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("ends");
    // A closed pipe ends the program as a reader that read everything would have.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{:?}", output.status);
    assert_eq!(output.stderr, b"");
}

#[test]
fn sources_lists_the_busiest_by_each_counter() {
    let spool = tempfile::tempdir().expect("a directory");
    recording(spool.path());
    for by in ["syn", "packets", "bytes", "handshakes"] {
        let args = ["--top", "7", "--by", by, "--format", "json"];
        let mut command = Command::new(program("ibsr-report"));
        let said = say(command.arg("sources").arg(spool.path()).args(args)).expect_code(0);
        let value: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        let counts: Vec<_> = value["sources"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|row| row[by].as_u64().expect("a counter"))
            .collect();
        assert_eq!(counts.len(), 7);
        assert!(counts.is_sorted_by(|a, b| a >= b), "{by}: {counts:?}");
    }
}
