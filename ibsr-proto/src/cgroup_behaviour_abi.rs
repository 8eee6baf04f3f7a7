// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_cgroup_behaviour_abi.h`, made and compared like [`crate::abi`].

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout, hash_layouts, sum_words};
use crate::cgroup_zone_abi::{ZONE_BITMAP_BITS, Zone, ZoneKey};
use crate::linear_counting;

/// `IBSR_DEFAULT_MAX_BEHAVIOURS`.
pub const DEFAULT_MAX_BEHAVIOURS: u32 = 20_000;
/// `IBSR_DEFAULT_MAX_APPS`.
pub const DEFAULT_MAX_APPS: u32 = 4_000;
/// `IBSR_MAX_BASELINE`.
pub const MAX_BASELINE: u32 = 65_536;
/// `IBSR_INTERVAL_SHIFT`: an interval is counted in units of 2 to this power, in nanoseconds.
pub const INTERVAL_SHIFT: u32 = 22;
/// `IBSR_INTERVAL_LIMIT`: intervals of this many units and more are not measured.
pub const INTERVAL_LIMIT: u32 = 1 << 20;
/// `IBSR_BATCH_INTERVALS`: intervals of a full batch.
pub const BATCH_INTERVALS: u32 = 32;
/// `IBSR_CV_PERCENT_LIMIT`.
pub const CV_PERCENT_LIMIT: u32 = 50;
/// `IBSR_PEER_BITMAP_BITS`.
pub const PEER_BITMAP_BITS: usize = 1_024;

