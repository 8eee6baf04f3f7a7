// SPDX-License-Identifier: MIT OR Apache-2.0
//! What went wrong between us and the bucket, in one line, and what to change, in another.
//!
//! Only the error's code, the status and the bucket's region are taken from an answer. The
//! message and the body are not: a server may echo what it was sent, credentials included.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

/// Longest error code that is repeated; those of AWS are below 60.
const MAX_CODE: usize = 64;

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum S3Problem {
    /// The policy says no.
    #[error("access denied by S3 ({0})")]
    AccessDenied(String),
    /// The server does not know the key, or the signature is wrong.
    #[error("credentials not accepted by S3 ({0})")]
    BadCredentials(String),
    /// The session's time is over.
    #[error("credentials have expired ({0})")]
    ExpiredToken(String),
    /// Our clock and the server's are too far apart.
    #[error("this host's clock differs too much from the server's ({0})")]
    ClockSkew(String),
    /// The bucket is in another region, named where the server said so.
    #[error("bucket is in another region ({code}{})", region.as_ref().map(|r| format!(", `{r}`")).unwrap_or_default())]
    WrongRegion {
        /// Code or status.
        code: String,
        /// Where the bucket is.
        region: Option<String>,
    },
    /// There is no such bucket.
    #[error("bucket does not exist ({0})")]
    NoSuchBucket(String),
    /// There is no such object.
    #[error("object does not exist ({0})")]
    NotFound(String),
    /// The credential chain found nothing, or what it found is unusable.
    #[error("no usable AWS credentials: {0}")]
    NoCredentials(&'static str),
    /// Where the credentials come from did not answer.
    #[error("credential provider did not answer")]
    CredentialProvider,
    /// 412: the key exists already.
    #[error("precondition failed ({0})")]
    PreconditionFailed(String),
    /// 409: another writer is at the same key.
    #[error("conflicting request in progress ({0})")]
    ConflictRetry(String),
    /// Asked to slow down.
    #[error("throttled by S3 ({0})")]
    Throttled(String),
    /// The server failed.
    #[error("server error ({0})")]
    Server(String),
    /// Nothing, or not all, came through: name, route, TLS, proxy, reset.
    #[error("network error: {0}")]
    Network(String),
    /// No progress within the time allowed.
    #[error("request timed out")]
    Timeout,
    /// What arrived is not what was sent.
    #[error("checksum mismatch in transfer ({0})")]
    Checksum(String),
    /// A refusal that this list does not know.
    #[error("request refused by S3 ({0})")]
    Refused(String),
}

impl S3Problem {
    pub(crate) fn no_credentials() -> Self {
        Self::NoCredentials("none found")
    }

    /// Whether the same request may work a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::ConflictRetry(_)
                | Self::Throttled(_)
                | Self::Server(_)
                | Self::Network(_)
                | Self::Timeout
                | Self::Checksum(_)
                | Self::CredentialProvider
        )
    }

    /// What the operator can change, where it is theirs to change.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::AccessDenied(_) => {
                "allow s3:PutObject (upload) or s3:ListBucket and s3:GetObject (report) on this \
                 prefix, and the bucket's KMS key if it has one"
                    .to_owned()
            }
            Self::BadCredentials(_) => {
                "check the access key that this process gets: environment, --profile, role"
                    .to_owned()
            }
            Self::ExpiredToken(_) => {
                "renew the session credentials, or give this host a role that renews itself"
                    .to_owned()
            }
            Self::ClockSkew(_) => "set the clock: `timedatectl set-ntp true`".to_owned(),
            Self::WrongRegion { region: Some(region), .. } => format!("use `--region {region}`"),
            Self::WrongRegion { region: None, .. } => {
                "name the bucket's region with `--region`".to_owned()
            }
            Self::NoSuchBucket(_) => {
                "create the bucket, or check --bucket, --region and --endpoint-url".to_owned()
            }
            Self::NoCredentials(_) => {
                "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, a --profile, or a role for this \
                 host"
                    .to_owned()
            }
            Self::Network(_) | Self::Timeout => {
                "check --endpoint-url, name resolution, the proxy and the route".to_owned()
            }
            Self::Refused(_) => "check --sse, --storage-class and the bucket's settings".to_owned(),
            _ => return None,
        })
    }

    /// The problem and, on a second line, the hint.
    #[must_use]
    pub fn advice(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{self}\nhint: {hint}"),
            None => self.to_string(),
        }
    }
}

