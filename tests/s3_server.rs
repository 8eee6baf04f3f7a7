// SPDX-License-Identifier: MIT OR Apache-2.0
//! The harness's S3 server itself: it refuses what the real service refuses. What the export
//! tests conclude from "it was stored" is worth no more than this file.

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata;
use ibsr_tests::s3::faults::{Fault, Op, Rule, SLOW_DOWN};
use ibsr_tests::s3::{ACCESS_KEY, BUCKET, SECRET_KEY, Server, client, runtime};

/// SHA-256 of "hello", base64.
const HELLO_SHA256: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";

/// Stores `body` unless the key exists; the error is the code that the server gave.
fn put(
    client: &Client,
    key: &str,
    body: &'static [u8],
    sha256: Option<&str>,
) -> Result<(), String> {
    let put = client.put_object().bucket(BUCKET).key(key).if_none_match("*");
    let put = put.set_checksum_sha256(sha256.map(str::to_owned)).body(body.to_vec().into());
    code(runtime().block_on(put.send()))
}

fn code<T, E: ProvideErrorMetadata>(answer: Result<T, E>) -> Result<(), String> {
    answer.map(drop).map_err(|error| error.code().unwrap_or("no code").to_owned())
}

fn refused(code: &str) -> Result<(), String> {
    Err(code.to_owned())
}

#[test]
fn a_good_request_is_stored_with_its_metadata() {
    let server = Server::start();
    let put = server.client().put_object().bucket(BUCKET).key("a/b=c/d").metadata("ibsr-x", "1");
    let put = put.checksum_sha256(HELLO_SHA256).body(b"hello".to_vec().into());
    runtime().block_on(put.send()).expect("stored");
    assert_eq!(server.objects()["a/b=c/d"], b"hello");
    assert_eq!(server.metadata("a/b=c/d")["ibsr-x"], "1");
    assert_eq!(server.stored(), ["a/b=c/d"]);
}

#[test]
fn an_existing_key_is_refused_under_if_none_match_and_kept() {
    let server = Server::start();
    put(&server.client(), "k", b"hello", None).expect("stored");
    assert_eq!(put(&server.client(), "k", b"other", None), refused("PreconditionFailed"));
    assert_eq!(server.objects()["k"], b"hello");
    assert_eq!(server.stored().len(), 1);
}

#[test]
fn a_wrong_checksum_stores_nothing() {
    let server = Server::start();
    assert_eq!(put(&server.client(), "k", b"hellO", Some(HELLO_SHA256)), refused("BadDigest"));
    assert!(server.objects().is_empty());
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_refused() {
    let server = Server::start();
    let wrong = client(server.endpoint(), ACCESS_KEY, "wrong");
    assert_eq!(put(&wrong, "k", b"hello", None), refused("SignatureDoesNotMatch"));
    let unknown = client(server.endpoint(), "AKIAUNKNOWN000000000", SECRET_KEY);
    assert_eq!(put(&unknown, "k", b"hello", None), refused("InvalidAccessKeyId"));
    assert!(server.objects().is_empty());
}

#[test]
fn a_missing_bucket_is_named() {
    let server = Server::start();
    let put = server.client().put_object().bucket("nowhere").key("k").body(b"x".to_vec().into());
    assert_eq!(code(runtime().block_on(put.send())), refused("NoSuchBucket"));
}

/// A byte that flips on the wire is found by the digest that was signed or sent.
#[test]
fn a_flipped_byte_stores_nothing() {
    let server = Server::start();
    server.fail(Rule::new(Fault::FlipByte).on(Op::Put));
    put(&server.client(), "k", b"hello", Some(HELLO_SHA256)).expect_err("must be refused");
    put(&server.client(), "k", b"hello", None).expect_err("must be refused");
    assert!(server.objects().is_empty());
}

#[test]
fn each_scripted_fault_does_what_it_says() {
    let server = Server::start();
    let stored_after = |fault: Fault| {
        server.behave();
        server.fail(Rule::new(fault).on(Op::Put).times(1));
        let key =
            format!("{fault:?}").chars().filter(char::is_ascii_alphanumeric).collect::<String>();
        let answered = put(&server.client(), &key, b"hello", None).is_ok();
        (answered, server.objects().contains_key(&key))
    };
    assert_eq!(stored_after(Fault::Refuse(SLOW_DOWN)), (false, false));
    assert_eq!(stored_after(Fault::ResetMidBody), (false, false));
    assert_eq!(stored_after(Fault::LoseResponse), (false, true));
    assert_eq!(stored_after(Fault::CutResponse), (false, true));
    put(&server.client(), "again", b"first", None).expect("stored");
    server.fail(Rule::new(Fault::IgnoreCondition));
    put(&server.client(), "again", b"second", None).expect("overwritten");
    assert_eq!(server.objects()["again"], b"second");
}

/// Two writers of one key at the same moment: exactly one is told that it stored.
#[test]
fn of_many_conditional_writers_one_wins() {
    let server = Server::start();
    let wins = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| put(&server.client(), "k", b"hello", None).is_ok()))
            .collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).filter(|won| *won).count()
    });
    assert_eq!((wins, server.stored().len()), (1, 1));
}

#[test]
fn a_multipart_upload_checks_parts_and_the_condition_and_can_be_aborted() {
    let server = Server::start();
    let client = server.client();
    runtime().block_on(async {
        let create = || client.create_multipart_upload().bucket(BUCKET).key("big").send();
        let id = create().await.expect("created").upload_id.expect("an id");
        let part = |sha: &str| {
            let part = client.upload_part().bucket(BUCKET).key("big").part_number(1);
            part.upload_id(&id).checksum_sha256(sha).body(b"hello".to_vec().into()).send()
        };
        let wrong = part(&HELLO_SHA256.replace('L', "M")).await.expect_err("must be refused");
        assert_eq!(wrong.code(), Some("BadDigest"));
        part(HELLO_SHA256).await.expect("stored");
        assert!(!server.leftovers().is_empty());
        let abort = client.abort_multipart_upload().bucket(BUCKET).key("big").upload_id(&id);
        abort.send().await.expect("aborted");
    });
    assert_eq!(server.leftovers(), Vec::<String>::new());
    assert!(server.objects().is_empty());
}
