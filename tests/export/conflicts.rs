// SPDX-License-Identifier: MIT OR Apache-2.0
//! E5 and its neighbours: the key is taken. Nothing is ever overwritten and nothing is
//! guessed, on servers that honour `If-None-Match`, on one that ignores it, and on buckets
//! where this role may write but not look.

use ibsr_tests::s3::faults::{ACCESS_DENIED, Fault, Op, Rule};

use crate::rig::{Rig, name_of};

/// E5: other content under the key of a segment.
#[test]
fn other_content_at_the_key_is_a_conflict_and_stays() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    let key = rig.key_of(&segments[1]);
    rig.server.put(&key, b"somebody else's");
    for _ in 0..2 {
        rig.run().expect_code(3).expect_stderr(&name_of(&segments[1]));
        assert_eq!(rig.server.objects()[&key], b"somebody else's");
        assert!(segments[1].is_file());
    }
    assert_eq!(rig.server.objects().len(), 3, "the other two are uploaded");
}

/// E5: once the operator has moved the foreign object away, the segment follows.
#[test]
fn a_conflict_that_was_cleared_is_uploaded() {
    let rig = Rig::new();
    let segments = rig.segments(1);
    let key = rig.key_of(&segments[0]);
    rig.server.put(&key, b"somebody else's");
    rig.run().expect_code(3);
    rig.server.delete(&key);
    rig.run().expect_code(0);
    assert_eq!(rig.by_name().len(), 1);
    assert_ne!(rig.server.objects()[&key], b"somebody else's");
}

/// E5: a server that ignores `If-None-Match` would overwrite; it is asked first.
#[test]
fn a_server_that_overwrites_is_asked_before_every_put() {
    let rig = Rig::new();
    let segments = rig.segments(9);
    let key = rig.key_of(&segments[0]);
    rig.server.put(&key, b"somebody else's");
    rig.server.fail(Rule::new(Fault::IgnoreCondition).on(Op::Put));
    rig.run().expect_code(3);
    assert_eq!(rig.server.objects()[&key], b"somebody else's");
    assert_eq!(rig.server.objects().len(), 9);
    let seen = rig.server.seen();
    // The first request is the harness's own.
    for (at, put) in seen.iter().enumerate().skip(1).filter(|(_, seen)| seen.op == Op::Put) {
        let is_asked = seen[..at].iter().any(|it| it.op == Op::Head && it.key == put.key);
        assert!(is_asked, "{} was put unseen", put.key);
    }
}

/// E3 on such a server: there is no 412, so the HEAD must find the object.
#[test]
fn a_lost_response_is_found_on_a_server_that_overwrites() {
    let rig = Rig::new();
    let segments = rig.segments(1);
    rig.server.fail(Rule::new(Fault::IgnoreCondition).on(Op::Put));
    rig.run().expect_code(0);
    std::fs::remove_file(rig.state().join("ledger.jsonl")).unwrap();
    let stored = rig.server.stored().len();
    rig.run().expect_code(0).expect_stderr("was_there=1");
    assert_eq!(rig.server.stored().len(), stored);
    assert_eq!(rig.by_name().len(), segments.len());
}

/// A bucket that may only be written: 412 without a HEAD says that something is there, not
/// what. Without a record of having sent it, that is a conflict, not a success.
#[test]
fn without_the_right_to_look_a_taken_key_is_reported_not_guessed() {
    let rig = Rig::new();
    let segments = rig.segments(1);
    let key = rig.key_of(&segments[0]);
    rig.server.put(&key, b"somebody else's");
    rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Head));
    rig.run().expect_code(3).expect_stderr("s3:GetObject");
    assert_eq!(rig.server.objects()[&key], b"somebody else's");
}

/// The same bucket: a lost response is known from the ledger, in this run or the next.
#[test]
fn without_the_right_to_look_a_recorded_attempt_counts() {
    for flags in [&["--retries", "4"][..], &["--retries", "0"]] {
        let rig = Rig::new();
        let segments = rig.segments(2);
        rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Head));
        rig.server.fail(Rule::new(Fault::LoseResponse).on(Op::Put).times(2));
        let first = rig.run_with(flags);
        assert_eq!(first.code, Some(i32::from(flags[1] == "0")), "{}", first.stderr);
        rig.run().expect_code(0);
        rig.expect_uploaded(&segments);
    }
}

/// A write-only bucket is a supported way to run: nothing about it is an error.
#[test]
fn a_write_only_bucket_works() {
    let rig = Rig::new();
    let segments = rig.segments(6);
    rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Head));
    rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Get));
    rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Other));
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}
