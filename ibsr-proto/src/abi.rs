// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_abi.h`: the same structs, the same names, the same order.
//!
//! Each struct is listed once; the macro makes the type and its field table from that list.
//! The tables are compared with the BTF of every built object by a test, and their hash
//! travels in `meta`, so a reader refuses maps that were laid out by another build.

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

#[macro_use]
mod kinds;
mod meta;
mod sets;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

pub use kinds::{Evidence, ProofKind, Sensor, Table, XdpMode};
pub use meta::MetaError;
pub(crate) use meta::boot_id_text;
pub use sets::set_count;

/// `IBSR_ABI_VERSION`.
pub const ABI_VERSION: u32 = 2;
/// `IBSR_META_MAGIC`.
pub const META_MAGIC: u32 = 0x5253_4249;
/// `IBSR_PORT_BYTES`: one bit for each of 65,536 ports.
pub const PORT_BYTES: usize = 8192;
/// `IBSR_MAX_VLANS`.
pub const MAX_VLANS: usize = 2;
/// `IBSR_MAX_IPV6_EXT`.
pub const MAX_IPV6_EXT: usize = 8;
/// `IBSR_DEFAULT_MAX_SOURCES`.
pub const DEFAULT_MAX_SOURCES: u32 = 100_000;
/// `IBSR_PENDING_SLOTS`.
pub const PENDING_SLOTS: u32 = 262_144;
/// `IBSR_DOOR_SLOTS`.
pub const DOOR_SLOTS: u32 = 524_288;
/// `IBSR_SET_WAYS`.
pub const SET_WAYS: usize = 8;
/// `IBSR_WAYS_PER_SOURCE`.
pub const WAYS_PER_SOURCE: u32 = 2;
/// `IBSR_PORT_CELLS`: one more cell takes the ports that found theirs taken.
pub const PORT_CELLS: usize = 256;

/// One field of an ABI struct.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// Name, the same in C and Rust.
    pub name: &'static str,
    /// Bytes from the start of the struct.
    pub offset: usize,
    /// Size in bytes.
    pub size: usize,
}

/// The layout of an ABI struct.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Name of the C struct.
    pub c_name: &'static str,
    /// Size in bytes, without padding.
    pub size: usize,
    /// Fields in order.
    pub fields: &'static [Field],
}

