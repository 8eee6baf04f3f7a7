// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured of applications as rows. An application is an executable: all processes
//! that run it are one. Flags say what was measured, never what it may mean.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::words::{Device, Flags, Protocol};
use crate::addr::SourceAddr;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// One application and one destination, cumulative since `born_boot_ns`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Behaviour<'a> {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// Destination.
    pub remote_addr: SourceAddr,
    /// Destination port.
    pub remote_port: u16,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// Name that the address has at the sweep; absent where none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// What was measured; once set, a flag stays.
    pub flags: Flags,
    /// Boot clock at the first connection.
    pub born_boot_ns: u64,
    /// Boot clock when anything changed for the last time.
    pub last_boot_ns: u64,
    /// Boot clock at the last connection.
    pub last_connect_boot_ns: u64,
    /// Boot clock when a flag was new for the last time; absent where none ever was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged_boot_ns: u64,
    /// Connections begun.
    pub connects: u64,
    /// TCP connections that got as far as a SYN and were refused or given up.
    pub failed: u64,
    /// TCP connections that were refused before a SYN.
    pub unsent: u64,
    /// Bytes sent, noted once a second and at the end of a flow.
    pub bytes_out: u64,
    /// Bytes received, in the same way.
    pub bytes_in: u64,
    /// Intervals between connections that were measured.
    pub intervals: u64,
    /// Intervals that were longer than 73 minutes, which are not measured.
    pub intervals_long: u64,
    /// Intervals of the batch under way, at most 32.
    pub batch_intervals: u32,
    /// Their mean, a multiple of 4.19 ms over their number.
    pub batch_mean_ns: u64,
    /// The shortest, in units of 4.19 ms.
    pub batch_min_ns: u64,
    /// The longest, in the same.
    pub batch_max_ns: u64,
    /// Their coefficient of variation in millionths; absent below two intervals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_cv_ppm: Option<u64>,
}

/// One application; `window_` is of the window under way when it last did anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct App {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// What was measured; once set, a flag stays.
    pub flags: Flags,
    /// Boot clock when anything changed for the last time.
    pub last_boot_ns: u64,
    /// Boot clock when a flag was new for the last time; absent where none ever was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged_boot_ns: u64,
    /// Connections begun.
    pub connects: u64,
    /// TCP connections that came to nothing.
    pub failed: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Boot clock at the begin of the window.
    pub window_boot_ns: u64,
    /// Bytes sent in the window to public addresses.
    pub window_bytes_out: u64,
    /// TCP connections that came to nothing in the window.
    pub window_failed: u64,
    /// Internal peers of the window, estimated: the standard error is below 3 % from 100 to
    /// 1,500.
    pub window_internal_peers: u32,
    /// Answers that a name does not exist.
    pub nxdomain: u64,
    /// Zones of the window with such an answer, estimated: the standard error is below 8 % from 25
    /// to 500.
    pub window_nxdomain_zones: u32,
}

/// What identifies one life of a row of behaviour among all rows of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct BehaviourLife {
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// Destination.
    pub remote_addr: SourceAddr,
    /// Destination port.
    pub remote_port: u16,
    /// Protocol above IP.
    pub protocol: Protocol,
    /// Boot clock at the first connection.
    pub born_boot_ns: u64,
}

/// The same of an application. Its row may be evicted and made anew: then its counters begin at
/// zero, which the merged row does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct AppLife {
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
}
