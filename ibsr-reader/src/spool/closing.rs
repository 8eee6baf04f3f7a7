// SPDX-License-Identifier: MIT OR Apache-2.0
//! The row that closes a sweep, whichever sensor it is of.

use ibsr_proto::snapshot::{RowRef, Sweep, cgroup, guard};
use serde::Deserialize;

use super::rows::Line;

/// What every row has that closes a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct SweepHead {
    /// Its number.
    pub seq: u64,
    /// First of the sweeps that were merged into it.
    #[serde(default)]
    pub merged_from_seq: Option<u64>,
    /// Start of its interval; 0 for a full one.
    pub since_boot_ns: u64,
    /// End of its interval.
    pub at_boot_ns: u64,
    /// Rows of counters.
    pub rows: u64,
    /// Entries in the table.
    pub entries: u64,
    /// Capacity of the table.
    pub max_entries: u64,
    /// Whether the law held.
    pub conserved: bool,
    /// Whether the program was attached.
    pub attached: bool,
    /// Time spent reading the maps.
    pub read_us: u64,
}

/// A row that closes a sweep.
pub trait Closing {
    /// What it has in common with all of its kind.
    fn head(&self) -> SweepHead;
    /// Appends it with its line feed.
    fn write_to(&self, out: &mut Vec<u8>);
}

macro_rules! closing {
    ($row:ty, $write:path) => {
        impl Closing for $row {
            fn head(&self) -> SweepHead {
                SweepHead {
                    seq: self.seq,
                    merged_from_seq: self.merged_from_seq,
                    since_boot_ns: self.since_boot_ns,
                    at_boot_ns: self.at_boot_ns,
                    rows: self.rows,
                    entries: self.entries,
                    max_entries: self.max_entries,
                    conserved: self.conserved,
                    attached: self.attached,
                    read_us: self.read_us,
                }
            }

            fn write_to(&self, out: &mut Vec<u8>) {
                $write(self).write_to(out);
            }
        }
    };
}

closing!(Sweep, RowRef::Sweep);
closing!(cgroup::Sweep, cgroup::RowRef::Sweep);

impl Closing for guard::Sweep {
    fn head(&self) -> SweepHead {
        SweepHead {
            seq: self.seq,
            merged_from_seq: self.merged_from_seq,
            since_boot_ns: self.since_boot_ns,
            at_boot_ns: self.at_boot_ns,
            rows: self.rows,
            // Events have no table that could be full.
            entries: self.rows,
            max_entries: 0,
            conserved: self.conserved,
            attached: self.attached,
            read_us: self.read_us,
        }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        guard::RowRef::Sweep(self).write_to(out);
    }
}

/// The same as a line.
pub(super) struct Closed<'a, C>(pub(super) &'a C);

impl<C: Closing> Line for Closed<'_, C> {
    fn write_to(&self, out: &mut Vec<u8>) {
        self.0.write_to(out);
    }
}

/// A row that closes a sweep of a file.
#[derive(Debug, Clone)]
pub(super) enum Close {
    Xdp(Box<Sweep>),
    Cgroup(Box<cgroup::Sweep>),
    Guard(Box<guard::Sweep>),
}

impl Closing for Close {
    fn head(&self) -> SweepHead {
        match self {
            Self::Xdp(sweep) => sweep.head(),
            Self::Cgroup(sweep) => sweep.head(),
            Self::Guard(sweep) => sweep.head(),
        }
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Xdp(sweep) => Closing::write_to(&**sweep, out),
            Self::Cgroup(sweep) => Closing::write_to(&**sweep, out),
            Self::Guard(sweep) => Closing::write_to(&**sweep, out),
        }
    }
}

impl Close {
    /// Itself as the end of all sweeps since `first`, with `rows` rows.
    pub(super) fn merged(&self, first: SweepHead, rows: u64, conserved: bool) -> Self {
        let merged_from_seq = Some(first.merged_from_seq.unwrap_or(first.seq));
        let since_boot_ns = first.since_boot_ns;
        match self {
            Self::Xdp(last) => Self::Xdp(Box::new(Sweep {
                merged_from_seq,
                since_boot_ns,
                rows,
                conserved,
                ..(**last).clone()
            })),
            Self::Guard(last) => Self::Guard(Box::new(guard::Sweep {
                merged_from_seq,
                since_boot_ns,
                rows,
                conserved,
                ..(**last).clone()
            })),
            Self::Cgroup(last) => Self::Cgroup(Box::new(cgroup::Sweep {
                merged_from_seq,
                since_boot_ns,
                rows,
                conserved,
                ..(**last).clone()
            })),
        }
    }
}
