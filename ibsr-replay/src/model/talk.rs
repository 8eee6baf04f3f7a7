// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who talked to whom, as tables.

use ibsr_proto::addr::SourceAddr;
use serde::Serialize;

/// What the sensors of cgroups saw.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Talks {
    /// Rows of flows that were read.
    pub rows: u64,
    /// Rows that were not used, because they cannot be true or cannot be read.
    pub rows_rejected: u64,
    /// Packets of flows that a kernel evicted before they were read.
    pub evicted_packets: u64,
    /// Everything together.
    pub total: Passed,
    /// The part of applications that are in no list: more than the fold keeps.
    pub apps_left_out: Passed,
    /// Applications that are known.
    pub apps_known: u64,
    /// Those with the most bytes, at most [`super::MAX_LISTED`].
    pub apps: Vec<AppRow>,
    /// The part of pairs that are in no list: more than the fold keeps of an application.
    pub pairs_left_out: Passed,
    /// Pairs of an application and a destination that are known.
    pub pairs_known: u64,
    /// Those with the most bytes, at most [`super::MAX_LISTED`].
    pub pairs: Vec<PairRow>,
    /// What was measured of behaviour and passed a limit, at most [`super::MAX_LISTED`].
    pub findings: Vec<FindingRow>,
    /// Whether there are more.
    pub findings_cut: bool,
}

/// A measurement that passed a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingRow {
    /// What was measured, a word of [`ibsr_proto::cgroup_behaviour_abi::flag::ALL`].
    pub measured: String,
    /// Host label.
    pub host: String,
    /// Name of a process of that executable; none where no flow of it is known.
    pub comm: Option<String>,
    /// Device of the executable as `major:minor`.
    pub exe_device: String,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// DNS zone that it asks in, `#` and a key where the kernel evicted its text; none for what is
    /// of no zone.
    pub zone: Option<String>,
    /// Destination; none for what is of a zone or the application as a whole, and so are the next
    /// three.
    pub addr: Option<SourceAddr>,
    /// Name of the destination.
    pub name: Option<String>,
    /// Its port.
    pub port: Option<u16>,
    /// `tcp`, `udp`, or a number.
    pub protocol: Option<String>,
    /// Connections begun.
    pub connections: u64,
    /// TCP connections that came to nothing.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Mean of the last intervals between connections.
    pub interval_mean_ns: u64,
    /// Their coefficient of variation in millionths; none below two.
    pub interval_cv_ppm: Option<u64>,
    /// Bytes sent in the last window to public addresses.
    pub window_bytes_out: u64,
    /// TCP connections that came to nothing in it.
    pub window_failed: u64,
    /// Internal peers in it, estimated.
    pub window_internal_peers: u32,
    /// Questions asked in the zone.
    pub questions: u64,
    /// Different names of the zone in the last window, estimated.
    pub window_names: u32,
    /// Their bytes in front of the zone.
    pub window_name_bytes: u64,
    /// Zones in which a name did not exist in the last window, estimated.
    pub window_nxdomain_zones: u32,
    /// When the row's last new flag was set.
    pub flagged_unix_ms: u64,
    /// The last change of the row.
    pub last_unix_ms: u64,
    /// File that holds the newest row.
    pub file: String,
    /// Its line there, from 1.
    pub line: u64,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppRow {
    /// Who.
    #[serde(flatten)]
    pub app: AppName,
    /// Destinations that it went to and that are known.
    pub destinations: u64,
    /// Peers that came and that are known, and those of which nobody knows how it began.
    pub clients: u64,
    /// What passed.
    #[serde(flatten)]
    pub passed: Passed,
}

/// An application and its peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PairRow {
    /// Who.
    #[serde(flatten)]
    pub app: AppName,
    /// `outgoing`, `incoming`, or `unknown` for what is older than the sensor.
    pub direction: String,
    /// `tcp`, `udp`, or a number.
    pub protocol: String,
    /// Remote address.
    pub addr: SourceAddr,
    /// Name by which it was reached; none where none is known.
    pub name: Option<String>,
    /// Port of the service: the remote one, the local one of what came in.
    pub port: u16,
    /// What passed.
    #[serde(flatten)]
    pub passed: Passed,
}

/// Which application.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct AppName {
    /// Host label.
    pub host: String,
    /// Name of the process; none where no owner is known.
    pub comm: Option<String>,
    /// Real user id.
    pub uid: Option<u32>,
    /// `runtime:id` of a container, else the path of the cgroup; empty where none is known.
    pub place: String,
    /// Device of the executable as `major:minor`.
    pub exe_device: Option<String>,
    /// Inode of the executable.
    pub exe_inode: Option<u64>,
}

/// What passed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Passed {
    /// Flows that began.
    pub connections: u64,
    /// Of these, handshakes completed.
    pub established: u64,
    /// Flows that ended with an error.
    pub failed: u64,
    /// The same by error, in the order of its number.
    pub errors: Vec<ErrorRow>,
    /// Segments towards the application.
    pub packets_in: u64,
    /// Their bytes from the IP header on.
    pub bytes_in: u64,
    /// Segments from the application.
    pub packets_out: u64,
    /// Their bytes from the IP header on.
    pub bytes_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// When the first flow began.
    pub first_unix_ms: Option<u64>,
    /// The last packet or step.
    pub last_unix_ms: Option<u64>,
}

impl Passed {
    /// Both ways.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes_in.saturating_add(self.bytes_out)
    }
}

/// An error and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorRow {
    /// Name of the errno, or its number; `0` where it is not known.
    pub error: String,
    /// Flows that ended with it.
    pub count: u64,
}
