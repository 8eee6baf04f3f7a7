// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_cgroup_abi.h`, made and compared like [`crate::abi`].

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

mod kinds;
mod meta;
mod totals;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout, hash_layouts, padded_text};
use crate::cgroup_behaviour_abi::BEHAVIOUR_ABI_HASH;
use crate::cgroup_dns_abi::{AddressName, DNS_PORTS, DNS_RESOLVERS, DnsTotals, NameText};

pub use kinds::{Direction, Learned, missing, step};

/// `IBSR_CGROUP_ABI_VERSION`.
pub const CGROUP_ABI_VERSION: u32 = 3;
/// `IBSR_DEFAULT_MAX_FLOWS`.
pub const DEFAULT_MAX_FLOWS: u32 = 100_000;
/// `IBSR_COMM_BYTES`.
pub const COMM_BYTES: usize = 16;
/// `IBSR_CGROUP_PATH_BYTES`.
pub const PATH_BYTES: usize = 256;

abi_struct! {
    /// Key of the table of flows: one remote end of one socket, in the same hands.
    #[derive(Default, Hash, PartialOrd, Ord)]
    "ibsr_flow_key" => FlowKey {
        /// Cookie of the socket, unique between two boots.
        socket: u64,
        /// Remote address in network order, IPv4 mapped; zero in the socket's own row.
        remote_addr: [u8; 16],
        /// Remote port, host order.
        remote_port: u16,
        /// `IPPROTO_TCP` or `IPPROTO_UDP`.
        protocol: u16,
        /// Lower half of the owner's key when the flow began; 0 in the socket's own row.
        holder: u32,
    }
}

abi_struct! {
    /// Value of the table of flows: cumulative counters since `born_boot_ns`.
    #[derive(Default)]
    "ibsr_flow" => Flow {
        /// Key in the table of owners; 0 where none is known.
        owner: u64,
        /// Cookie of the network namespace; 0 where it is not known.
        netns_cookie: u64,
        /// Cgroup of the socket, where it was created; 0 where it is not known.
        cgroup_id: u64,
        /// Boot clock at the insert, exact.
        born_boot_ns: u64,
        /// Boot clock at the last packet or step, about one kernel tick old at most.
        last_boot_ns: u64,
        /// Boot clock at the last connect(2).
        connect_boot_ns: u64,
        /// Boot clock at the completed handshake.
        established_boot_ns: u64,
        /// Boot clock at the last of [`step::RELEASED`] and [`step::CLOSED`].
        closed_boot_ns: u64,
        /// Segments towards the socket.
        packets_in: u64,
        /// Their bytes from the IP header on.
        bytes_in: u64,
        /// Segments from the socket.
        packets_out: u64,
        /// Their bytes from the IP header on.
        bytes_out: u64,
        /// Segments sent again.
        retransmits: u64,
        /// Local address, network order; zero as long as it is not known.
        local_addr: [u8; 16],
        /// Local port, host order.
        local_port: u16,
        /// errno of [`step::FAILED`].
        error: u16,
        /// What happened, bits of [`step`].
        steps: u32,
        /// Address family of the socket.
        family: u16,
        /// [`Direction`] as a number.
        direction: u8,
        /// [`Learned`] as a number.
        learned: u8,
        /// Last of `BPF_TCP_SYN_SENT`, `ESTABLISHED`, `LISTEN` and `CLOSE`; 0 for UDP.
        tcp_state: u8,
        /// Zero.
        pad: [u8; 3],
        /// Name by which it was reached, key in the table of names; 0 where none is known.
        name: u64,
        /// Private to the program.
        noted_out: u64,
        /// Private to the program.
        noted_in: u64,
    }
}

abi_struct! {
    /// Value of the table of owners: a process as the sensor met it.
    #[derive(Default)]
    "ibsr_owner" => Owner {
        /// Boot clock at the start of the process.
        start_boot_ns: u64,
        /// Boot clock when this row was made.
        met_boot_ns: u64,
        /// Cgroup of the process.
        cgroup_id: u64,
        /// Effective capabilities, bit `CAP_*`.
        capabilities: u64,
        /// Inode of the executable; 0 for kernel threads.
        exe_inode: u64,
        /// Counts exec(2).
        exec_id: u64,
        /// Boot clock at the start of the parent.
        parent_start_boot_ns: u64,
        /// Device of the executable, `major << 20 | minor`.
        exe_device: u32,
        /// Process id in the first PID namespace.
        tgid: u32,
        /// Real user id in the first user namespace.
        uid: u32,
        /// Effective user id.
        euid: u32,
        /// Process id of the parent.
        parent_tgid: u32,
        /// Zero.
        pad: u32,
        /// Name of the process, padded with zeros.
        comm: [u8; COMM_BYTES],
        /// Name of the parent.
        parent_comm: [u8; COMM_BYTES],
    }
}

