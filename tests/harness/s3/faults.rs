// SPDX-License-Identifier: MIT OR Apache-2.0
//! What goes wrong, when: a script of rules, each for some requests, and a record of what
//! was asked. The words of the refusals are those of the real service.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::{HeaderMap, Method, Uri};

/// A way to fail one request.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Read the request, answer with an error, touch nothing.
    Refuse(Refusal),
    /// Answer late.
    Delay(Duration),
    /// Reset the connection after the first piece of the request's body.
    ResetMidBody,
    /// Never answer, keep the connection.
    Stall,
    /// Do what was asked, close the connection without an answer.
    LoseResponse,
    /// Flip one bit in the middle of the request's body, as a bad memory module would.
    FlipByte,
    /// Do what was asked, send half of the answer's body.
    CutResponse,
    /// Store although `If-None-Match` forbids it, as a well-known server does.
    IgnoreCondition,
}

/// Mark on a request whose condition the store must not see.
#[derive(Debug, Clone, Copy)]
pub(super) struct IgnoreCondition;

/// An error answer.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// S3 error code.
    pub code: &'static str,
    /// Human text.
    pub message: &'static str,
    /// More XML elements inside `Error`.
    pub extra: &'static str,
}

const fn refusal(status: u16, code: &'static str, message: &'static str) -> Refusal {
    Refusal { status, code, message, extra: "" }
}

/// 403, no rights.
pub const ACCESS_DENIED: Refusal = refusal(403, "AccessDenied", "Access Denied");
/// 400, the session is over.
pub const EXPIRED_TOKEN: Refusal = refusal(400, "ExpiredToken", "The provided token has expired.");
/// 403, the access key is unknown.
pub const UNKNOWN_KEY: Refusal = refusal(
    403,
    "InvalidAccessKeyId",
    "The AWS Access Key Id you provided does not exist in our records.",
);
/// 403, the secret is wrong.
pub const WRONG_SECRET: Refusal = refusal(
    403,
    "SignatureDoesNotMatch",
    "The request signature we calculated does not match the signature you provided.",
);
/// 403, the clocks differ by more than 15 minutes.
pub const CLOCK_SKEWED: Refusal = refusal(
    403,
    "RequestTimeTooSkewed",
    "The difference between the request time and the current time is too large.",
);
/// 301, the bucket lives in another region.
pub const WRONG_REGION: Refusal = Refusal {
    status: 301,
    code: "PermanentRedirect",
    message: "The bucket you are attempting to access must be addressed using the specified endpoint.",
    extra: "<Endpoint>ibsr-test.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>ibsr-test</Bucket>",
};
/// 400, signed for another region.
pub const WRONG_SIGNING_REGION: Refusal = Refusal {
    status: 400,
    code: "AuthorizationHeaderMalformed",
    message: "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    extra: "<Region>eu-west-1</Region>",
};
/// 404, no such bucket.
pub const NO_BUCKET: Refusal = refusal(404, "NoSuchBucket", "The specified bucket does not exist");
/// 503, too many requests.
pub const SLOW_DOWN: Refusal = refusal(503, "SlowDown", "Please reduce your request rate.");
/// 500, it happens.
pub const INTERNAL_ERROR: Refusal =
    refusal(500, "InternalError", "We encountered an internal error. Please try again.");
/// 409, another conditional request for the key is under way.
pub const CONFLICT: Refusal = refusal(
    409,
    "ConditionalRequestConflict",
    "The conditional request cannot succeed due to a conflicting operation against this resource.",
);

/// What a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// PutObject.
    Put,
    /// HeadObject.
    Head,
    /// GetObject.
    Get,
    /// CreateMultipartUpload.
    CreateUpload,
    /// UploadPart.
    UploadPart,
    /// CompleteMultipartUpload.
    CompleteUpload,
    /// AbortMultipartUpload.
    AbortUpload,
    /// Anything else: bucket requests, lists, deletes.
    Other,
}

/// One request that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What it wanted.
    pub op: Op,
    /// Key, empty for requests about the bucket.
    pub key: String,
    /// Encryption and storage class that it asked for: header name and value, sorted.
    pub wishes: Vec<(String, String)>,
}

/// Start of the headers that ask how an object is kept.
const WISHES: [&str; 2] = ["x-amz-server-side-encryption", "x-amz-storage-class"];

