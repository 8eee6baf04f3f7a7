// SPDX-License-Identifier: MIT OR Apache-2.0
//! Addresses as `s3://BUCKET/PREFIX`. Pure text; whether the bucket exists is not asked.

use std::fmt;
use std::str::FromStr;

/// Limit of S3 on a key, in bytes of UTF-8.
const MAX_KEY_BYTES: usize = 1024;

/// A bucket and a prefix in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct S3Url {
    /// Bucket.
    pub bucket: String,
    /// Prefix as written, without the slash that follows the bucket; may be empty.
    pub prefix: String,
}

/// Why a text is not an S3 address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum S3UrlError {
    /// It does not start with `s3://`.
    #[error("`{0}` does not start with `s3://`, for example `s3://my-bucket/ibsr`")]
    Scheme(String),
    /// The bucket is missing or holds a character that no bucket name has.
    #[error("`{0}` is not the name of a bucket: 3-63 letters, digits, `.`, `-` and `_`")]
    Bucket(String),
    /// The prefix is too long, or holds a control character.
    #[error("`{0}` cannot be the start of a key: at most 1024 bytes, no control characters")]
    Prefix(String),
}

impl S3Url {
    /// Whether `text` looks like an S3 address rather than a path.
    #[must_use]
    pub fn is_s3(text: &str) -> bool {
        text.starts_with("s3://")
    }

    /// Checks a bucket name that was given on its own.
    ///
    /// # Errors
    /// [`S3UrlError::Bucket`].
    pub fn check_bucket(bucket: &str) -> Result<(), S3UrlError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        let is_bucket = (3..=63).contains(&bucket.len())
            && bucket.bytes().all(is_plain)
            && bucket.as_bytes()[0].is_ascii_alphanumeric();
        if is_bucket { Ok(()) } else { Err(S3UrlError::Bucket(bucket.to_owned())) }
    }
}

impl FromStr for S3Url {
    type Err = S3UrlError;

    fn from_str(text: &str) -> Result<Self, S3UrlError> {
        let rest = text.strip_prefix("s3://").ok_or_else(|| S3UrlError::Scheme(text.to_owned()))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        Self::check_bucket(bucket)?;
        if prefix.len() > MAX_KEY_BYTES || prefix.chars().any(char::is_control) {
            return Err(S3UrlError::Prefix(prefix.to_owned()));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for S3Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_written() {
        let url: S3Url = "s3://my-bucket/ibsr/host=a/".parse().expect("an address");
        assert_eq!((url.bucket.as_str(), url.prefix.as_str()), ("my-bucket", "ibsr/host=a/"));
        assert_eq!(url.to_string(), "s3://my-bucket/ibsr/host=a/");
        assert_eq!("s3://my-bucket".parse::<S3Url>().expect("no prefix").prefix, "");
    }

    #[test]
    fn what_is_no_address_is_named_in_the_error() {
        for wrong in ["/var/lib", "http://b/c", "s3://", "s3://a", "s3://-bucket", "s3://a b c/x"] {
            let error = wrong.parse::<S3Url>().expect_err(wrong).to_string();
            assert!(error.contains('`'), "{error}");
        }
        assert!("s3://bucket/a\nb".parse::<S3Url>().is_err());
        assert!(format!("s3://bucket/{}", "x".repeat(1025)).parse::<S3Url>().is_err());
    }
}
