// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rows of a `cg-` scope, schema `ibsr/1`: the same grammar as [`super::v1`], with `flow`, `name`,
//! `behaviour`, `app` and `zone` rows in place of `source` rows, and with a header and a `sweep` row of its own.
//!
//! A file has rows of one scope, and its header says which: `cg-` scopes are read with
//! [`Row::from_line`] of this module, others with that of [`super::v1`].

mod behaviour;
mod flow;
mod name;
mod totals;
pub mod words;
mod zone;

use serde::{Deserialize, Serialize};

use super::line::{self, TypeOnly};
use super::v1::{Footer, Gap, RowError};
use crate::addr::SourceAddr;

pub use behaviour::{App, AppLife, Behaviour, BehaviourLife};
pub use flow::{Flow, FlowLife, Owner};
pub use name::{Name, NameLife};
pub use totals::{BehaviourTotals, DnsTotals, LawError, Totals};
pub use zone::{Zone, ZoneLife};

/// First line of a segment: what was observed, by what, how.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Resolvers that names are learned from; none for whoever was asked.
    pub resolvers: Vec<SourceAddr>,
    /// UDP ports that are read as DNS.
    pub dns_ports: Vec<u16>,
    /// What of behaviour is flagged.
    pub limits: Limits,
    /// Destinations of the baseline; 0 where there is none.
    pub baseline_entries: u32,
}

/// What of behaviour is flagged.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Length of a window.
    pub window_ms: u64,
    /// Coefficient of variation up to which intervals are regular, in percent.
    pub regular_percent: u32,
    /// Intervals that a batch must have to be judged.
    pub regular_count: u32,
    /// Bytes of an application in a window to public addresses.
    pub volume_out_bytes: u64,
    /// Internal peers of an application in a window.
    pub internal_peers: u32,
    /// Failed connects of an application in a window.
    pub failed_connects: u64,
    /// Names of one zone that an application asks for in a window.
    pub zone_names: u32,
    /// Their bytes in front of the zone.
    pub zone_name_bytes: u64,
    /// Zones in which an application asks for names that do not exist, in a window.
    pub nxdomain_zones: u32,
}

/// Closes a sweep: the rows of tables above it, back to the previous `sweep` row, belong to it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Rows of tables in this sweep: flows, names, behaviours, applications, zones.
    pub rows: u64,
    /// Entries in the table of flows, listed or not.
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
    /// Flows, and addresses that were resolved, of which the kernel had evicted the text of their
    /// name; the latter have no row.
    pub names_missing: u64,
    /// Connections in rows of behaviour that the kernel evicted.
    pub behaviour_evicted: u64,
    /// Questions in rows of zones that the kernel evicted.
    pub zone_evicted: u64,
    /// Rows of zones of which the kernel had evicted the text.
    pub zones_missing: u64,
    /// Totals, read after the flows.
    pub totals: Totals,
    /// Those of DNS.
    pub dns: DnsTotals,
    /// Those of behaviour, read after its rows.
    pub behaviour: BehaviourTotals,
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
    /// One name.
    Name(&'a Name<'a>),
    /// One application and destination.
    Behaviour(&'a Behaviour<'a>),
    /// One application.
    App(&'a App),
    /// One application and zone.
    Zone(&'a Zone<'a>),
}

impl RowRef<'_> {
    /// Appends the row and a line feed to `out`. Allocates only when `out` must grow.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        line::write(self, out);
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
    /// One name.
    Name(Box<Name<'static>>),
    /// One application and destination.
    Behaviour(Box<Behaviour<'static>>),
    /// One application.
    App(Box<App>),
    /// One application and zone.
    Zone(Box<Zone<'static>>),
    /// A gap.
    Gap(Gap),
    /// Last line.
    Footer(Footer),
    /// A type that this build does not know.
    Unknown(String),
}

impl Row {
    /// To write a row of a table again; `None` for all others.
    #[must_use]
    pub fn table_row(&self) -> Option<RowRef<'_>> {
        match self {
            Self::Flow(row) => Some(RowRef::Flow(row)),
            Self::Name(row) => Some(RowRef::Name(row)),
            Self::Behaviour(row) => Some(RowRef::Behaviour(row)),
            Self::App(row) => Some(RowRef::App(row)),
            Self::Zone(row) => Some(RowRef::Zone(row)),
            Self::Header(_)
            | Self::Sweep(_)
            | Self::Gap(_)
            | Self::Footer(_)
            | Self::Unknown(_) => None,
        }
    }

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
            "name" => Self::Name(serde_json::from_slice(line)?),
            "behaviour" => Self::Behaviour(serde_json::from_slice(line)?),
            "app" => Self::App(serde_json::from_slice(line)?),
            "zone" => Self::Zone(serde_json::from_slice(line)?),
            "gap" => Self::Gap(serde_json::from_slice(line)?),
            "footer" => Self::Footer(serde_json::from_slice(line)?),
            other => Self::Unknown(other.to_owned()),
        })
    }
}

#[cfg(test)]
mod samples;
#[cfg(test)]
pub(super) mod tests;
