// SPDX-License-Identifier: MIT OR Apache-2.0
//! What was measured of the names that applications ask for, by zone.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::words::{Device, Flags, Hex};

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// One application and one zone, the last two labels of a name; cumulative since `born_boot_ns`,
/// `window_` is of the window under way when anything last happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Zone<'a> {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// The zone as zone files write it; absent where the kernel evicted its text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Cow<'a, str>>,
    /// Key of the zone in the kernel: another one for each load of the sensor.
    pub zone_key: Hex,
    /// What was measured; once set, a flag stays.
    pub flags: Flags,
    /// Boot clock at the first question, or at the first bytes.
    pub born_boot_ns: u64,
    /// Boot clock when anything changed for the last time.
    pub last_boot_ns: u64,
    /// Boot clock when a flag was new for the last time; absent where none ever was.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub flagged_boot_ns: u64,
    /// Questions asked.
    pub questions: u64,
    /// Of those, answered without an error.
    pub answers: u64,
    /// Of those, answered that the name does not exist.
    pub nxdomain: u64,
    /// Bytes of the names asked for, as on the wire; over `questions` it is their mean.
    pub name_bytes: u64,
    /// Labels of the names asked for.
    pub labels: u64,
    /// Bytes sent to addresses that were found by a name of the zone, noted once a second and at
    /// the end of a flow.
    pub bytes_out: u64,
    /// Bytes received from them, in the same way.
    pub bytes_in: u64,
    /// Boot clock at the begin of the window.
    pub window_boot_ns: u64,
    /// Different names of the window, estimated: the standard error is below 5 % from 100 to
    /// 1,000.
    pub window_names: u32,
    /// Their bytes in front of the zone: less than there were, by those that the estimate adds.
    pub window_name_bytes: u64,
    /// Bytes sent in the window to public addresses of the zone.
    pub window_bytes_out: u64,
}

/// What identifies one life of a row of a zone among all rows of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct ZoneLife {
    /// Device of the executable.
    pub exe_device: Device,
    /// Inode of the executable.
    pub exe_inode: u64,
    /// Key of the zone in the kernel.
    pub zone_key: Hex,
    /// Boot clock when the row was made.
    pub born_boot_ns: u64,
}
