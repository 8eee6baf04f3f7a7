// SPDX-License-Identifier: MIT OR Apache-2.0
//! Schema `ibsr/1`. One JSON object a line, `type` first:
//!
//! `header`, then sweeps, then `footer`. A sweep is its `source` rows followed by the one
//! `sweep` row that closes it, so a writer needs no memory of what it wrote and a torn file
//! is whole up to its last `sweep` row. `gap` rows stand anywhere between sweeps.
//!
//! Readers ignore fields and types that they do not know, and count the latter.

use serde::{Deserialize, Serialize};

use crate::addr::SourceAddr;
use crate::conservation::Totals;

/// Schema of every file that this module writes.
pub const SCHEMA: &str = "ibsr/1";

/// First line of a segment: what was observed, by what, how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`SCHEMA`].
    pub schema: String,
    /// Program and version that wrote the file.
    pub tool: String,
    /// Host label.
    pub host: String,
    /// Boot id, as the kernel prints it.
    pub boot_id: String,
    /// `xdp-<ifname>` or `cg-<name>`.
    pub scope: String,
    /// Interface name at attach; empty for other sensors.
    pub ifname: String,
    /// Interface index; 0 for other sensors.
    pub ifindex: u32,
    /// 16 hexadecimal digits, new for each new set of maps.
    pub epoch: String,
    /// Boot clock at the start of the epoch.
    pub attached_boot_ns: u64,
    /// Digest of the program that was proven and loaded, hexadecimal.
    pub program_sha256: String,
    /// `plain`, `frozen` or `exclusive`.
    pub evidence: String,
    /// `native` or `generic`; empty for other sensors.
    pub xdp_mode: String,
    /// Configured time between sweeps; the real one is in each sweep. 0 for a single sweep.
    pub period_ms: u64,
    /// Capacity: of each of two LRU tables, or half the ways of the set-associative one.
    pub max_sources: u32,
    /// How sources are kept: `lru` or `set-assoc`; empty where that is not known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub table: String,
    /// What makes a source proven: `socket` or `handshake`; empty where nothing does.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub proof: String,
    /// Whether every source got an entry with its first packet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admits_first: bool,
    /// Single selected ports. Both lists empty: all ports.
    pub dst_ports: Vec<u16>,
    /// Selected ranges of two ports or more, both ends included.
    pub dst_port_ranges: Vec<(u16, u16)>,
}

/// Closes a sweep: the source rows above it, back to the previous `sweep` row, belong to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sweep {
    /// Number of the sweep. Ascending by one within an epoch; never repeats within a boot.
    pub seq: u64,
    /// First of the sweeps that were merged into this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_from_seq: Option<u64>,
    /// Start of the interval: `at_boot_ns` of the sweep before, 0 for a full sweep.
    pub since_boot_ns: u64,
    /// End of the interval: boot clock when the sweep began.
    pub at_boot_ns: u64,
    /// Wall clock at the same moment.
    pub at_unix_ms: u64,
    /// Source rows in this sweep.
    pub rows: u64,
    /// Entries in the table, listed or not.
    pub entries: u64,
    /// Capacity of the table.
    pub max_entries: u64,
    /// Sum of `packets` over all entries, listed or not.
    pub attributed: u64,
    /// Packets of entries that are no longer in the table: `tracked - attributed -
    /// (unattributed - resumed) - insert_failed`, so it holds `during_read` too on a live interface.
    pub evicted: u64,
    /// Packets tracked between the first and the last read of this sweep.
    pub during_read: u64,
    /// Whether the conservation law held.
    pub conserved: bool,
    /// Totals, read after the sources.
    pub totals: Totals,
    /// Of `totals.unattributed`, what was lost for good, by port. The rest was resumed or
    /// waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<LossOfPort>,
    /// The interface's own receive counter, where it can be read.
    pub rx_packets: Option<u64>,
    /// Whether the program was attached to the interface.
    pub attached: bool,
    /// Time spent reading the maps.
    pub read_us: u64,
}

