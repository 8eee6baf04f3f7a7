// SPDX-License-Identifier: MIT OR Apache-2.0
//! E2, E3, E4: trouble of the moment. One hiccup is invisible, lasting trouble ends in a
//! bounded time with everything kept, and nothing is counted twice or stored damaged.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use ibsr_tests::process::{Said, say};
use ibsr_tests::s3::faults::{CONFLICT, Fault, INTERNAL_ERROR, Op, Rule, SLOW_DOWN};

use crate::rig::{LIMIT, Rig};

/// Short waits, so that giving up is quick to see.
const HASTY: [&str; 4] = ["--timeout", "1s", "--retries", "1"];

/// The faults of E2 that a server can have.
fn faults() -> [Fault; 6] {
    [
        Fault::Refuse(SLOW_DOWN),
        Fault::Refuse(INTERNAL_ERROR),
        Fault::Refuse(CONFLICT),
        Fault::ResetMidBody,
        Fault::Stall,
        Fault::Delay(Duration::from_secs(5)),
    ]
}

/// E2: one failed request does not even show in the exit code.
#[test]
fn a_hiccup_is_ridden_out_within_the_run() {
    for fault in faults() {
        let rig = Rig::new();
        let segments = rig.segments(2);
        rig.server.fail(Rule::new(fault).on(Op::Put).times(1));
        let said = rig.run_with(&["--timeout", "1s", "--retries", "6"]);
        assert_eq!(said.code, Some(0), "{fault:?}\n{}", said.stderr);
        rig.expect_uploaded(&segments);
    }
}

/// E2: the run gives up after a bounded number of requests, not after the 20th segment.
#[test]
fn lasting_trouble_ends_the_run_and_the_next_one_goes_on() {
    for fault in faults() {
        let rig = Rig::new();
        let segments = rig.segments(20);
        rig.server.fail(Rule::new(fault).on(Op::Put));
        let start = Instant::now();
        let said = rig.run_with(&HASTY);
        assert_eq!(said.code, Some(1), "{fault:?}\n{}", said.stderr);
        assert!(start.elapsed() < LIMIT, "{fault:?} took {:?}", start.elapsed());
        rig.expect_untouched(&segments);
        let puts = rig.server.seen().iter().filter(|seen| seen.op == Op::Put).count();
        assert!(puts <= 20, "{fault:?}: {puts} requests");
        rig.server.behave();
        rig.run().expect_code(0);
        rig.expect_uploaded(&segments);
    }
}

/// The run ended as left over, soon, with everything kept, and said why.
#[track_caller]
fn expect_left_over(rig: &Rig, said: Said, word: &str) {
    let said = said.expect_code(1);
    assert!(said.stderr.to_lowercase().contains(word), "{word}:\n{}", said.stderr);
    assert_eq!(rig.server.objects().len(), 0);
}

/// E2: a name that does not resolve.
#[test]
fn a_dns_failure_is_left_over() {
    let rig = Rig::new();
    let _segments = rig.segments(2);
    let said =
        rig.run_with(&["--endpoint-url", "http://s3.does-not-exist.invalid", "--retries", "0"]);
    expect_left_over(&rig, said, "network error");
}

/// E2: TLS is spoken to a port that answers in plain text.
#[test]
fn a_tls_failure_is_left_over() {
    let rig = Rig::new();
    let _segments = rig.segments(2);
    let https = rig.server.endpoint().replace("http:", "https:");
    let said = rig.run_with(&["--endpoint-url", &https, "--retries", "0"]);
    expect_left_over(&rig, said, "network error");
}

/// E2: nobody listens there.
#[test]
fn a_closed_port_is_left_over() {
    let rig = Rig::new();
    let _segments = rig.segments(2);
    let closed = format!("http://{}", closed_port());
    let said = rig.run_with(&["--endpoint-url", &closed, "--retries", "0"]);
    expect_left_over(&rig, said, "refused");
}

/// E2: the proxy is down.
#[test]
fn a_dead_proxy_is_left_over() {
    let rig = Rig::new();
    let _segments = rig.segments(2);
    let proxy = format!("http://{}", closed_port());
    let mut command = rig.command("run");
    command.args(["--retries", "0"]).env("http_proxy", &proxy).env("HTTP_PROXY", &proxy);
    expect_left_over(&rig, say(&mut command), "refused");
}

fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// E3: the object was stored, its answer lost; the retry meets it and knows it.
#[test]
fn a_lost_response_is_counted_once_within_the_run() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    rig.server.fail(Rule::new(Fault::LoseResponse).on(Op::Put).times(2));
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}

/// E3: the same across runs, and when the ledger was lost as well.
#[test]
fn a_lost_response_is_counted_once_across_runs() {
    for is_ledger_lost in [false, true] {
        let rig = Rig::new();
        let segments = rig.segments(2);
        rig.server.fail(Rule::new(Fault::LoseResponse).on(Op::Put));
        rig.run_with(&["--retries", "0"]).expect_code(1);
        assert_eq!(rig.server.stored().len(), 2);
        rig.server.behave();
        if is_ledger_lost {
            std::fs::remove_dir_all(rig.state()).unwrap();
        }
        rig.run().expect_code(0).expect_stderr("was_there=2");
        rig.expect_uploaded(&segments);
    }
}

/// E4: found by the digest, sent again.
#[test]
fn a_byte_flipped_once_is_sent_again() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    rig.server.fail(Rule::new(Fault::FlipByte).on(Op::Put).times(2));
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}

/// E4: a path that flips bytes for good never gets a damaged object into the bucket.
#[test]
fn a_byte_flipped_always_is_never_stored() {
    let rig = Rig::new();
    let segments = rig.segments(3);
    rig.server.fail(Rule::new(Fault::FlipByte).on(Op::Put));
    rig.run_with(&HASTY).expect_code(1);
    rig.expect_untouched(&segments);
    rig.server.behave();
    rig.run().expect_code(0);
    rig.expect_uploaded(&segments);
}