abi_struct! {
    /// Key of the table of applications: an executable.
    #[derive(Default, Hash, PartialOrd, Ord)]
    "ibsr_app_key" => AppKey {
        /// Inode of the executable.
        exe_inode: u64,
        /// Device of the executable, `major << 20 | minor`.
        exe_device: u32,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// Key of the table of behaviour: one application and one destination.
    #[derive(Default, Hash, PartialOrd, Ord)]
    "ibsr_behaviour_key" => BehaviourKey {
        /// Inode of the executable.
        exe_inode: u64,
        /// Device of the executable, `major << 20 | minor`.
        exe_device: u32,
        /// Destination port, host order.
        remote_port: u16,
        /// `IPPROTO_TCP` or `IPPROTO_UDP`.
        protocol: u16,
        /// Destination in network order, IPv4 mapped.
        remote_addr: [u8; 16],
    }
}

abi_struct! {
    /// Key of the baseline: application and port, then a prefix of the address.
    #[derive(Default)]
    "ibsr_baseline_key" => BaselineKey {
        /// 128 and the length of the address's prefix.
        prefix_bits: u32,
        /// As [`BehaviourKey::exe_inode`] stands in memory.
        exe_inode: [u8; 8],
        /// As [`BehaviourKey::exe_device`] stands in memory.
        exe_device: [u8; 4],
        /// As [`BehaviourKey::remote_port`] stands in memory.
        remote_port: [u8; 2],
        /// As [`BehaviourKey::protocol`] stands in memory.
        protocol: [u8; 2],
        /// Destination in network order, IPv4 mapped.
        remote_addr: [u8; 16],
    }
}

abi_struct! {
    /// Value of the table of behaviour.
    #[derive(Default)]
    "ibsr_behaviour" => Behaviour {
        /// Boot clock at the first connection.
        born_boot_ns: u64,
        /// Boot clock when anything changed for the last time.
        last_boot_ns: u64,
        /// Boot clock at the last connection.
        last_connect_boot_ns: u64,
        /// Boot clock when a flag was new for the last time; 0 for never.
        flagged_boot_ns: u64,
        /// Connections begun.
        connects: u64,
        /// TCP connections that got as far as a SYN and were refused or given up.
        failed: u64,
        /// TCP connections that were refused before a SYN, known at their close.
        unsent: u64,
        /// Bytes sent, noted once a second and at the end of a flow.
        bytes_out: u64,
        /// Bytes received, in the same way.
        bytes_in: u64,
        /// Intervals between connections that were measured.
        intervals: u64,
        /// Intervals that were longer than the range.
        intervals_long: u64,
        /// Sum of the intervals of the batch under way, in units.
        batch_sum: u64,
        /// Sum of their squares.
        batch_square_sum: u64,
        /// Their number.
        batch_count: u32,
        /// The shortest of them, in units.
        batch_min: u32,
        /// The longest of them, in units.
        batch_max: u32,
        /// What was measured, bits of [`flag`].
        flags: u32,
    }
}

abi_struct! {
    /// Value of the table of applications; `window_` is since the window began.
    "ibsr_app_window" => AppWindow {
        /// Boot time of the window's begin over the length of a window.
        window: u64,
        /// Boot clock when anything changed for the last time.
        last_boot_ns: u64,
        /// Boot clock when a flag was new for the last time; 0 for never.
        flagged_boot_ns: u64,
        /// Connections begun.
        connects: u64,
        /// TCP connections that came to nothing.
        failed: u64,
        /// Bytes sent.
        bytes_out: u64,
        /// Bytes sent in the window to what is neither internal nor near.
        window_bytes_out: u64,
        /// TCP connections that came to nothing in the window.
        window_failed: u64,
        /// Answers that a name does not exist.
        nxdomain: u64,
        /// Bits that are set in `peer_bitmap`.
        window_peer_bits: u32,
        /// What was measured, bits of [`flag`].
        flags: u32,
        /// A bit for each internal peer of the window, chosen by a hash.
        peer_bitmap: [u64; PEER_BITMAP_BITS / 64],
        /// A bit for each zone of the window in which a name did not exist, chosen by a hash.
        nxdomain_bitmap: [u64; ZONE_BITMAP_BITS / 64],
        /// Bits that are set in `nxdomain_bitmap`.
        window_nxdomain_bits: u32,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// Totals of one CPU.
    #[derive(Default)]
    "ibsr_behaviour_totals" => BehaviourTotals {
        /// Connections of known applications.
        connects: u64,
        /// Of those, without an entry.
        connects_lost: u64,
        /// Connections of unknown applications.
        no_owner: u64,
        /// Bytes sent, as noted.
        bytes_out: u64,
        /// Bytes received, as noted.
        bytes_in: u64,
        /// Noted bytes, both ways, whose row was evicted before.
        bytes_lost: u64,
        /// Rows of behaviour made.
        rows_inserted: u64,
        /// Applications made.
        apps_inserted: u64,
        /// Questions of known applications.
        zone_questions: u64,
        /// Of those, without an entry.
        zone_lost: u64,
        /// Questions of unknown applications.
        zone_no_owner: u64,
        /// Noted bytes, both ways, of a name whose text was evicted before.
        zone_bytes_lost: u64,
        /// Zones made.
        zones_inserted: u64,
    }
}

/// Every struct of this ABI and of that of zones, in the headers' order.
pub const BEHAVIOUR_LAYOUTS: [Layout; 8] = [
    AppKey::LAYOUT,
    BehaviourKey::LAYOUT,
    BaselineKey::LAYOUT,
    Behaviour::LAYOUT,
    AppWindow::LAYOUT,
    BehaviourTotals::LAYOUT,
    ZoneKey::LAYOUT,
    Zone::LAYOUT,
];

/// FNV-1a (64 bit) over names, offsets and sizes of every field of [`BEHAVIOUR_LAYOUTS`].
pub const BEHAVIOUR_ABI_HASH: u64 = hash_layouts(&BEHAVIOUR_LAYOUTS);

/// `enum ibsr_behaviour_flag`: what was measured, one bit each.
pub mod flag {
    /// A full enough batch of intervals varies less than the limit.
    pub const REGULAR_INTERVALS: u32 = 0x1;
    /// There is a baseline and the destination is not in it.
    pub const NOT_IN_BASELINE: u32 = 0x2;
    /// An application sent more than the limit in a window, or did so to one zone.
    pub const VOLUME_OUT: u32 = 0x4;
    /// An application connected to more internal peers than the limit in a window.
    pub const MANY_INTERNAL_PEERS: u32 = 0x8;
    /// More connects of an application than the limit came to nothing in a window.
    pub const MANY_FAILED_CONNECTS: u32 = 0x10;
    /// The destination is in the baseline; silences [`REGULAR_INTERVALS`].
    pub const IN_BASELINE: u32 = 0x20;
    /// An application asked for more names of a zone than the limit in a window.
    pub const MANY_NAMES: u32 = 0x40;
    /// The names of a zone that an application asked for in a window are longer than the limit,
    /// all together.
    pub const NAME_VOLUME: u32 = 0x80;
    /// An application asked for names that do not exist, in more zones than the limit, in a window.
    pub const MANY_NXDOMAIN_ZONES: u32 = 0x100;

    /// All of them with their names, lowest first.
    pub const ALL: [(u32, &str); 9] = [
        (REGULAR_INTERVALS, "regular_intervals"),
        (NOT_IN_BASELINE, "not_in_baseline"),
        (VOLUME_OUT, "volume_out"),
        (MANY_INTERNAL_PEERS, "many_internal_peers"),
        (MANY_FAILED_CONNECTS, "many_failed_connects"),
        (IN_BASELINE, "in_baseline"),
        (MANY_NAMES, "many_names"),
        (NAME_VOLUME, "name_volume"),
        (MANY_NXDOMAIN_ZONES, "many_nxdomain_zones"),
    ];
}

/// Most internal peers that a limit can name: beyond it the map of bits is nearly full.
pub const MAX_INTERNAL_PEERS: u32 = 4_000;

impl BehaviourTotals {
    /// Sum over CPUs.
    #[must_use]
    pub fn sum(cpus: &[Self]) -> Self {
        const WORDS: usize = size_of::<BehaviourTotals>() / size_of::<u64>();
        let words = cpus.iter().map(|cpu| -> [u64; WORDS] { zerocopy::transmute!(*cpu) });
        zerocopy::transmute!(sum_words(words))
    }
}

impl Behaviour {
    /// Coefficient of variation of the batch under way; `None` before its second interval.
    #[must_use]
    pub fn batch_cv(&self) -> Option<f64> {
        if self.batch_count < 2 || self.batch_sum == 0 {
            return None;
        }
        let count = f64::from(self.batch_count);
        let mean = self.batch_sum as f64 / count;
        let variance = (self.batch_square_sum as f64 / count - mean * mean).max(0.0);
        Some(variance.sqrt() / mean)
    }
}

impl AppWindow {
    /// Internal peers of the window by linear counting: the standard error is below 3 % from 100
    /// to 1,500 peers. Infinite when every bit is set.
    #[must_use]
    pub fn internal_peers(&self) -> f64 {
        linear_counting::estimate(&self.peer_bitmap)
    }

    /// Zones of the window in which it asked for what does not exist, in the same way: the standard
    /// error is below 8 % from 25 to 500 zones.
    #[must_use]
    pub fn nxdomain_zones(&self) -> f64 {
        linear_counting::estimate(&self.nxdomain_bitmap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_intervals_do_not_vary() {
        let mut row = Behaviour { batch_count: 1, batch_sum: 5, ..Behaviour::default() };
        assert_eq!(row.batch_cv(), None);
        (row.batch_count, row.batch_sum, row.batch_square_sum) = (4, 20, 100);
        assert_eq!(row.batch_cv(), Some(0.0));
        // 2, 2, 8, 8: mean 5, deviation 3.
        row.batch_square_sum = 136;
        assert_eq!(row.batch_cv(), Some(0.6));
    }

    #[test]
    fn every_flag_has_a_bit_of_its_own() {
        let all = flag::ALL.iter().fold(0, |all, (bit, name)| {
            assert_eq!(all & bit, 0, "{name}");
            all | bit
        });
        assert_eq!(all.count_ones() as usize, flag::ALL.len());
    }
}
