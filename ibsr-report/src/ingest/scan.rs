// SPDX-License-Identifier: MIT OR Apache-2.0
//! First pass over a file: is it whole, and what does it hold?
//!
//! The footer's hash and line count are checked before any row is used, so a flipped bit or
//! a cut file costs the file and never a wrong number. Hashing costs a tenth of parsing.

use std::io::{self, BufRead};

use ibsr_proto::abi::hex;
use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::{Footer, Header, Row, RowRef, SCHEMA, Sweep, cgroup, guard};
use sha2::{Digest as _, Sha256};

use super::lines::{Line, Lines};
use super::open::Place;

const FOOTER_PREFIX: &[u8] = br#"{"type":"footer""#;
/// 9999-12-31T23:59:59.999Z.
const MAX_UNIX_MS: u64 = 253_402_300_799_999;
const SOURCE_PREFIX: &[u8] = br#"{"type":"source""#;
const FLOW_PREFIX: &[u8] = br#"{"type":"flow""#;

/// A file that passed.
#[derive(Debug, Clone)]
pub struct Segment<H = Header> {
    /// Where it was found, for people.
    pub origin: String,
    /// Where it lies.
    pub place: Place,
    /// Its name in the report.
    pub name: String,
    /// What it says about itself.
    pub contents: Contents<H>,
}

/// What a file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents<H = Header> {
    /// First line.
    pub header: H,
    /// Its sweeps, in the order of the file.
    pub sweeps: Vec<SweepSpan>,
    /// Last line.
    pub footer: Footer,
    /// Unpacked bytes.
    pub bytes: u64,
    /// SHA-256 of all of them, hexadecimal.
    pub sha256: String,
}

/// A segment of a cgroup.
pub type FlowSegment = Segment<cgroup::Header>;

/// A segment of the guard.
pub type VerdictSegment = Segment<guard::Header>;

/// A whole file, by the sensor that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scanned {
    /// Of an interface.
    Sources(Box<Contents>),
    /// Of a cgroup.
    Flows(Box<Contents<cgroup::Header>>),
    /// Of the guard.
    Verdicts(Box<Contents<guard::Header>>),
}

/// What a sweep covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepSpan {
    /// First sequence number.
    pub first_seq: u64,
    /// Last sequence number, its own.
    pub seq: u64,
    /// Boot clock at its end.
    pub at_boot_ns: u64,
    /// Wall clock at its end.
    pub at_unix_ms: u64,
    /// Entries in the table.
    pub entries: u64,
    /// Entries that were ever made.
    pub inserted: u64,
}

impl From<&Sweep> for SweepSpan {
    fn from(sweep: &Sweep) -> Self {
        Self {
            first_seq: sweep.merged_from_seq.unwrap_or(sweep.seq).min(sweep.seq),
            seq: sweep.seq,
            at_boot_ns: sweep.at_boot_ns,
            at_unix_ms: sweep.at_unix_ms,
            entries: sweep.entries,
            inserted: sweep.totals.inserted,
        }
    }
}

impl From<&cgroup::Sweep> for SweepSpan {
    fn from(sweep: &cgroup::Sweep) -> Self {
        Self {
            first_seq: sweep.merged_from_seq.unwrap_or(sweep.seq).min(sweep.seq),
            seq: sweep.seq,
            at_boot_ns: sweep.at_boot_ns,
            at_unix_ms: sweep.at_unix_ms,
            entries: sweep.entries,
            inserted: sweep.totals.flows_inserted,
        }
    }
}

impl From<&guard::Sweep> for SweepSpan {
    fn from(sweep: &guard::Sweep) -> Self {
        Self {
            first_seq: sweep.merged_from_seq.unwrap_or(sweep.seq).min(sweep.seq),
            seq: sweep.seq,
            at_boot_ns: sweep.at_boot_ns,
            at_unix_ms: sweep.at_unix_ms,
            entries: sweep.verdicts,
            inserted: 0,
        }
    }
}

/// Why a file is not used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScanError {
    /// It cannot be opened or read to its end.
    #[error("failed to read it: {0}")]
    Read(#[from] io::Error),
    /// It does not start with a header.
    #[error("line 1 is no header")]
    NoHeader,
    /// Written by a version that this one does not know.
    #[error("its schema is `{0}`, this program reads `{SCHEMA}`")]
    Schema(String),
    /// It was not sealed, or was cut.
    #[error("it does not end with a footer: not sealed, or cut")]
    NoFooter,
    /// Something stands behind the end.
    #[error("line {0} stands behind the footer")]
    BehindFooter(u64),
    /// The footer counted other lines.
    #[error("its footer counts {said} lines, it has {found}")]
    Lines {
        /// What the footer says.
        said: u64,
        /// What the file holds.
        found: u64,
    },
    /// It holds rows, and none that closes a sweep.
    #[error("none of its lines closes a sweep")]
    NoSweep,
    /// A sweep says that it was made after the year 9999.
    #[error("the wall clock of its sweep {0} is beyond the calendar")]
    Clock(u64),
    /// The footer hashed other bytes.
    #[error("its bytes do not match the SHA-256 in its footer")]
    Hash,
}

