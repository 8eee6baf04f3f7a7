// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the spool must know of rows, whichever sensor they are of: how they are written, which
//! sweep they belong to, and what closes it.

use ibsr_proto::addr::SourceAddr;
use ibsr_proto::snapshot::cgroup::{self, AppLife, BehaviourLife, FlowLife, NameLife, ZoneLife};
use ibsr_proto::snapshot::guard;
use ibsr_proto::snapshot::{Footer, Header, Row, RowRef, SCHEMA};
use serde::Deserialize;

use super::closing::Close;

/// A row that can be written.
pub trait Line {
    /// Appends it with its line feed.
    fn write_to(&self, out: &mut Vec<u8>);
}

impl Line for RowRef<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        RowRef::write_to(self, out);
    }
}

impl Line for cgroup::RowRef<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        cgroup::RowRef::write_to(self, out);
    }
}

impl Line for guard::RowRef<'_> {
    fn write_to(&self, out: &mut Vec<u8>) {
        guard::RowRef::write_to(self, out);
    }
}

/// First line of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Head {
    /// Of an interface.
    Xdp(Header),
    /// Of a cgroup.
    Cgroup(cgroup::Header),
    /// Of the guard.
    Guard(guard::Header),
}

impl From<Header> for Head {
    fn from(header: Header) -> Self {
        Self::Xdp(header)
    }
}

impl From<cgroup::Header> for Head {
    fn from(header: cgroup::Header) -> Self {
        Self::Cgroup(header)
    }
}

impl From<guard::Header> for Head {
    fn from(header: guard::Header) -> Self {
        Self::Guard(header)
    }
}

impl Line for &Head {
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Head::Xdp(header) => RowRef::Header(header).write_to(out),
            Head::Cgroup(header) => cgroup::RowRef::Header(header).write_to(out),
            Head::Guard(header) => guard::RowRef::Header(header).write_to(out),
        }
    }
}

impl Head {
    /// From a line; `None` for one of another schema or of no sensor that is known.
    pub(super) fn from_line(line: &[u8]) -> Option<Self> {
        let head = match Row::from_line(line) {
            Ok(Row::Header(header)) => Self::Xdp(*header),
            _ => match cgroup::Row::from_line(line) {
                Ok(cgroup::Row::Header(header)) => Self::Cgroup(*header),
                _ => match guard::Row::from_line(line) {
                    Ok(guard::Row::Header(header)) => Self::Guard(*header),
                    _ => return None,
                },
            },
        };
        (head.schema() == SCHEMA).then_some(head)
    }

    fn schema(&self) -> &str {
        match self {
            Self::Xdp(header) => &header.schema,
            Self::Cgroup(header) => &header.schema,
            Self::Guard(header) => &header.schema,
        }
    }

    /// Host label.
    pub(super) fn host(&self) -> &str {
        match self {
            Self::Xdp(header) => &header.host,
            Self::Cgroup(header) => &header.host,
            Self::Guard(header) => &header.host,
        }
    }

    /// Boot id.
    pub(super) fn boot_id(&self) -> &str {
        match self {
            Self::Xdp(header) => &header.boot_id,
            Self::Cgroup(header) => &header.boot_id,
            Self::Guard(header) => &header.boot_id,
        }
    }

    /// Scope.
    pub(super) fn scope(&self) -> &str {
        match self {
            Self::Xdp(header) => &header.scope,
            Self::Cgroup(header) => &header.scope,
            Self::Guard(header) => &header.scope,
        }
    }

    /// Reads a line of the same file.
    pub(super) fn read(&self, line: &[u8]) -> Option<Seen> {
        match self {
            Self::Xdp(_) => Row::from_line(line).ok().map(Seen::from),
            Self::Cgroup(_) => cgroup::Row::from_line(line).ok().map(Seen::from),
            Self::Guard(_) => guard::Row::from_line(line).ok().map(Seen::from),
        }
    }

    /// The life that a counted row of the same file is about; `None` for other rows.
    ///
    /// # Errors
    /// When a row of counters cannot be read.
    pub(super) fn life(&self, line: &[u8]) -> serde_json::Result<Option<Life>> {
        if matches!(self, Self::Guard(_)) {
            return Ok(None);
        }
        let kind = PREFIXES.iter().find(|(prefix, _)| line.starts_with(prefix));
        let is_cgroup = matches!(self, Self::Cgroup(_));
        let kind = kind.map(|(_, kind)| *kind).filter(|kind| is_cgroup != (*kind == Kind::Source));
        Ok(match kind {
            None => None,
            Some(Kind::Source) => Some(Life::Source(serde_json::from_slice(line)?)),
            Some(Kind::Flow) => Some(Life::Flow(serde_json::from_slice(line)?)),
            Some(Kind::Name) => Some(Life::Name(serde_json::from_slice(line)?)),
            Some(Kind::Behaviour) => Some(Life::Behaviour(serde_json::from_slice(line)?)),
            Some(Kind::App) => Some(Life::App(serde_json::from_slice(line)?)),
            Some(Kind::Zone) => Some(Life::Zone(serde_json::from_slice(line)?)),
        })
    }

