// SPDX-License-Identifier: MIT OR Apache-2.0
//! Parquet made by `ibsr-report compact` is another packing of the same recording: the same
//! report to the byte, much smaller, and a plain table to anyone else.

#[path = "compact/faults.rs"]
mod faults;
#[path = "compact/queries.rs"]
mod queries;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_proto::snapshot::{Gap, GapReason};
use ibsr_tests::process::{Said, program, say};
use ibsr_tests::s3::{BUCKET, Server};
use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic, seal};

const NOW: &str = "2026-11-24T12:00:00Z";
/// From the start of [`Traffic`] to a minute before midnight.
const TO_MIDNIGHT_MS: u64 = 10 * 3_600_000 - 60_000;

fn report(input: &Path) -> (Said, BTreeMap<String, Vec<u8>>) {
    let out = tempfile::tempdir().expect("a directory");
    let said = say(Command::new(program("ibsr-report"))
        .arg("run")
        .arg(input)
        .arg("--out")
        .arg(out.path())
        .args(["--now", NOW]));
    let files = fs::read_dir(out.path()).expect("listed").map(|entry| {
        let entry = entry.expect("an entry");
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("read"))
    });
    let files: BTreeMap<_, _> = files.collect();
    assert!(files.len() > 3, "a report has files: {said:?}");
    (said, files)
}

fn compact(input: &Path, out: &Path) -> Said {
    let mut command = Command::new(program("ibsr-report"));
    say(command.arg("compact").arg(input).arg("--out").arg(out))
}

/// Paths that `compact` printed.
fn paths(said: &Said) -> Vec<PathBuf> {
    said.stdout.lines().map(PathBuf::from).collect()
}

/// Two hosts, one of them with two interfaces, over midnight, with a gap.
fn recording(spool: &Path) {
    for (host, scope, boot, seed) in
        [("h1", "xdp-eth0", 'a', 1), ("h1", "xdp-eth1", 'a', 2), ("h2", "xdp-eth0", 'b', 3)]
    {
        let mut traffic = Traffic::new(seed, 40);
        for number in 0..5 {
            let mut sweeps = traffic.sweeps(4);
            for sweep in &mut sweeps {
                sweep.close.at_unix_ms += TO_MIDNIGHT_MS;
            }
            let gap =
                Gap { from_boot_ns: 1, to_boot_ns: 2, reason: GapReason::Disk, segment: None };
            let spec = SegmentSpec {
                host: host.into(),
                scope: scope.into(),
                boot: format!("0af3c9d{boot}-5b1e-4c7a-9d30-6f2b8f1c2a44"),
                epoch: format!("00c0ffee00c0ff{seed:02}"),
                gaps: if number == 0 { vec![gap] } else { Vec::new() },
                ..SegmentSpec::of(FIRST_SEQ + 4 * number, sweeps)
            };
            spec.write(spool);
        }
    }
}

#[test]
fn a_report_over_parquet_is_the_report_over_the_segments() {
    let (spool, parquet) = (directory(), directory());
    recording(spool.path());
    let said = compact(spool.path(), parquet.path()).expect_code(0);
    let names: Vec<_> = paths(&said)
        .iter()
        .map(|path| path.strip_prefix(parquet.path()).expect("inside").display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "host=h1/date=2026-11-22/xdp-eth0-0af3c9da-000000000017.parquet",
            "host=h1/date=2026-11-23/xdp-eth0-0af3c9da-000000000025.parquet",
            "host=h1/date=2026-11-22/xdp-eth1-0af3c9da-000000000017.parquet",
            "host=h1/date=2026-11-23/xdp-eth1-0af3c9da-000000000025.parquet",
            "host=h2/date=2026-11-22/xdp-eth0-0af3c9db-000000000017.parquet",
            "host=h2/date=2026-11-23/xdp-eth0-0af3c9db-000000000025.parquet",
        ]
    );
    let (plain, files) = report(spool.path());
    let (packed, packed_files) = report(parquet.path());
    assert_eq!((plain.code, &plain.stdout), (packed.code, &packed.stdout));
    assert_eq!(files.keys().collect::<Vec<_>>(), packed_files.keys().collect::<Vec<_>>());
    for (name, bytes) in &files {
        assert!(Some(bytes) == packed_files.get(name), "{name} differs");
    }
}

/// Lines that are no rows are part of what was sealed, and of what a report says about it.
#[test]
fn a_segment_with_lines_that_are_no_rows_is_packed_with_them() {
    let (spool, parquet) = (directory(), directory());
    let text = SegmentSpec::of(FIRST_SEQ, Traffic::new(5, 9).sweeps(20)).bytes();
    let mut lines: Vec<_> = text.split_inclusive(|&byte| byte == b'\n').collect();
    lines.pop();
    lines.insert(3, b"not JSON \xff\xfe\n");
    lines.insert(5, b"{\"type\":\"flow\",\"x\":1}\n");
    lines.insert(7, b"\n");
    let path = spool.path().join("h1-xdp-eth0-0af3c9d1-000000000017.jsonl");
    fs::write(path, seal(lines.concat())).expect("written");
    compact(spool.path(), parquet.path()).expect_code(0);
    let (plain, files) = report(spool.path());
    let (packed, packed_files) = report(parquet.path());
    assert_eq!((plain.code, plain.stdout), (packed.code, packed.stdout));
    assert!(files == packed_files);
}