/// First line, by the sensor.
enum Head {
    Sources(Box<Header>),
    Flows(Box<cgroup::Header>),
    Verdicts(Box<guard::Header>),
}

/// What a line between the first and the last one means to the first pass.
enum Mark {
    Sweep(SweepSpan),
    /// Says nothing that a sweep would have to close.
    Aside,
    /// Belongs to a sweep.
    Content,
}

impl Head {
    fn mark(&self, text: &[u8]) -> Mark {
        if text.starts_with(SOURCE_PREFIX) || text.starts_with(FLOW_PREFIX) {
            return Mark::Content;
        }
        match self {
            Self::Sources(_) => match Row::from_line(text) {
                Ok(Row::Sweep(sweep)) => Mark::Sweep(SweepSpan::from(&*sweep)),
                Ok(Row::Gap(_) | Row::Unknown(_)) => Mark::Aside,
                _ => Mark::Content,
            },
            Self::Flows(_) => match cgroup::Row::from_line(text) {
                Ok(cgroup::Row::Sweep(sweep)) => Mark::Sweep(SweepSpan::from(&*sweep)),
                Ok(cgroup::Row::Gap(_) | cgroup::Row::Unknown(_)) => Mark::Aside,
                _ => Mark::Content,
            },
            Self::Verdicts(_) => match guard::Row::from_line(text) {
                Ok(guard::Row::Sweep(sweep)) => Mark::Sweep(SweepSpan::from(&*sweep)),
                Ok(guard::Row::Gap(_) | guard::Row::Unknown(_)) => Mark::Aside,
                _ => Mark::Content,
            },
        }
    }
}

/// Reads a file to its end and checks it against its footer.
///
/// # Errors
/// [`ScanError`]: nothing of this file may be used.
pub fn scan(reader: impl BufRead) -> Result<Scanned, ScanError> {
    let mut lines = Lines::new(reader);
    let mut hash = Sha256::new();
    let mut bytes = 0;
    let head = match lines.next()? {
        Some(Line::Whole(line)) => {
            hash.update(line);
            bytes += line.len() as u64;
            read_header(line)?
        }
        _ => return Err(ScanError::NoHeader),
    };
    let mut sweeps = Vec::new();
    let mut footer = None;
    let mut whole = Sha256::new();
    let mut is_empty = true;
    while let Some(line) = lines.next()? {
        if footer.is_some() {
            return Err(ScanError::BehindFooter(lines.number()));
        }
        let (Line::Whole(text) | Line::Part { bytes: text, .. }) = line;
        bytes += text.len() as u64;
        match line {
            Line::Whole(text) if text.starts_with(FOOTER_PREFIX) => {
                footer = Some(read_footer(text).ok_or(ScanError::NoFooter)?);
                whole = hash.clone();
                whole.update(text);
                continue;
            }
            Line::Whole(text) => match head.mark(text) {
                Mark::Sweep(sweep) if sweep.at_unix_ms > MAX_UNIX_MS => {
                    return Err(ScanError::Clock(sweep.seq));
                }
                Mark::Sweep(sweep) => sweeps.push(sweep),
                Mark::Aside => {}
                Mark::Content => is_empty = false,
            },
            Line::Part { .. } => is_empty = false,
        }
        hash.update(text);
    }
    let footer = footer.ok_or(ScanError::NoFooter)?;
    check(&footer, lines.number() - 1, &hash.finalize())?;
    if sweeps.is_empty() && !is_empty {
        return Err(ScanError::NoSweep);
    }
    let sha256 = hex(&whole.finalize());
    Ok(match head {
        Head::Sources(header) => {
            Scanned::Sources(Box::new(Contents { header: *header, sweeps, footer, bytes, sha256 }))
        }
        Head::Flows(header) => {
            Scanned::Flows(Box::new(Contents { header: *header, sweeps, footer, bytes, sha256 }))
        }
        Head::Verdicts(header) => {
            Scanned::Verdicts(Box::new(Contents { header: *header, sweeps, footer, bytes, sha256 }))
        }
    })
}