abi_struct! {
    /// Totals of one CPU.
    #[derive(Default)]
    "ibsr_cgroup_totals" => CgroupTotals {
        /// Segments of TCP and UDP towards sockets.
        tracked_in: u64,
        /// Segments of TCP and UDP from sockets.
        tracked_out: u64,
        /// Bytes of `tracked_in`.
        tracked_bytes_in: u64,
        /// Bytes of `tracked_out`.
        tracked_bytes_out: u64,
        /// Tracked, but no entry could be had.
        insert_failed: u64,
        /// Bytes of those.
        insert_failed_bytes: u64,
        /// Packets without a full socket.
        no_socket: u64,
        /// Packets whose socket's state the kernel had no memory for.
        no_storage: u64,
        /// UDP whose headers could not be read.
        unreadable: u64,
        /// Packets of ICMP and ICMPv6 sockets.
        icmp: u64,
        /// Packets of all other sockets.
        other_l4: u64,
        /// Flows made.
        flows_inserted: u64,
        /// Owners made.
        owners_inserted: u64,
        /// Owners for which no entry could be had.
        owners_failed: u64,
        /// TCP and UDP sockets made by socket(2).
        created: u64,
        /// IP sockets of other protocols.
        created_other: u64,
        /// Sockets met later than at socket(2).
        adopted: u64,
        /// TCP and UDP sockets whose last descriptor is gone.
        released: u64,
        /// Calls of bind(2).
        binds: u64,
        /// Of those, successful.
        bound: u64,
        /// Calls of listen(2).
        listens: u64,
        /// Calls of connect(2).
        connects: u64,
        /// Of those, TCP that got as far as a SYN.
        syn_sent: u64,
        /// Of those, completed.
        established: u64,
        /// Of `syn_sent`, given up or refused.
        connect_failed: u64,
        /// Connections that came in and were completed.
        accepted: u64,
        /// Of those, with a process that asked for the peer's address.
        taken: u64,
        /// Sockets used by another owner than before.
        handovers: u64,
        /// TCP segments sent again.
        retransmits: u64,
        /// Private to the program.
        clock_tick: u64,
        /// Private to the program.
        clock_boot_ns: u64,
        /// Sockets that got their owner from the walk over open files.
        seeded: u64,
    }
}

abi_struct! {
    /// What a scope is. Written once by the loader, then frozen. Up to `evidence` it is laid out
    /// as [`crate::abi::Meta`].
    "ibsr_cg_meta" => CgroupMeta {
        /// [`crate::abi::META_MAGIC`].
        magic: u32,
        /// [`CGROUP_ABI_VERSION`] of the loader.
        abi_version: u32,
        /// [`CGROUP_ABI_HASH`] of the loader.
        abi_hash: u64,
        /// Random for each new set of maps.
        epoch: u64,
        /// Boot clock at the start of the epoch.
        attached_boot_ns: u64,
        /// Boot id, the 16 bytes of its UUID.
        boot_id: [u8; 16],
        /// SHA-256 over the digests of the programs that were proven and loaded.
        program_sha256: [u8; 32],
        /// [`crate::abi::Sensor`] as a number.
        sensor: u32,
        /// [`crate::abi::Evidence`] as a number.
        evidence: u32,
        /// What this kernel has no program for, bits of [`missing`].
        missing: u32,
        /// Capacity of the table of flows.
        max_flows: u32,
        /// Possible CPUs.
        ncpu: u32,
        /// Capacity of the table of owners.
        max_owners: u32,
        /// Id of the cgroup: the inode of its directory.
        cgroup_id: u64,
        /// Private to the loader: seed of the owners' hash, for programs that keep the maps.
        seed: u64,
        /// Private to the loader: layout of what is kept with a socket.
        state_hash: u64,
        /// Length of a window of behaviour.
        window_ns: u64,
        /// Bytes out of an application in a window that are flagged.
        volume_out_bytes: u64,
        /// Failed connects of an application in a window that are flagged.
        failed_connects: u64,
        /// Bytes of names of a zone in a window that are flagged.
        zone_name_bytes: u64,
        /// Hash of the destinations that were given as the baseline; 0 for none.
        baseline_hash: u64,
        /// Coefficient of variation up to which intervals are regular, in percent.
        regular_cv_percent: u32,
        /// Intervals that a batch must have to be judged.
        regular_count: u32,
        /// Bits of the map of internal peers that are flagged.
        internal_peer_bits: u32,
        /// Bits of the map of names of a zone that are flagged.
        zone_name_bits: u32,
        /// Bits of the map of zones without the name that are flagged.
        nxdomain_zone_bits: u32,
        /// Entries of the baseline; 0 for none.
        baseline_entries: u32,
        /// Capacity of the table of names.
        max_names: u32,
        /// Resolvers that are listed; 0: names are learned from whoever was asked.
        resolver_count: u32,
        /// Ports of resolvers, host order; zero behind the last.
        dns_ports: [u16; DNS_PORTS],
        /// Addresses of resolvers, IPv4 mapped, 16 bytes each.
        resolvers: [u8; 16 * DNS_RESOLVERS],
        /// Path below the mount point of cgroup v2, cut and padded with zeros.
        path: [u8; PATH_BYTES],
    }
}

/// Every struct of this ABI, in the headers' order.
pub const CGROUP_LAYOUTS: [Layout; 8] = [
    FlowKey::LAYOUT,
    Flow::LAYOUT,
    Owner::LAYOUT,
    CgroupTotals::LAYOUT,
    CgroupMeta::LAYOUT,
    AddressName::LAYOUT,
    NameText::LAYOUT,
    DnsTotals::LAYOUT,
];

/// FNV-1a (64 bit) over names, offsets and sizes of every field of [`CGROUP_LAYOUTS`], with that of
/// behaviour.
pub const CGROUP_ABI_HASH: u64 = hash_layouts(&CGROUP_LAYOUTS) ^ BEHAVIOUR_ABI_HASH.rotate_left(1);

impl Owner {
    /// Name of the process without its padding.
    #[must_use]
    pub fn comm(&self) -> String {
        padded_text(&self.comm)
    }

    /// Name of the parent without its padding.
    #[must_use]
    pub fn parent_comm(&self) -> String {
        padded_text(&self.parent_comm)
    }
}

#[cfg(test)]
mod tests;
