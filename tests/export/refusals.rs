// SPDX-License-Identifier: MIT OR Apache-2.0
//! E1: what only the operator can change. The run stops, says once what to change, and
//! leaves everything where it was; when it was changed, the next run goes on.

use ibsr_tests::process::{Said, say};
use ibsr_tests::s3::faults::{
    ACCESS_DENIED, CLOCK_SKEWED, EXPIRED_TOKEN, NO_BUCKET, Op, Refusal, Rule, UNKNOWN_KEY,
    WRONG_REGION, WRONG_SECRET, WRONG_SIGNING_REGION,
};

use crate::rig::Rig;

/// One error line, one hint that holds `advice`.
#[track_caller]
fn expect_advice(said: Said, advice: &str) {
    let said = said.expect_code(2);
    let hints: Vec<&str> = said.stderr.lines().filter(|line| line.starts_with("hint: ")).collect();
    assert!(matches!(hints[..], [hint] if hint.contains(advice)), "{advice}:\n{}", said.stderr);
    let errors = said.stderr.lines().filter(|line| line.starts_with("ibsr-export: ")).count();
    assert_eq!(errors, 1, "{}", said.stderr);
}

#[track_caller]
fn stops_and_goes_on(refusal: Refusal, advice: &str) {
    let rig = Rig::new();
    let segments = rig.segments(6);
    rig.server.fail(Rule::refuse(refusal));
    let said = rig.run();
    assert!(said.stderr.contains(refusal.code), "{}", said.stderr);
    expect_advice(said, advice);
    rig.expect_untouched(&segments);
    let requests = rig.server.seen().len();
    assert!(requests < 20, "{requests} requests although no retry can help");
    rig.server.behave();
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}

/// E1: the role may not write.
#[test]
fn access_denied_names_the_permission() {
    stops_and_goes_on(ACCESS_DENIED, "s3:PutObject");
}

/// E1: session credentials that are over.
#[test]
fn an_expired_token_names_the_credentials() {
    stops_and_goes_on(EXPIRED_TOKEN, "renew the session credentials");
}

/// E1: a clock that is off by more than the service accepts.
#[test]
fn a_skewed_clock_names_the_clock() {
    stops_and_goes_on(CLOCK_SKEWED, "set the clock");
}

/// E1: the bucket lives elsewhere, and the answer says where.
#[test]
fn a_wrong_region_names_the_right_one() {
    stops_and_goes_on(WRONG_REGION, "--region eu-west-1");
    stops_and_goes_on(WRONG_SIGNING_REGION, "--region");
}

/// E1: a bucket that is not there.
#[test]
fn a_missing_bucket_is_named() {
    stops_and_goes_on(NO_BUCKET, "create the bucket");
}

/// E1: keys that the service does not know.
#[test]
fn wrong_keys_name_the_keys() {
    stops_and_goes_on(UNKNOWN_KEY, "access key");
    stops_and_goes_on(WRONG_SECRET, "access key");
}

/// E1: the right to write is taken away in the middle: what was stored stays recorded.
#[test]
fn a_refusal_halfway_keeps_what_was_done() {
    let rig = Rig::new();
    let segments = rig.segments(12);
    rig.server.fail(Rule::refuse(ACCESS_DENIED).on(Op::Put).skip(6));
    expect_advice(rig.run(), "s3:PutObject");
    let stored = rig.server.stored().len();
    assert!((1..12).contains(&stored), "{stored}");
    rig.server.behave();
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}

/// E1: by the server's own check of the signature, not by a script.
#[test]
fn a_wrong_secret_is_refused_by_the_real_check() {
    let rig = Rig::new();
    let segments = rig.segments(2);
    let said = say(rig.command("run").env("AWS_SECRET_ACCESS_KEY", "not-the-secret"));
    expect_advice(said, "access key");
    rig.expect_untouched(&segments);
}

/// E1: no credentials anywhere; found out before anything is read or sent.
#[test]
fn missing_credentials_say_where_they_are_looked_for() {
    let rig = Rig::new();
    let segments = rig.segments(2);
    let mut command = rig.command("run");
    let said = say(command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY"));
    expect_advice(said, "AWS_ACCESS_KEY_ID");
    rig.expect_untouched(&segments);
    assert_eq!(rig.server.seen(), []);
}