fn read_header(line: &[u8]) -> Result<Head, ScanError> {
    /// What is asked first: a later schema, or another sensor, may have another header.
    #[derive(serde::Deserialize)]
    struct Kind {
        schema: String,
        #[serde(default)]
        scope: String,
    }
    let Kind { schema, scope } = serde_json::from_slice(line).map_err(|_| ScanError::NoHeader)?;
    if schema != SCHEMA {
        return Err(ScanError::Schema(schema));
    }
    let scope = scope.parse::<Scope>().ok();
    if scope.as_ref().is_some_and(Scope::is_guard) {
        return match guard::Row::from_line(line) {
            Ok(guard::Row::Header(header)) => Ok(Head::Verdicts(header)),
            _ => Err(ScanError::NoHeader),
        };
    }
    if scope.is_some_and(|scope| scope.is_cgroup()) {
        return match cgroup::Row::from_line(line) {
            Ok(cgroup::Row::Header(header)) => Ok(Head::Flows(header)),
            _ => Err(ScanError::NoHeader),
        };
    }
    match Row::from_line(line) {
        Ok(Row::Header(header)) => Ok(Head::Sources(header)),
        _ => Err(ScanError::NoHeader),
    }
}

/// The footer does not cover its own bytes, so they must be exactly what a writer writes.
fn read_footer(line: &[u8]) -> Option<Footer> {
    let Ok(Row::Footer(footer)) = Row::from_line(line) else { return None };
    let mut canonical = Vec::new();
    RowRef::Footer(&footer).write_to(&mut canonical);
    (canonical == line).then_some(footer)
}

fn check(footer: &Footer, lines: u64, digest: &[u8]) -> Result<(), ScanError> {
    if footer.lines != lines {
        return Err(ScanError::Lines { said: footer.lines, found: lines });
    }
    let is_same = footer.sha256 == hex(digest);
    if is_same { Ok(()) } else { Err(ScanError::Hash) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(schema: &str) -> String {
        format!(
            concat!(
                r#"{{"type":"header","schema":"{}","tool":"t","host":"h","boot_id":"b","scope":"s","#,
                r#""ifname":"","ifindex":0,"epoch":"e","attached_boot_ns":1,"program_sha256":"","#,
                r#""evidence":"plain","xdp_mode":"","period_ms":0,"max_sources":1,"dst_ports":[],"#,
                r#""dst_port_ranges":[]}}"#,
                "\n"
            ),
            schema
        )
    }

    fn footer(rows: &str, lines: u64) -> String {
        let sha256 = hex(&Sha256::digest(rows));
        let mut out = Vec::new();
        RowRef::Footer(&Footer { lines, sha256, recovered: false }).write_to(&mut out);
        String::from_utf8(out).expect("text")
    }

    fn error(text: &str) -> String {
        scan(text.as_bytes()).expect_err("refused").to_string()
    }

    #[test]
    fn a_sealed_file_says_what_it_holds() {
        let rows = header(SCHEMA) + "{\"type\":\"later\"}\n";
        let scanned = scan((rows.clone() + &footer(&rows, 2)).as_bytes()).expect("whole");
        let Scanned::Sources(contents) = scanned else { panic!("of another sensor") };
        assert_eq!((contents.header.host.as_str(), contents.footer.lines), ("h", 2));
        assert!(contents.sweeps.is_empty());
    }

    #[test]
    fn each_fault_of_a_file_has_its_own_words() {
        let rows = header(SCHEMA);
        let sealed = rows.clone() + &footer(&rows, 1);
        assert!(error("").contains("no header"));
        assert!(error("{\"type\":\"sweep\"}\n").contains("no header"));
        assert!(error(&header("ibsr/2")).contains("`ibsr/2`"));
        assert!(
            error("{\"type\":\"header\",\"schema\":\"ibsr/1\",\"scope\":\"cg-web\"}\n")
                .contains("no header")
        );
        let open = header(SCHEMA) + "any line\n";
        assert!(error(&(open.clone() + &footer(&open, 2))).contains("closes a sweep"));
        assert!(error(&rows).contains("not sealed"));
        assert!(error(&(rows.clone() + &footer(&rows, 2))).contains("counts 2 lines, it has 1"));
        assert!(error(&sealed.replace("\"s\"", "\"z\"")).contains("SHA-256"));
        assert!(error(&(sealed.clone() + "\n")).contains("line 3 stands behind"));
        assert!(error(&(sealed.clone() + &sealed)).contains("behind the footer"));
    }

    /// The hash does not cover the footer, so another spelling of it is a changed file.
    #[test]
    fn a_footer_in_other_words_is_none() {
        let rows = header(SCHEMA);
        let sealed = rows.clone() + &footer(&rows, 1);
        for (from, to) in
            [("\"lines\":1", "\"lines\": 1"), ("\"}\n", "\"}"), ("\"sha256\"", "\"sha257\"")]
        {
            assert!(error(&sealed.replace(from, to)).contains("footer"), "{to}");
        }
        let upper =
            footer(&rows, 1).to_uppercase().replace("\"TYPE\":\"FOOTER\"", "\"type\":\"footer\"");
        let upper = upper.replace("LINES", "lines").replace("SHA256", "sha256");
        assert!(error(&(rows + &upper)).contains("SHA-256"));
    }
}
