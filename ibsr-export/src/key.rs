// SPDX-License-Identifier: MIT OR Apache-2.0
//! Object keys: `<prefix>/host=H/scope=S/date=YYYY-MM-DD/hour=HH/<name>.jsonl.zst`.
//!
//! Hive style, so that query engines read only the hours they need. A key follows from the
//! segment's name and content alone, never from the time of the upload: a segment that is
//! sent twice goes to the same place. The hour is that of the last sweep, so an hour that is
//! over, plus the age at which segments are sealed, is complete.

use ibsr_proto::snapshot::SegmentName;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::compression::Compression;

/// Prefix longer than this could make a key exceed the 1,024 bytes that S3 allows.
pub const MAX_PREFIX_BYTES: usize = 512;

/// Why a text cannot be a prefix.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` cannot start a key: at most {MAX_PREFIX_BYTES} bytes, no control characters")]
pub struct PrefixError(String);

/// A prefix as it stands in keys: empty, or with one slash at its end.
///
/// # Errors
/// [`PrefixError`].
pub fn clean_prefix(text: &str) -> Result<String, PrefixError> {
    let prefix = text.trim_matches('/');
    if prefix.len() > MAX_PREFIX_BYTES || prefix.chars().any(char::is_control) {
        return Err(PrefixError(text.to_owned()));
    }
    Ok(if prefix.is_empty() { String::new() } else { format!("{prefix}/") })
}

/// What every key under a [`clean_prefix`] starts with.
pub fn key_root(prefix: &str) -> String {
    format!("{prefix}host=")
}

/// Key of the segment `name` whose last sweep was taken at `unix_ms`. A segment without a
/// sweep, or with a time beyond the calendar, lies under 1970-01-01.
pub fn object_key(
    prefix: &str,
    name: &SegmentName,
    unix_ms: Option<u64>,
    compression: Compression,
) -> String {
    let hour = unix_ms
        .and_then(|ms| i64::try_from(ms).ok())
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_zoned(TimeZone::UTC)
        .strftime("date=%Y-%m-%d/hour=%H");
    let (root, suffix) = (key_root(prefix), compression.suffix());
    format!("{root}{}/scope={}/{hour}/{name}{suffix}", name.host, name.scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(prefix: &str, unix_ms: Option<u64>, compression: Compression) -> String {
        let name = SegmentName::parse("rpc-7-xdp-eth0-0af3c9d1-000000000017.jsonl", "xdp-eth0");
        object_key(prefix, &name.expect("a name"), unix_ms, compression)
    }

    /// Golden: other people's tables are partitioned by this.
    #[test]
    fn a_key_is_written_exactly_so() {
        assert_eq!(
            key("fleet/ibsr/", Some(1_700_000_000_000), Compression::Zstd),
            "fleet/ibsr/host=rpc-7/scope=xdp-eth0/date=2023-11-14/hour=22/\
             rpc-7-xdp-eth0-0af3c9d1-000000000017.jsonl.zst"
        );
        let name = SegmentName::parse("h1-cg-web.1-0af3c9d1-000000000001.jsonl", "cg-web.1");
        assert_eq!(
            object_key("", &name.expect("a name"), Some(0), Compression::None),
            "host=h1/scope=cg-web.1/date=1970-01-01/hour=00/h1-cg-web.1-0af3c9d1-000000000001.jsonl"
        );
        assert!(
            key("", Some(0), Compression::None).starts_with("host=rpc-7/scope=xdp-eth0/date=1970")
        );
        assert!(
            key("", Some(0), Compression::None)
                .ends_with("/hour=00/rpc-7-xdp-eth0-0af3c9d1-000000000017.jsonl")
        );
    }

    #[test]
    fn a_time_that_is_no_time_has_a_place_too() {
        for unix_ms in [None, Some(u64::MAX), Some(i64::MAX as u64)] {
            assert!(key("", unix_ms, Compression::Gzip).contains("date=1970-01-01/hour=00"));
        }
    }

    #[test]
    fn slashes_around_a_prefix_do_not_matter() {
        for text in ["a/b", "/a/b/", "//a/b//"] {
            assert_eq!(clean_prefix(text).expect("a prefix"), "a/b/");
        }
        assert_eq!(clean_prefix("/").expect("empty"), "");
        assert!(clean_prefix("a\nb").is_err());
        assert!(clean_prefix(&"x".repeat(513)).is_err());
    }
}