/// Packets of one port that no source is charged with, since the epoch began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossOfPort {
    /// Local port; absent for the ports that are not told apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<u16>,
    /// Packets with SYN and without ACK.
    pub syn: u64,
    /// Packets with ACK.
    pub ack: u64,
    /// Packets with neither.
    pub other: u64,
    /// Their frame bytes without FCS.
    pub bytes: u64,
}

/// Cumulative counters of one source towards one port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// Remote address.
    pub src: SourceAddr,
    /// Local port.
    pub dst_port: u16,
    /// SYN without ACK.
    pub syn: u64,
    /// Any segment with ACK.
    pub ack: u64,
    /// Completed handshakes as seen from ingress.
    pub handshakes: u64,
    /// Any segment with FIN.
    pub fin: u64,
    /// Any segment with RST.
    pub rst: u64,
    /// Frames.
    pub packets: u64,
    /// Frame bytes without FCS.
    pub bytes: u64,
    /// Whether the address has been proven real; absent where it cannot be known. With two LRU
    /// tables a source has one life in each at most, and counts in the proven one from the
    /// packet on that proves it; in the set-associative one its life becomes a proven one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<bool>,
    /// Boot clock at the first packet of this life of the entry; identifies the life.
    pub born_boot_ns: u64,
    /// Boot clock at the last packet, at most one kernel tick old.
    pub last_boot_ns: u64,
}

/// A stretch of time about which the files say less than they could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// Start on the boot clock.
    pub from_boot_ns: u64,
    /// End on the boot clock.
    pub to_boot_ns: u64,
    /// Why.
    pub reason: GapReason,
    /// Name of the segment that was dropped or damaged, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<String>,
}

/// Why there is a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GapReason {
    /// Nothing of ours was attached to the interface.
    Detached,
    /// A segment was dropped to keep the spool in its bounds.
    Retention,
    /// The spool could not be written.
    Disk,
    /// The maps were replaced by new ones.
    Epoch,
    /// A word that this build does not know.
    #[serde(other)]
    Unknown,
}

/// Last line of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// Lines before this one.
    pub lines: u64,
    /// SHA-256 of every byte before this line, hexadecimal.
    pub sha256: String,
    /// The file was cut after its last whole sweep and sealed after a crash.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recovered: bool,
}

/// A row to write.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RowRef<'a> {
    /// First line.
    Header(&'a Header),
    /// Closes a sweep.
    Sweep(&'a Sweep),
    /// One source.
    Source(&'a Source),
    /// A gap.
    Gap(&'a Gap),
    /// Last line.
    Footer(&'a Footer),
}

impl RowRef<'_> {
    /// Appends the row and a line feed to `out`. Allocates only when `out` must grow.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Source(source) => {
                super::source_text::write(source, out);
                out.push(b'\n');
            }
            _ => super::line::write(self, out),
        }
    }
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// First line.
    Header(Box<Header>),
    /// Closes a sweep.
    Sweep(Box<Sweep>),
    /// One source.
    Source(Source),
    /// A gap.
    Gap(Gap),
    /// Last line.
    Footer(Footer),
    /// A type that this build does not know.
    Unknown(String),
}

/// Why a line is not a row.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RowError {
    /// Not JSON, not UTF-8, or a field is missing, twice or of the wrong kind.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
}

impl Source {
    /// Reads a line, with or without its line feed, that spells the row exactly as
    /// [`RowRef::write_to`] does; `None` for every other line, also for other spellings of
    /// the same row. So what is read here can be written again to the byte.
    #[must_use]
    pub fn from_canonical(line: &[u8]) -> Option<Self> {
        super::source_read::read(line)
    }
}

