// SPDX-License-Identifier: MIT OR Apache-2.0
//! When nothing goes wrong: where objects lie, what they carry, what a second run does.

use std::fs;

use ibsr_proto::abi::hex;
use ibsr_tests::process::say;
use ibsr_tests::s3::faults::Op;
use ibsr_tests::segments::{SegmentSpec, Traffic};
use sha2::{Digest as _, Sha256};

use crate::rig::{Rig, name_of};

#[test]
fn each_segment_becomes_one_object_with_its_hash() {
    let rig = Rig::new();
    let segments = rig.segments(7);
    rig.run().expect_code(0).expect_stderr("uploaded=7");
    rig.expect_uploaded(&segments);
    for segment in &segments {
        let key = &rig.by_name()[&name_of(segment)].0;
        let sha256 = hex(&Sha256::digest(fs::read(segment).unwrap()));
        assert_eq!(rig.server.metadata(key)["ibsr-sha256"], sha256);
    }
}

/// Golden: other people's tables are partitioned by it.
#[test]
fn the_key_names_host_scope_and_hour() {
    let rig = Rig::new();
    SegmentSpec::of(17, Traffic::new(1, 3).sweeps(2)).write(&rig.spool());
    rig.run().expect_code(0);
    let keys: Vec<String> = rig.server.objects().into_keys().collect();
    assert_eq!(
        keys,
        ["p/host=h1/scope=xdp-eth0/date=2026-11-22/hour=14/\
          h1-xdp-eth0-0af3c9d1-000000000017.jsonl.zst"]
    );
}

#[test]
fn a_second_run_sends_nothing_and_the_spool_is_as_it_was() {
    let rig = Rig::new();
    let segments = rig.segments(5);
    rig.run().expect_code(0);
    let requests = rig.server.seen().len();
    rig.run().expect_code(0).expect_stderr("uploaded=0");
    assert_eq!(rig.server.seen().len(), requests);
    rig.expect_uploaded(&segments);
}

/// The ledger saves requests; the bucket is the truth.
#[test]
fn a_lost_ledger_is_found_again_in_the_bucket() {
    let rig = Rig::new();
    let segments = rig.segments(5);
    rig.run().expect_code(0);
    fs::remove_dir_all(rig.state()).unwrap();
    rig.run().expect_code(0).expect_stderr("was_there=5");
    rig.expect_uploaded(&segments);
}

#[test]
fn a_dry_run_opens_no_connection_and_writes_nothing() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    let said = rig.run_with(&["--dry-run"]).expect_code(0);
    assert_eq!(said.stdout.lines().count(), 3);
    assert!(said.stdout.contains(&name_of(&segments[2])));
    assert_eq!(rig.server.seen(), []);
    assert!(!rig.state().exists());
}

#[test]
fn compression_is_what_was_asked_for() {
    for (kind, suffix) in [("none", ".jsonl"), ("gzip", ".jsonl.gz"), ("zstd", ".jsonl.zst")] {
        let rig = Rig::new();
        let segment = &rig.segments(1)[0];
        rig.run_with(&["--compression", kind]).expect_code(0);
        let (key, bytes) = rig.server.objects().pop_first().expect("one object");
        assert!(key.ends_with(suffix), "{key}");
        let plain = match kind {
            "none" => bytes,
            "gzip" => gunzip(&bytes),
            _ => zstd::decode_all(&*bytes).unwrap(),
        };
        assert!(plain == fs::read(segment).unwrap(), "{kind}");
    }
}

/// By the system's own tool, not by a crate that the exporter may share.
fn gunzip(bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("object.gz");
    fs::write(&path, bytes).unwrap();
    let output = std::process::Command::new("gzip").arg("-dc").arg(path).output().unwrap();
    assert!(output.status.success());
    output.stdout
}

#[test]
fn status_counts_what_waits_and_needs_no_network() {
    let rig = Rig::new();
    let _segments = rig.segments(4);
    let json = || {
        let said = say(rig.command("status").args(["--format", "json"]));
        (said.code, serde_json::from_str::<serde_json::Value>(&said.stdout).unwrap())
    };
    let (code, before) = json();
    assert_eq!((code, &before["waiting"]["segments"]), (Some(1), &4.into()));
    rig.run().expect_code(0);
    let requests = rig.server.seen().len();
    let (code, after) = json();
    assert_eq!((code, &after["waiting"]["segments"]), (Some(0), &0.into()));
    assert_eq!(rig.server.seen().len(), requests);
}

#[test]
fn an_empty_spool_is_done_and_a_missing_one_is_an_error() {
    let rig = Rig::new();
    rig.run().expect_code(0).expect_stderr("uploaded=0");
    fs::remove_dir(rig.spool()).unwrap();
    let spool = rig.spool().display().to_string();
    rig.run().expect_code(2).expect_stderr(&spool).expect_stderr("hint: ");
}

/// How an object is kept is asked for with the object itself; nothing is asked by default.
#[test]
fn encryption_and_storage_class_are_asked_for_when_given() {
    let rig = Rig::new();
    let _segments = rig.segments(1);
    let flags = ["--sse", "aws:kms", "--sse-kms-key-id", "key-7"];
    let flags = [&flags[..], &["--storage-class", "REDUCED_REDUNDANCY"]].concat();
    rig.run_with(&flags).expect_code(0);
    let wishes = |rig: &Rig| {
        let puts = rig.server.seen().into_iter().filter(|seen| seen.op == Op::Put);
        puts.map(|put| put.wishes).next().expect("a PUT")
    };
    let asked: Vec<String> =
        wishes(&rig).into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        asked,
        [
            "x-amz-server-side-encryption=aws:kms",
            "x-amz-server-side-encryption-aws-kms-key-id=key-7",
            "x-amz-storage-class=REDUCED_REDUNDANCY",
        ]
    );

    let plain = Rig::new();
    let _segments = plain.segments(1);
    plain.run().expect_code(0);
    assert_eq!(wishes(&plain), []);
}