#[test]
fn packing_twice_makes_the_same_files_and_nothing_else() {
    let (spool, parquet) = (directory(), directory());
    recording(spool.path());
    let read = || {
        let paths = paths(&compact(spool.path(), parquet.path()).expect_code(0));
        paths.into_iter().map(|path| (fs::read(&path).expect("read"), path)).collect::<Vec<_>>()
    };
    let first = read();
    assert!(first == read(), "the same bytes under the same names");
    let mode = fs::metadata(&first[0].1).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    let dir = first[0].1.parent().expect("a directory");
    let names =
        fs::read_dir(dir).expect("listed").map(|entry| entry.expect("an entry").file_name());
    let hidden = names.filter(|name| name.to_string_lossy().starts_with('.')).count();
    assert_eq!(hidden, 0, "no unfinished file is left");
}

/// Compacting what is compact is a copy, whatever the order.
#[test]
fn parquet_can_be_packed_again() {
    let (spool, first, second) = (directory(), directory(), directory());
    recording(spool.path());
    let once = compact(spool.path(), first.path()).expect_code(0);
    let twice = compact(first.path(), second.path()).expect_code(0);
    assert_eq!(paths(&once).len(), paths(&twice).len());
    for (one, other) in paths(&once).iter().zip(paths(&twice)) {
        assert!(fs::read(one).expect("read") == fs::read(other).expect("read"));
    }
}

/// A bucket of Parquet, beside segments that are not packed yet.
#[test]
fn parquet_is_read_from_a_bucket() {
    let (spool, parquet) = (directory(), directory());
    recording(spool.path());
    let packed = paths(&compact(spool.path(), parquet.path()).expect_code(0));
    let server = Server::start();
    for path in &packed {
        let key = path.strip_prefix(parquet.path()).expect("inside").display();
        server.put(&format!("ibsr/{key}"), &fs::read(path).expect("read"));
    }
    let run = |input: &str| {
        let mut command = Command::new(program("ibsr-report"));
        command.args(["run", input, "--now", NOW, "--format", "json"]);
        command.args(["--endpoint-url", server.endpoint(), "--force-path-style"]);
        say(server.credentials(&mut command))
    };
    let remote = run(&format!("s3://{BUCKET}/ibsr"));
    let local = run(&spool.path().display().to_string());
    assert_eq!((remote.code, remote.stdout), (local.code, local.stdout), "{}", remote.stderr);
}

/// A day's file grows while the day goes on; what it alone holds is never thrown away.
#[test]
fn a_file_is_replaced_only_by_one_that_holds_all_of_it() {
    let (spool, parquet) = (directory(), directory());
    let mut traffic = Traffic::new(7, 20);
    let write =
        |traffic: &mut Traffic, seq| SegmentSpec::of(seq, traffic.sweeps(3)).write(spool.path());
    let first = write(&mut traffic, FIRST_SEQ);
    let before = paths(&compact(spool.path(), parquet.path()).expect_code(0));
    let small = fs::metadata(&before[0]).expect("there").len();
    let _second = write(&mut traffic, FIRST_SEQ + 3);
    assert_eq!(paths(&compact(spool.path(), parquet.path()).expect_code(0)), before);
    let whole = fs::read(&before[0]).expect("read");
    assert!(whole.len() as u64 > small);
    let other = directory();
    fs::copy(&first, other.path().join(first.file_name().expect("a name"))).expect("copied");
    let said = compact(other.path(), parquet.path()).expect_code(1);
    assert!(said.stderr.contains("which is not in the inputs"), "{}", said.stderr);
    assert!(said.stderr.contains("hint: "), "{}", said.stderr);
    assert!(fs::read(&before[0]).expect("read") == whole);
}

/// Sizes of a host with 2,000 sources, half of them busy in each period, over ten minutes.
#[test]
fn parquet_is_several_times_smaller_than_json_lines() {
    let (spool, parquet) = (directory(), directory());
    let mut traffic = Traffic::new(11, 2000);
    let (mut plain, mut zstd) = (0, 0);
    for number in 0..2 {
        let path = SegmentSpec::of(FIRST_SEQ + 30 * number, traffic.sweeps(30)).write(spool.path());
        let bytes = fs::read(path).expect("read");
        plain += bytes.len();
        zstd += zstd::encode_all(bytes.as_slice(), 3).expect("packs").len();
    }
    let said = compact(spool.path(), parquet.path()).expect_code(0);
    let packed = fs::metadata(&paths(&said)[0]).expect("there").len();
    let packed = usize::try_from(packed).expect("fits");
    let times = |bytes: usize| plain as f64 / bytes as f64;
    println!("{plain} bytes of JSON Lines: Parquet {packed}, {:.1}x smaller", times(packed));
    println!("the same as .zst: {zstd}, {:.1}x smaller", times(zstd));
    assert!(plain >= 4 * packed, "{plain} bytes became {packed}");
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir().expect("a directory")
}