    /// Appends a counted row as one of sweep `seq`; false when it is none.
    pub(super) fn write_as_of(&self, line: &[u8], seq: u64, out: &mut Vec<u8>) -> bool {
        match self {
            Self::Xdp(_) => {
                let Ok(Row::Source(mut source)) = Row::from_line(line) else { return false };
                source.seq = seq;
                RowRef::Source(&source).write_to(out);
                true
            }
            Self::Cgroup(_) => {
                let Ok(mut row) = cgroup::Row::from_line(line) else { return false };
                match &mut row {
                    cgroup::Row::Flow(row) => row.seq = seq,
                    cgroup::Row::Name(row) => row.seq = seq,
                    cgroup::Row::Behaviour(row) => row.seq = seq,
                    cgroup::Row::App(row) => row.seq = seq,
                    cgroup::Row::Zone(row) => row.seq = seq,
                    _ => return false,
                }
                row.table_row().is_some_and(|row| {
                    row.write_to(out);
                    true
                })
            }
            Self::Guard(_) => false,
        }
    }
}

/// Which table a row of counters is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Source,
    Flow,
    Name,
    Behaviour,
    App,
    Zone,
}

/// How rows of counters begin that we write.
const PREFIXES: [(&[u8], Kind); 6] = [
    (br#"{"type":"source","#, Kind::Source),
    (br#"{"type":"flow","#, Kind::Flow),
    (br#"{"type":"name","#, Kind::Name),
    (br#"{"type":"behaviour","#, Kind::Behaviour),
    (br#"{"type":"app","#, Kind::App),
    (br#"{"type":"zone","#, Kind::Zone),
];

/// What identifies one life of what is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Source(SourceLife),
    Flow(FlowLife),
    Name(NameLife),
    Behaviour(BehaviourLife),
    App(AppLife),
    Zone(ZoneLife),
}

/// The same of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub(super) struct SourceLife {
    src: SourceAddr,
    dst_port: u16,
    born_boot_ns: u64,
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Seen {
    Header,
    /// Counters, and the sweep they name.
    Counted(u64),
    Sweep(Close),
    Gap,
    Footer(Footer),
    Unknown,
}

impl From<Row> for Seen {
    fn from(row: Row) -> Self {
        match row {
            Row::Header(_) => Self::Header,
            Row::Sweep(sweep) => Self::Sweep(Close::Xdp(sweep)),
            Row::Source(source) => Self::Counted(source.seq),
            Row::Gap(_) => Self::Gap,
            Row::Footer(footer) => Self::Footer(footer),
            Row::Unknown(_) => Self::Unknown,
        }
    }
}

impl From<cgroup::Row> for Seen {
    fn from(row: cgroup::Row) -> Self {
        match row {
            cgroup::Row::Header(_) => Self::Header,
            cgroup::Row::Sweep(sweep) => Self::Sweep(Close::Cgroup(sweep)),
            cgroup::Row::Flow(flow) => Self::Counted(flow.seq),
            cgroup::Row::Name(name) => Self::Counted(name.seq),
            cgroup::Row::Behaviour(behaviour) => Self::Counted(behaviour.seq),
            cgroup::Row::App(app) => Self::Counted(app.seq),
            cgroup::Row::Zone(zone) => Self::Counted(zone.seq),
            cgroup::Row::Gap(_) => Self::Gap,
            cgroup::Row::Footer(footer) => Self::Footer(footer),
            cgroup::Row::Unknown(_) => Self::Unknown,
        }
    }
}

impl From<guard::Row> for Seen {
    fn from(row: guard::Row) -> Self {
        match row {
            guard::Row::Header(_) => Self::Header,
            guard::Row::Sweep(sweep) => Self::Sweep(Close::Guard(sweep)),
            guard::Row::Verdict(verdict) => Self::Counted(verdict.seq),
            guard::Row::Count(count) => Self::Counted(count.seq),
            guard::Row::Gap(_) => Self::Gap,
            guard::Row::Footer(footer) => Self::Footer(footer),
            guard::Row::Unknown(_) => Self::Unknown,
        }
    }
}