macro_rules! abi_struct {
    (
        $(#[$meta:meta])*
        $c_name:literal => $name:ident { $( $(#[$field_meta:meta])* $field:ident: $type:ty, )* }
    ) => {
        $(#[$meta])*
        #[repr(C)]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        pub struct $name { $( $(#[$field_meta])* pub $field: $type, )* }

        impl $name {
            /// Field table, for comparison with BTF and for the ABI hash.
            pub const LAYOUT: Layout = Layout {
                c_name: $c_name,
                size: size_of::<Self>(),
                fields: &[ $( Field {
                    name: stringify!($field),
                    offset: std::mem::offset_of!(Self, $field),
                    size: size_of::<$type>(),
                }, )* ],
            };
        }
    };
}

abi_struct! {
    /// Key of the source table: one remote address towards one local port.
    #[derive(Default, Hash, PartialOrd, Ord)]
    "ibsr_source_key" => SourceKey {
        /// Address in network order, IPv4 mapped.
        addr: [u8; 16],
        /// Destination port, host order.
        dst_port: u16,
        /// Zero.
        pad: u16,
    }
}

abi_struct! {
    /// Value of the source table: cumulative counters since `born_boot_ns`.
    #[derive(Default)]
    "ibsr_source" => SourceCounts {
        /// SYN without ACK.
        syn: u64,
        /// Any segment with ACK.
        ack: u64,
        /// Completed handshakes as seen from ingress.
        handshakes: u64,
        /// Any segment with FIN.
        fin: u64,
        /// Any segment with RST.
        rst: u64,
        /// Frames.
        packets: u64,
        /// Frame bytes without FCS.
        bytes: u64,
        /// Boot clock at the insert, exact.
        born_boot_ns: u64,
        /// Boot clock at the last packet, at most [`TICK_BOUND_NS`] old.
        last_boot_ns: u64,
        /// Private to the program.
        awaited: u64,
    }
}

abi_struct! {
    /// A source in the set-associative table: what nearly every packet touches.
    #[derive(Default)]
    "ibsr_way" => Way {
        /// Address in network order, IPv4 mapped.
        addr: [u8; 16],
        /// Destination port, host order.
        dst_port: u16,
        /// Zero.
        pad: u16,
        /// 1 when it has shown to be real.
        is_proven: u32,
        /// Segments with ACK: with the next field, all packets.
        ack: u64,
        /// Segments without ACK.
        without_ack: u64,
        /// Frame bytes without FCS.
        bytes: u64,
        /// Boot clock at the last packet, at most [`TICK_BOUND_NS`] old.
        last_boot_ns: u64,
        /// Odd while the way is being given to another source.
        generation: u32,
        /// Private to the program.
        awaited: u32,
    }
}

abi_struct! {
    /// The rest of it.
    #[derive(Default)]
    "ibsr_way_rare" => WayRare {
        /// SYN without ACK.
        syn: u64,
        /// Completed handshakes as seen from ingress.
        handshakes: u64,
        /// Any segment with FIN.
        fin: u64,
        /// Any segment with RST.
        rst: u64,
        /// Boot clock at the insert, exact.
        born_boot_ns: u64,
    }
}

abi_struct! {
    /// A set of the set-associative table.
    "ibsr_set" => Set {
        /// What is touched often.
        way: [Way; SET_WAYS],
        /// What is not.
        rare: [WayRare; SET_WAYS],
    }
}

abi_struct! {
    /// Totals of one CPU.
    #[derive(Default)]
    "ibsr_totals" => CpuTotals {
        /// Frames seen.
        received: u64,
        /// Frames passed on: all of them.
        passed: u64,
        /// Not IPv4 or IPv6 behind at most [`MAX_VLANS`] tags.
        non_ip: u64,
        /// A header that is cut short or contradicts itself.
        malformed: u64,
        /// Fragments, first ones too; atomic IPv6 fragments are whole datagrams.
        fragments: u64,
        /// Not TCP, or TCP behind more than [`MAX_IPV6_EXT`] extension headers.
        other_l4: u64,
        /// TCP to a port that is not selected.
        other_port: u64,
        /// TCP to a selected port.
        tracked: u64,
        /// Frame bytes of those.
        tracked_bytes: u64,
        /// Tracked, but no entry could be had.
        insert_failed: u64,
        /// Tracked, but not counted for its source when it came.
        unattributed: u64,
        /// Entries made.
        inserted: u64,
        /// SYNs whose pending slot another connection's SYN took.
        pending_lost: u64,
        /// Private to the program.
        clock_tick: u64,
        /// Private to the program.
        clock_boot_ns: u64,
        /// Of `unattributed`, counted when the source's next packet came.
        resumed: u64,
        /// Sources that were proven, with a new entry or in theirs.
        promoted: u64,
        /// Private to the program.
        cap_second: u64,
        /// Private to the program.
        cap_used: u64,
        /// Packets of evicted entries, where the table can tell; else 0.
        evicted: u64,
    }
}

abi_struct! {
    /// Packets of one port, on one CPU, that no source will ever be charged with.
    #[derive(Default)]
    "ibsr_port_loss" => PortLoss {
        /// Destination port, host order. Means nothing in the last cell.
        port: u32,
        /// 0 while no port needed this cell.
        is_used: u32,
        /// Packets with SYN and without ACK.
        syn: u64,
        /// Packets with ACK.
        ack: u64,
        /// Packets with neither.
        other: u64,
        /// Frame bytes without FCS.
        bytes: u64,
    }
}

/// `struct ibsr_losses`: cell `port % PORT_CELLS` belongs to the first port that needed it, the
/// last one to all others.
pub type Losses = [PortLoss; PORT_CELLS + 1];

abi_struct! {
    /// What a scope is. Written once by the loader, then frozen.
    "ibsr_meta" => Meta {
        /// [`META_MAGIC`].
        magic: u32,
        /// [`ABI_VERSION`] of the loader.
        abi_version: u32,
        /// [`ABI_HASH`] of the loader.
        abi_hash: u64,
        /// Random for each new set of maps.
        epoch: u64,
        /// Boot clock at the start of the epoch.
        attached_boot_ns: u64,
        /// Boot id, the 16 bytes of its UUID.
        boot_id: [u8; 16],
        /// SHA-256 of the instructions that were proven and loaded.
        program_sha256: [u8; 32],
        /// [`Sensor`] as a number.
        sensor: u32,
        /// [`Evidence`] as a number.
        evidence: u32,
        /// [`XdpMode`] as a number, 0 for other sensors.
        xdp_mode: u32,
        /// Interface index, 0 for other sensors.
        ifindex: u32,
        /// Possible CPUs.
        ncpu: u32,
        /// Capacity of each source table.
        max_sources: u32,
        /// Interface name, padded with zeros.
        ifname: [u8; 16],
        /// Selected ports: bit `port % 8` of byte `port / 8`.
        dst_ports: [u8; PORT_BYTES],
        /// [`ProofKind`] as a number, 0 for other sensors.
        proof: u32,
        /// 1 where no packet waits for a second one of its source.
        admits_first: u32,
        /// [`Table`] as a number, 0 for other sensors.
        table: u32,
        /// Zero.
        pad: u32,
    }
}

/// Every struct of the ABI, in the header's order.
pub const LAYOUTS: [Layout; 8] = [
    SourceKey::LAYOUT,
    SourceCounts::LAYOUT,
    Way::LAYOUT,
    WayRare::LAYOUT,
    Set::LAYOUT,
    CpuTotals::LAYOUT,
    PortLoss::LAYOUT,
    Meta::LAYOUT,
];

/// FNV-1a (64 bit) over names, offsets and sizes of every field of [`LAYOUTS`].
pub const ABI_HASH: u64 = hash_layouts(&LAYOUTS);

/// `last_boot_ns` may be this much older than the packet: one tick of the slowest kernel
/// configuration (HZ=100).
pub const TICK_BOUND_NS: u64 = 10_000_000;

pub(crate) const fn hash_layouts(layouts: &[Layout]) -> u64 {
    let mut hash = FNV_OFFSET;
    let mut at = 0;
    while at < layouts.len() {
        hash = hash_bytes(hash, layouts[at].c_name.as_bytes());
        hash = hash_bytes(hash, &(layouts[at].size as u64).to_le_bytes());
        let mut field = 0;
        while field < layouts[at].fields.len() {
            let Field { name, offset, size } = layouts[at].fields[field];
            hash = hash_bytes(hash, name.as_bytes());
            hash = hash_bytes(hash, &(offset as u64).to_le_bytes());
            hash = hash_bytes(hash, &(size as u64).to_le_bytes());
            field += 1;
        }
        at += 1;
    }
    hash
}

/// Text in front of its padding with zeros.
pub(crate) fn padded_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

/// Counters of all CPUs, each struct as its words.
pub(crate) fn sum_words<const N: usize>(cpus: impl Iterator<Item = [u64; N]>) -> [u64; N] {
    cpus.fold([0; N], |sum, cpu| std::array::from_fn(|word| sum[word].wrapping_add(cpu[word])))
}

/// FNV-1a (64 bit) over bytes.
pub(crate) const fn hash_text(bytes: &[u8]) -> u64 {
    hash_bytes(FNV_OFFSET, bytes)
}

const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;

const fn hash_bytes(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests;
