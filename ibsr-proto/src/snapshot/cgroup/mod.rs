// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of a `cg-` scope, schema `ibsr/1`: the same grammar as [`super::v1`], with `flow` rows
//! in place of `source` rows, and with a header and a `sweep` row of its own.
//!
//! A file has rows of one scope, and its header says which: `cg-` scopes are read with
//! [`Row::from_line`] of this module, others with that of [`super::v1`].

mod flow;
mod totals;
pub mod words;

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::v1::{Footer, Gap, RowError};

pub use flow::{Flow, FlowLife, Owner};
pub use totals::{LawError, Totals};

/// First line of a segment: what was observed, by what, how.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`super::SCHEMA`].
    pub schema: String,
    /// Program and version that wrote the file.
    pub tool: String,
    /// Host label.
    pub host: String,
    /// Boot id, as the kernel prints it.
    pub boot_id: String,
    /// `cg-<name>`.
    pub scope: String,
    /// Cgroup that the sensor is attached to.
    pub cgroup_id: u64,
    /// Its path at the attachment.
    pub cgroup_path: String,
    /// 16 hexadecimal digits, new for each new set of maps.
    pub epoch: String,
    /// Boot clock at the start of the epoch.
    pub attached_boot_ns: u64,
    /// Digest of all programs that were proven and loaded, hexadecimal.
    pub programs_sha256: String,
    /// `plain`, `frozen` or `exclusive`.
    pub evidence: String,
    /// What this kernel could not do for the sensor.
    pub missing: Vec<String>,
    /// Configured time between sweeps; the real one is in each sweep. 0 for a single sweep.
    pub period_ms: u64,
    /// Capacity of the table of flows, and of that of owners.
    pub max_flows: u32,
}

/// Closes a sweep: the flow rows above it, back to the previous `sweep` row, belong to it.
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
    /// Flow rows in this sweep.
    pub rows: u64,
    /// Entries in the table, listed or not.
    pub entries: u64,
    /// Capacity of the table.
    pub max_entries: u64,
    /// Packets over all entries, listed or not, both ways.
    pub attributed: u64,
    /// Their bytes.
    pub attributed_bytes: u64,
    /// Packets of flows that the kernel evicted: `tracked_in + tracked_out - attributed -
    /// insert_failed`, so it holds what was tracked during the read too.
    pub evicted: u64,
    /// The same for bytes.
    pub evicted_bytes: u64,
    /// Packets tracked between the first and the last read of this sweep.
    pub during_read: u64,
    /// Whether the law held, for packets and for bytes.
    pub conserved: bool,
    /// Rows whose owner the kernel had evicted.
    pub owners_missing: u64,
    /// Rows whose cgroup was gone when its path was looked for.
    pub paths_missing: u64,
    /// Totals, read after the flows.
    pub totals: Totals,
    /// Whether the sensor was attached to its cgroup.
    pub attached: bool,
    /// Time spent reading the maps.
    pub read_us: u64,
}

/// A row to write.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum RowRef<'a> {
    /// First line.
    Header(&'a Header),
    /// Closes a sweep.
    Sweep(&'a Sweep),
    /// One flow.
    Flow(&'a Flow<'a>),
}

impl RowRef<'_> {
    /// Appends the row and a line feed to `out`. Allocates only when `out` must grow.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(&mut *out, self).expect("rows hold only what JSON can hold");
        out.push(b'\n');
    }
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// First line.
    Header(Box<Header>),
    /// Closes a sweep.
    Sweep(Box<Sweep>),
    /// One flow.
    Flow(Box<Flow<'static>>),
    /// A gap.
    Gap(Gap),
    /// Last line.
    Footer(Footer),
    /// A type that this build does not know.
    Unknown(String),
}

#[derive(Deserialize)]
struct TypeOnly<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
}

impl Row {
    /// Reads one line, with or without its line feed.
    ///
    /// # Errors
    /// [`RowError`] with the column, for the caller to prefix with file and line.
    pub fn from_line(line: &[u8]) -> Result<Self, RowError> {
        let TypeOnly { kind } = serde_json::from_slice(line)?;
        Ok(match kind.as_ref() {
            "header" => Self::Header(serde_json::from_slice(line)?),
            "sweep" => Self::Sweep(serde_json::from_slice(line)?),
            "flow" => Self::Flow(serde_json::from_slice(line)?),
            "gap" => Self::Gap(serde_json::from_slice(line)?),
            "footer" => Self::Footer(serde_json::from_slice(line)?),
            other => Self::Unknown(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod tests;