impl Seen {
    fn of(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().trim_start_matches('/');
        let key = percent_decode(path.split_once('/').map_or("", |(_bucket, key)| key));
        let query = uri.query().unwrap_or_default();
        let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
        let op = match method.as_str() {
            _ if key.is_empty() => Op::Other,
            "PUT" if has("partNumber") => Op::UploadPart,
            "PUT" => Op::Put,
            "HEAD" => Op::Head,
            "GET" => Op::Get,
            "POST" if has("uploads") => Op::CreateUpload,
            "POST" if has("uploadId") => Op::CompleteUpload,
            "DELETE" if has("uploadId") => Op::AbortUpload,
            _ => Op::Other,
        };
        let mut wishes: Vec<(String, String)> = headers
            .iter()
            .filter(|(name, _)| WISHES.iter().any(|wish| name.as_str().starts_with(wish)))
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into())
            })
            .collect();
        wishes.sort();
        Self { op, key, wishes }
    }
}

fn percent_decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let code = (first == b'%').then(|| text_code(after)).flatten();
        bytes.push(code.unwrap_or(first));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn text_code(after: &[u8]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(after.get(..2)?).ok()?, 16).ok()
}

/// Which requests fail how. Without [`Self::on`] and [`Self::key`] every request.
#[derive(Debug, Clone)]
pub struct Rule {
    fault: Fault,
    op: Option<Op>,
    key: String,
    skip: u64,
    times: u64,
}

impl Rule {
    /// Every request, always.
    #[must_use]
    pub fn new(fault: Fault) -> Self {
        Self { fault, op: None, key: String::new(), skip: 0, times: u64::MAX }
    }

    /// Every request is refused.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self::new(Fault::Refuse(refusal))
    }

    /// Only requests that want this.
    #[must_use]
    pub fn on(self, op: Op) -> Self {
        Self { op: Some(op), ..self }
    }

    /// Only keys that contain `part`.
    #[must_use]
    pub fn key(self, part: &str) -> Self {
        Self { key: part.into(), ..self }
    }

    /// Not the first `count` of them.
    #[must_use]
    pub fn skip(self, count: u64) -> Self {
        Self { skip: count, ..self }
    }

    /// At most `count` of them.
    #[must_use]
    pub fn times(self, count: u64) -> Self {
        Self { times: count, ..self }
    }

    fn matches(&self, seen: &Seen) -> bool {
        self.op.is_none_or(|op| op == seen.op) && seen.key.contains(&self.key)
    }

    /// The fault, if it is this request's turn.
    fn take(&mut self) -> Option<Fault> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.times = self.times.checked_sub(1)?;
        Some(self.fault)
    }
}

/// The rules of one server and the record of its requests.
#[derive(Debug, Default)]
pub(super) struct Script(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    rules: Vec<Rule>,
    seen: Vec<Seen>,
    stored: Vec<String>,
}

impl Script {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, rule: Rule) {
        self.pages().rules.insert(0, rule);
    }

    pub(super) fn clear(&self) {
        self.pages().rules.clear();
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.pages().seen.clone()
    }

    pub(super) fn stored(&self) -> Vec<String> {
        self.pages().stored.clone()
    }

    pub(super) fn stored_count(&self) -> usize {
        self.pages().stored.len()
    }

    pub(super) fn note_stored(&self, key: String) {
        self.pages().stored.push(key);
    }

    /// Records a request and gives the fault of the first rule whose turn it is.
    pub(super) fn take(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Fault> {
        let mut pages = self.pages();
        let seen = Seen::of(method, uri, headers);
        pages.seen.push(seen.clone());
        pages.rules.iter_mut().filter(|rule| rule.matches(&seen)).find_map(Rule::take)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(script: &Script, key: &str) -> bool {
        let uri = format!("/bucket/{key}?x-id=PutObject").parse().expect("a path");
        script.take(&Method::PUT, &uri, &HeaderMap::new()).is_some()
    }

    #[test]
    fn a_rule_takes_its_own_requests_and_no_more() {
        let script = Script::default();
        script.add(Rule::refuse(SLOW_DOWN).on(Op::Put).key("host=a").skip(1).times(2));
        let turns: Vec<bool> =
            (0..5).map(|_| put(&script, "p/host%3Da/x") || put(&script, "p/host%3Db/x")).collect();
        assert_eq!(turns, [false, true, true, false, false]);
        assert!(script.seen().iter().all(|seen| seen.op == Op::Put));
    }

    #[test]
    fn requests_are_told_apart_by_method_and_query() {
        let op = |method: Method, uri: &str| {
            Seen::of(&method, &uri.parse().expect("a path"), &HeaderMap::new()).op
        };
        assert_eq!(op(Method::PUT, "/b/k?partNumber=1&uploadId=u"), Op::UploadPart);
        assert_eq!(op(Method::POST, "/b/k?uploads"), Op::CreateUpload);
        assert_eq!(op(Method::POST, "/b/k?uploadId=u"), Op::CompleteUpload);
        assert_eq!(op(Method::DELETE, "/b/k?uploadId=u"), Op::AbortUpload);
        assert_eq!(op(Method::GET, "/b?list-type=2"), Op::Other);
        assert_eq!(op(Method::HEAD, "/b/k"), Op::Head);
    }
}