impl Row {
    /// Reads one line, with or without its line feed. Source rows as we write them are read
    /// by hand, any other spelling by serde.
    ///
    /// # Errors
    /// [`RowError`] with the column, for the caller to prefix with file and line.
    pub fn from_line(line: &[u8]) -> Result<Self, RowError> {
        if let Some(source) = Source::from_canonical(line) {
            return Ok(Self::Source(source));
        }
        let super::line::TypeOnly { kind } = serde_json::from_slice(line)?;
        Ok(match kind.as_ref() {
            "header" => Self::Header(serde_json::from_slice(line)?),
            "sweep" => Self::Sweep(serde_json::from_slice(line)?),
            "source" => Self::Source(serde_json::from_slice(line)?),
            "gap" => Self::Gap(serde_json::from_slice(line)?),
            "footer" => Self::Footer(serde_json::from_slice(line)?),
            other => Self::Unknown(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> Source {
        Source {
            seq: 17,
            src: "203.0.113.9".parse().expect("address"),
            dst_port: 443,
            syn: 42,
            ack: 156,
            handshakes: 40,
            fin: 38,
            rst: 2,
            packets: 200,
            bytes: 45_000,
            proven: None,
            born_boot_ns: 5,
            last_boot_ns: u64::MAX,
        }
    }

    fn line(row: RowRef<'_>) -> String {
        let mut out = Vec::new();
        row.write_to(&mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    /// Golden: the written form is a contract with every tool that reads JSON Lines.
    #[test]
    fn a_source_row_is_written_exactly_so() {
        assert_eq!(
            line(RowRef::Source(&source())),
            concat!(
                r#"{"type":"source","seq":17,"src":"203.0.113.9","dst_port":443,"syn":42,"ack":156,"#,
                r#""handshakes":40,"fin":38,"rst":2,"packets":200,"bytes":45000,"born_boot_ns":5,"#,
                r#""last_boot_ns":18446744073709551615}"#,
                "\n"
            )
        );
    }

    #[test]
    fn every_row_reads_back_as_written() {
        let gap = Gap {
            from_boot_ns: 1,
            to_boot_ns: 2,
            reason: GapReason::Retention,
            segment: Some("x.jsonl".into()),
        };
        let footer = Footer { lines: 3, sha256: "ab".into(), recovered: true };
        let read = |row: RowRef<'_>| Row::from_line(line(row).as_bytes()).expect("reads");
        assert_eq!(read(RowRef::Source(&source())), Row::Source(source()));
        assert_eq!(read(RowRef::Gap(&gap)), Row::Gap(gap.clone()));
        assert_eq!(read(RowRef::Footer(&footer)), Row::Footer(footer.clone()));
    }

    /// Golden for reading: a file of today must be readable for ever, also when another
    /// tool has reordered its fields or a later version added some.
    #[test]
    fn reordered_and_unknown_fields_are_read() {
        let text = r#"{"seq":1,"future":{"a":[1]},"type":"source","src":"2001:db8::1","dst_port":1,
            "syn":0,"ack":0,"handshakes":0,"fin":0,"rst":0,"packets":1,"bytes":60,"proven":true,
            "born_boot_ns":1,"last_boot_ns":1}"#;
        let Row::Source(row) = Row::from_line(text.as_bytes()).expect("reads") else {
            panic!("a source row")
        };
        assert_eq!((row.packets, row.proven), (1, Some(true)));
        assert_eq!(
            Row::from_line(br#"{"type":"flow"}"#).expect("reads"),
            Row::Unknown("flow".into())
        );
    }

    #[test]
    fn what_is_no_row_is_an_error_and_never_a_panic() {
        for wrong in [
            &b"{"[..],
            b"",
            b"[]",
            b"{\"type\":\"source\",\"seq\":-1}",
            b"{\"type\":\"source\",\"seq\":1,\"seq\":1}",
            b"\xff\xfe",
            br#"{"type":1}"#,
        ] {
            assert!(Row::from_line(wrong).is_err(), "{:?}", String::from_utf8_lossy(wrong));
        }
        let deep = "[".repeat(100_000);
        assert!(Row::from_line(deep.as_bytes()).is_err());
    }
}
