// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of sealed segments: `<host>-<scope>-<boot8>-<seq12>.jsonl`, and
//! `<host>-<scope>-<boot8>-<seq12>-to-<seq12>.jsonl` for one whose sweeps were merged.
//!
//! A name is used once: `seq` never repeats within a boot, and a merged file says so. The
//! same name therefore always means the same bytes, here and in the bucket.

use std::fmt;

/// Extension of a sealed segment.
pub const EXTENSION: &str = ".jsonl";
const SEQ_DIGITS: usize = 12;
const BOOT_DIGITS: usize = 8;

/// The parts of a segment's file name. Ordered by boot, then by sequence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// Host, as [`host_label`] made it.
    pub host: String,
    /// Scope, also the name of the directory.
    pub scope: String,
    /// First 8 hexadecimal digits of the boot id.
    pub boot8: String,
    /// `seq` of the first sweep.
    pub first_seq: u64,
    /// `seq` of the last sweep where the file's sweeps were merged into one.
    pub merged_to: Option<u64>,
}

impl SegmentName {
    /// The parts of `file_name`, which lies in the directory of `scope`; `None` when it is
    /// not the name of a sealed segment.
    #[must_use]
    pub fn parse(file_name: &str, scope: &str) -> Option<Self> {
        let stem = file_name.strip_suffix(EXTENSION)?;
        let (stem, merged_to) = match stem.rsplit_once("-to-") {
            Some((stem, last)) if parse_seq(last).is_some() => (stem, parse_seq(last)),
            _ => (stem, None),
        };
        let (stem, seq) = stem.rsplit_once('-')?;
        let (stem, boot8) = stem.rsplit_once('-')?;
        let host = stem.strip_suffix(scope)?.strip_suffix('-')?;
        let is_boot = boot8.len() == BOOT_DIGITS
            && boot8.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let is_host = !host.is_empty() && host_label(host) == host;
        let first_seq = parse_seq(seq)?;
        (is_boot && is_host).then(|| Self {
            host: host.to_owned(),
            scope: scope.to_owned(),
            boot8: boot8.to_owned(),
            first_seq,
            merged_to,
        })
    }

    /// Name while it is being written. Hidden, and not a segment to anyone.
    #[must_use]
    pub fn part_name(&self) -> String {
        format!(".{self}.part")
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, scope, boot8, first_seq, merged_to } = self;
        write!(f, "{host}-{scope}-{boot8}-{first_seq:0SEQ_DIGITS$}")?;
        if let Some(last) = merged_to {
            write!(f, "-to-{last:0SEQ_DIGITS$}")?;
        }
        f.write_str(EXTENSION)
    }
}

fn parse_seq(digits: &str) -> Option<u64> {
    let is_seq = digits.len() == SEQ_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_seq.then(|| digits.parse().ok())?
}

/// A host name as it stands in file names and object keys: lower-case letters, digits, `.`
/// and `-`, at most 64 bytes; anything else becomes `-`, and an empty name `unknown`.
#[must_use]
pub fn host_label(host: &str) -> String {
    let label: String = host
        .chars()
        .take(64)
        .map(|c| match c.to_ascii_lowercase() {
            plain @ ('a'..='z' | '0'..='9' | '.' | '-') => plain,
            _ => '-',
        })
        .collect();
    let label = label.trim_matches(['-', '.']);
    if label.is_empty() { "unknown".to_owned() } else { label.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(merged_to: Option<u64>) -> SegmentName {
        SegmentName {
            host: "rpc-7.example".into(),
            scope: "xdp-eth0.100".into(),
            boot8: "0af3c9d1".into(),
            first_seq: 17,
            merged_to,
        }
    }

    #[test]
    fn a_name_reads_back_as_written() {
        for merged in [None, Some(46)] {
            let text = name(merged).to_string();
            assert_eq!(SegmentName::parse(&text, "xdp-eth0.100"), Some(name(merged)), "{text}");
        }
        assert_eq!(
            name(None).to_string(),
            "rpc-7.example-xdp-eth0.100-0af3c9d1-000000000017.jsonl"
        );
    }

    /// What lies in a spool is not always ours; a near miss must not be uploaded.
    #[test]
    fn anything_else_in_the_directory_is_no_segment() {
        let good = name(None).to_string();
        for wrong in [
            format!(".{good}.part"),
            format!("{good}.zst"),
            good.replace("0af3c9d1", "0AF3C9D1"),
            good.replace("000000000017", "17"),
            good.replace("rpc-7.example-", ""),
            good.replace("rpc-7", "rpc 7"),
            "..jsonl".to_owned(),
            String::new(),
        ] {
            assert_eq!(SegmentName::parse(&wrong, "xdp-eth0.100"), None, "{wrong}");
        }
        assert_eq!(SegmentName::parse(&good, "xdp-eth1"), None);
    }

    #[test]
    fn a_host_name_becomes_a_safe_label() {
        assert_eq!(host_label("Node_7/../x"), "node-7-..-x");
        assert_eq!(host_label("..//"), "unknown");
        assert_eq!(host_label(""), "unknown");
    }
}
