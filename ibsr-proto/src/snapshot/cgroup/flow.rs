// SPDX-License-Identifier: MIT OR Apache-2.0
//! One flow and its owner as a row. Everything that is known stands in the row itself, so that
//! no query has to join files; what is not known, or did not happen, is absent.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::words::{Device, Direction, ErrorName, Family, Hex, Learned, Protocol, Steps, TcpState};
use crate::addr::SourceAddr;
use crate::container::Container;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Cumulative counters of one remote end of one socket, as long as it stays in the same hands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow<'a> {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// Cookie of the socket, unique between two boots.
    pub socket: u64,
    /// How it began; `own` for what the socket did before it had a peer.
    pub direction: Direction,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// Address family that the socket was made with.
    pub family: Family,
    /// Local address; absent as long as it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_addr: Option<SourceAddr>,
    /// Local port; 0 as long as it has none.
    pub local_port: u16,
    /// Remote address; absent in the socket's own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_addr: Option<SourceAddr>,
    /// Remote port; absent in the socket's own row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote_port: Option<u16>,
    /// Name by which the remote address was known when the flow began, of flows that go out;
    /// absent where none was, or where the kernel evicted its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// Lower half of the owner's key when the flow began; 0 in the socket's own row.
    pub holder: u32,
    /// What happened, in the order of the bits.
    pub steps: Steps,
    /// Last state of TCP that the sensor was told; absent for UDP.
    #[serde(default, skip_serializing_if = "TcpState::is_zero")]
    pub tcp_state: TcpState,
    /// Why it failed; absent where it did not.
    #[serde(default, skip_serializing_if = "ErrorName::is_zero")]
    pub error: ErrorName,
    /// Segments towards the socket.
    pub packets_in: u64,
    /// Their bytes from the IP header on.
    pub bytes_in: u64,
    /// Segments from the socket.
    pub packets_out: u64,
    /// Their bytes from the IP header on.
    pub bytes_out: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Boot clock at the insert; identifies this life of the entry.
    pub born_boot_ns: u64,
    /// Boot clock at the last packet or step, at most one kernel tick old.
    pub last_boot_ns: u64,
    /// Boot clock at the last connect(2).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub connect_boot_ns: u64,
    /// Boot clock at the completed handshake.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub established_boot_ns: u64,
    /// Boot clock at the end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub closed_boot_ns: u64,
    /// Cookie of the network namespace.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub netns_cookie: u64,
    /// Cgroup of the socket: where it was made.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cgroup_id: u64,
    /// Its path below the mount of cgroup2; absent where it was gone when it was looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_path: Option<Cow<'a, str>>,
    /// The container that the path names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container<'a>>,
    /// Where the owner was learned.
    pub learned: Learned,
    /// Key of the owner; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner_key: Option<Hex>,
    /// The owner; absent where none is known, or where the kernel evicted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner<'a>>,
}

/// A process as the sensor met it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner<'a> {
    /// Process id in the first PID namespace.
    pub tgid: u32,
    /// Name of the process.
    pub comm: Cow<'a, str>,
    /// Real user id in the first user namespace.
    pub uid: u32,
    /// Effective user id.
    pub euid: u32,
    /// Effective capabilities, bit `CAP_*`.
    pub capabilities: Hex,
    /// Boot clock at the start of the process; with `tgid` unique between two boots.
    pub start_boot_ns: u64,
    /// Boot clock when the sensor met it.
    pub met_boot_ns: u64,
    /// Inode of the executable; 0 for threads of the kernel.
    pub exe_inode: u64,
    /// Device of the executable.
    pub exe_device: Device,
    /// Counts exec(2).
    pub exec_id: u64,
    /// Cgroup of the process.
    pub cgroup_id: u64,
    /// Its path, where it is not the cgroup of the flow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup_path: Option<Cow<'a, str>>,
    /// Process id of the parent.
    pub parent_tgid: u32,
    /// Name of the parent.
    pub parent_comm: Cow<'a, str>,
    /// Boot clock at the start of the parent.
    pub parent_start_boot_ns: u64,
}

/// What identifies one life of one flow among all rows of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct FlowLife {
    /// Cookie of the socket.
    pub socket: u64,
    /// Remote address.
    #[serde(default)]
    pub remote_addr: Option<SourceAddr>,
    /// Remote port.
    #[serde(default)]
    pub remote_port: Option<u16>,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// In whose hands.
    pub holder: u32,
    /// Boot clock at the insert.
    pub born_boot_ns: u64,
}
