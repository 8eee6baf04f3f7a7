// SPDX-License-Identifier: MIT OR Apache-2.0
//! What each answer means, as a table.

use std::io;

use aws_sdk_s3::error::ConnectorError;
use aws_sdk_s3::operation::put_object::PutObjectError;

use super::*;

fn answer(status: u16, code: &str) -> S3Problem {
    explain_answer(status, Some(code).filter(|code| !code.is_empty()), Some("eu-west-1"))
}

/// E1: each of these ends a run, and each says what to change.
#[test]
fn what_the_operator_must_change_is_final_and_has_a_hint() {
    for (status, code) in [
        (403, "AccessDenied"),
        (403, ""),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (301, "PermanentRedirect"),
        (301, ""),
        (400, "AuthorizationHeaderMalformed"),
        (404, "NoSuchBucket"),
        (400, "InvalidStorageClass"),
    ] {
        let problem = answer(status, code);
        assert!(!problem.is_transient(), "{problem}");
        assert!(problem.hint().is_some(), "{problem}");
        assert!(problem.to_string().contains(&format!("HTTP {status}")), "{problem}");
    }
}

/// E2: each of these may work a little later.
#[test]
fn what_passes_by_itself_is_transient() {
    for (status, code) in [
        (503, "SlowDown"),
        (503, ""),
        (500, "InternalError"),
        (502, ""),
        (429, ""),
        (400, "RequestTimeout"),
        (400, "BadDigest"),
        (409, "ConditionalRequestConflict"),
    ] {
        assert!(answer(status, code).is_transient(), "{status} {code}");
    }
}

#[test]
fn the_region_that_the_server_named_stands_in_the_hint() {
    assert_eq!(answer(301, "").hint().as_deref(), Some("use `--region eu-west-1`"));
}

#[test]
fn existing_and_missing_objects_are_told_apart() {
    assert_eq!(answer(412, ""), S3Problem::PreconditionFailed("HTTP 412".into()));
    assert_eq!(answer(404, "NotFound"), S3Problem::NotFound("NotFound, HTTP 404".into()));
}

/// E10: a server may answer with whatever it was sent.
#[test]
fn text_from_the_server_that_is_no_code_is_not_repeated() {
    let problem = answer(403, "AWS4-HMAC-SHA256 Credential=AKIA/x, Signature=y");
    assert_eq!(problem.to_string(), "access denied by S3 (HTTP 403)");
}

#[test]
fn a_connection_error_is_told_by_its_innermost_cause() {
    let refused = io::Error::new(io::ErrorKind::ConnectionRefused, "connection refused");
    let error: SdkError<PutObjectError, HttpResponse> =
        SdkError::dispatch_failure(ConnectorError::io(Box::new(refused)));
    assert_eq!(explain(&error), S3Problem::Network("connection refused".into()));
}

#[test]
fn missing_credentials_are_found_below_any_wrapping() {
    let missing = CredentialsError::not_loaded("secret detail");
    let error: SdkError<PutObjectError, HttpResponse> =
        SdkError::dispatch_failure(ConnectorError::other(Box::new(missing), None));
    assert_eq!(explain(&error), S3Problem::no_credentials());
    assert!(!explain(&error).to_string().contains("secret"));
}
