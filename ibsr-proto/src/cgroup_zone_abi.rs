// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_cgroup_zone_abi.h`, made and compared like [`crate::abi`]. Its
//! hash is part of [`crate::cgroup_behaviour_abi::BEHAVIOUR_ABI_HASH`].

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout};
use crate::linear_counting;

/// `IBSR_DEFAULT_MAX_ZONES`.
pub const DEFAULT_MAX_ZONES: u32 = 4_096;
/// `IBSR_ZONE_LABELS`: labels of a zone.
pub const ZONE_LABELS: usize = 2;
/// `IBSR_NAME_BITMAP_BITS`.
pub const NAME_BITMAP_BITS: usize = 512;
/// `IBSR_ZONE_BITMAP_BITS`.
pub const ZONE_BITMAP_BITS: usize = 256;
/// Most names of a zone that a limit can name: beyond it the map of bits is nearly full.
pub const MAX_ZONE_NAMES: u32 = 2_000;
/// Most zones that a limit can name, in the same way.
pub const MAX_NXDOMAIN_ZONES: u32 = 1_000;

abi_struct! {
    /// Key of the table of zones: one application and one zone.
    #[derive(Default, Hash, PartialOrd, Ord)]
    "ibsr_zone_key" => ZoneKey {
        /// Inode of the executable.
        exe_inode: u64,
        /// Key of the zone's text.
        zone: u64,
        /// Device of the executable, `major << 20 | minor`.
        exe_device: u32,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// Value of the table of zones; `window_` is since the window began.
    #[derive(Default)]
    "ibsr_zone" => Zone {
        /// Boot clock at the first question, or the first bytes.
        born_boot_ns: u64,
        /// Boot clock when anything changed for the last time.
        last_boot_ns: u64,
        /// Boot clock when a flag was new for the last time; 0 for never.
        flagged_boot_ns: u64,
        /// Questions asked.
        questions: u64,
        /// Of those, answered without an error.
        answers: u64,
        /// Of those, answered that the name does not exist.
        nxdomain: u64,
        /// Bytes of the names asked for, as on the wire.
        name_bytes: u64,
        /// Labels of the names asked for.
        labels: u64,
        /// Bytes sent to addresses that were found by such a name, noted as in behaviour.
        bytes_out: u64,
        /// Bytes received from them.
        bytes_in: u64,
        /// Boot time of the window's begin over the length of a window.
        window: u64,
        /// Bytes in front of the zone, of names of the window that set a bit.
        window_name_bytes: u64,
        /// Bytes sent in the window to what is neither internal nor near.
        window_bytes_out: u64,
        /// Bits that are set in `name_bitmap`.
        window_name_bits: u32,
        /// What was measured, bits of [`crate::cgroup_behaviour_abi::flag`].
        flags: u32,
        /// A bit for each name of the window, chosen by a hash.
        name_bitmap: [u64; NAME_BITMAP_BITS / 64],
    }
}

impl Zone {
    /// Different names of the window: the standard error is below 5 % from 100 to 1,000 names.
    /// Infinite when every bit is set.
    #[must_use]
    pub fn names(&self) -> f64 {
        linear_counting::estimate(&self.name_bitmap)
    }
}
