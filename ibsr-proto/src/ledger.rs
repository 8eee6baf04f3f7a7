// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's ledger: JSON Lines, appended, one event a line. The exporter writes it in
//! its own state directory; the reader reads it to know which segments the bucket holds and
//! may therefore leave the spool first. An optimisation: the bucket is the truth.

use serde::{Deserialize, Serialize};

/// File name of the ledger in the exporter's state directory.
pub const FILE_NAME: &str = "ledger.jsonl";

/// What happened to a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// About to be sent: a later 412 without HEAD rights may be this attempt.
    Attempted,
    /// In the bucket.
    Uploaded,
    /// The key holds other content; the segment stays in the spool.
    Conflict,
    /// The file did not match its own footer.
    Quarantined,
    /// A word that this build does not know.
    #[serde(other)]
    Unknown,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version of this line's shape: 1.
    pub v: u32,
    /// What happened.
    pub event: Event,
    /// Scope, the directory of the segment in the spool.
    pub scope: String,
    /// File name of the segment.
    pub name: String,
    /// SHA-256 of the segment as it lies in the spool, hexadecimal.
    pub sha256: String,
    /// Bytes of the segment as it lies in the spool.
    pub bytes: u64,
    /// Bucket.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// Wall clock.
    pub unix_ms: u64,
}

/// The entries of a ledger's text. A torn last line, which a crash can leave, and lines of a
/// later version are passed over: at worst a segment is uploaded again, to the same key.
pub fn entries(text: &str) -> impl Iterator<Item = Entry> + '_ {
    text.lines()
        .filter_map(|line| serde_json::from_str::<Entry>(line).ok())
        .filter(|entry| entry.v == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: two programs of possibly different versions share this file.
    #[test]
    fn a_line_reads_back_and_a_torn_one_is_passed_over() {
        let line = concat!(
            r#"{"v":1,"event":"uploaded","scope":"xdp-eth0","name":"a.jsonl","sha256":"00","#,
            r#""bytes":9,"bucket":"b","key":"k","unix_ms":1}"#
        );
        let text = format!("{line}\n{}\n{}", line.replace("\"v\":1", "\"v\":2"), &line[..20]);
        let read: Vec<Entry> = entries(&text).collect();
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].event, Event::Uploaded);
        assert_eq!(serde_json::to_string(&read[0]).expect("serializes"), line);
    }
}