/// Says what a failed call means. Takes from it nothing that could hold a secret.
pub fn explain<E>(error: &SdkError<E, HttpResponse>) -> S3Problem
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(credentials) = cause::<CredentialsError>(error) {
        return explain_credentials(credentials);
    }
    match error {
        SdkError::ServiceError(service) => {
            let headers = service.raw().headers();
            let region = headers.get("x-amz-bucket-region").filter(|text| is_plain(text));
            explain_answer(service.raw().status().as_u16(), service.err().code(), region)
        }
        SdkError::ResponseError(response) => match response.raw().status().as_u16() {
            status @ (200..=299 | 500..) => S3Problem::Server(format!("unreadable {status}")),
            status => explain_answer(status, None, None),
        },
        SdkError::TimeoutError(_) => S3Problem::Timeout,
        SdkError::DispatchFailure(failure) if failure.is_timeout() => S3Problem::Timeout,
        SdkError::ConstructionFailure(_) => S3Problem::Refused("request could not be built".into()),
        other => S3Problem::Network(deepest(other)),
    }
}

/// Says why the credential chain gave none, without the text of the provider.
pub(crate) fn explain_credentials(error: &CredentialsError) -> S3Problem {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => S3Problem::no_credentials(),
        CredentialsError::InvalidConfiguration(_) => S3Problem::NoCredentials(
            "the profile or the environment cannot be used; `sso` and `credential_process` are \
                 not supported, no program is ever started",
        ),
        _ => S3Problem::CredentialProvider,
    }
}

/// The meaning of an answer: its code first, then its status, for answers without a body.
fn explain_answer(status: u16, code: Option<&str>, region: Option<&str>) -> S3Problem {
    let code = code.filter(|code| is_plain(code));
    let said =
        code.map_or_else(|| format!("HTTP {status}"), |code| format!("{code}, HTTP {status}"));
    let region = region.map(str::to_owned);
    match (code.unwrap_or(""), status) {
        ("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired" | "InvalidToken", _) => {
            S3Problem::ExpiredToken(said)
        }
        ("RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture", _) => {
            S3Problem::ClockSkew(said)
        }
        ("InvalidAccessKeyId" | "SignatureDoesNotMatch", _) => S3Problem::BadCredentials(said),
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _)
        | ("IllegalLocationConstraintException" | "TemporaryRedirect", _)
        | (_, 301 | 307 | 308) => S3Problem::WrongRegion { code: said, region },
        ("NoSuchBucket", _) => S3Problem::NoSuchBucket(said),
        ("BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch", _)
        | ("InvalidDigest" | "IncompleteBody", _) => S3Problem::Checksum(said),
        ("SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded", _)
        | ("TooManyRequests" | "RequestThrottled", _)
        | (_, 429) => S3Problem::Throttled(said),
        ("RequestTimeout", _) | (_, 408) => S3Problem::Timeout,
        (_, 500..) => S3Problem::Server(said),
        (_, 404) => S3Problem::NotFound(said),
        (_, 412) => S3Problem::PreconditionFailed(said),
        (_, 409) => S3Problem::ConflictRetry(said),
        (_, 401 | 403) => S3Problem::AccessDenied(said),
        _ => S3Problem::Refused(said),
    }
}

/// Codes and regions are words; whatever else stands in their place is not repeated.
fn is_plain(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    !text.is_empty() && text.len() <= MAX_CODE && text.bytes().all(is_word)
}

fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The innermost cause: the system's or the TLS library's own words, which know the address
/// but no request.
fn deepest(error: &(dyn Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string().chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests;
