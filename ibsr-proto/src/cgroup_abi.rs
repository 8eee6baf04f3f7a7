// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twin of `bpf/include/ibsr_cgroup_abi.h`, made and compared like [`crate::abi`].

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout, hash_layouts};

/// `IBSR_CGROUP_ABI_VERSION`.
pub const CGROUP_ABI_VERSION: u32 = 1;
/// `IBSR_DEFAULT_MAX_FLOWS`.
pub const DEFAULT_MAX_FLOWS: u32 = 100_000;
/// `IBSR_COMM_BYTES`.
pub const COMM_BYTES: usize = 16;

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
    }
}

/// Every struct of this ABI, in the header's order.
pub const CGROUP_LAYOUTS: [Layout; 4] =
    [FlowKey::LAYOUT, Flow::LAYOUT, Owner::LAYOUT, CgroupTotals::LAYOUT];

/// FNV-1a (64 bit) over names, offsets and sizes of every field of [`CGROUP_LAYOUTS`].
pub const CGROUP_ABI_HASH: u64 = hash_layouts(&CGROUP_LAYOUTS);

abi_enum! {
    /// How a flow began.
    Direction {
        /// Older than the attachment.
        Unknown = 0 "unknown",
        /// Connected, or sent first.
        Outgoing = 1 "outgoing",
        /// Accepted, or received first.
        Incoming = 2 "incoming",
        /// The socket's own row.
        Own = 3 "own",
    }
}

abi_enum! {
    /// Where the owner of a flow was learned, the weakest first.
    Learned {
        /// No owner is known.
        Nowhere = 0 "nowhere",
        /// Of the listening socket, for a connection that nobody took yet.
        Listener = 1 "listener",
        /// Whoever held the socket at the attachment.
        Seeded = 2 "seeded",
        /// socket(2).
        Create = 3 "create",
        /// bind(2).
        Bind = 4 "bind",
        /// listen(2).
        Listen = 5 "listen",
        /// connect(2).
        Connect = 6 "connect",
        /// sendto(2) or sendmsg(2) with an address.
        Send = 7 "send",
        /// Asked for the peer's address first, as accept(2) does.
        Accept = 8 "accept",
    }
}

/// `enum ibsr_step`: what happened to a flow, one bit each.
pub mod step {
    /// The sensor saw socket(2).
    pub const CREATED: u32 = 0x1;
    /// bind(2) succeeded.
    pub const BOUND: u32 = 0x2;
    /// listen(2).
    pub const LISTENED: u32 = 0x4;
    /// connect(2) was called.
    pub const CONNECTED: u32 = 0x8;
    /// And got as far as a SYN.
    pub const SYN_SENT: u32 = 0x10;
    /// The handshake was completed.
    pub const ESTABLISHED: u32 = 0x20;
    /// accept(2) gave it to a process.
    pub const TAKEN: u32 = 0x40;
    /// Closed by an error.
    pub const FAILED: u32 = 0x80;
    /// The last descriptor is gone.
    pub const RELEASED: u32 = 0x100;
    /// The protocol is done with it.
    pub const CLOSED: u32 = 0x200;

    /// All of them with their names, lowest first.
    pub const ALL: [(u32, &str); 10] = [
        (CREATED, "created"),
        (BOUND, "bound"),
        (LISTENED, "listened"),
        (CONNECTED, "connected"),
        (SYN_SENT, "syn_sent"),
        (ESTABLISHED, "established"),
        (TAKEN, "taken"),
        (FAILED, "failed"),
        (RELEASED, "released"),
        (CLOSED, "closed"),
    ];
}

impl CgroupTotals {
    /// Sum over CPUs. What is private to the program stays 0.
    #[must_use]
    pub fn sum(cpus: &[Self]) -> Self {
        let mut words = [0_u64; size_of::<Self>() / size_of::<u64>()];
        for cpu in cpus {
            let cpu: [u64; size_of::<Self>() / size_of::<u64>()] = zerocopy::transmute!(*cpu);
            for (sum, word) in words.iter_mut().zip(cpu) {
                *sum = sum.wrapping_add(word);
            }
        }
        let sum: Self = zerocopy::transmute!(words);
        Self { clock_tick: 0, clock_boot_ns: 0, ..sum }
    }

    /// Tracked packets, both ways.
    #[must_use]
    pub const fn tracked(&self) -> u64 {
        self.tracked_in + self.tracked_out
    }

    /// Bytes of tracked packets, both ways.
    #[must_use]
    pub const fn tracked_bytes(&self) -> u64 {
        self.tracked_bytes_in + self.tracked_bytes_out
    }

    /// All packets that the sensor saw.
    #[must_use]
    pub const fn packets(&self) -> u64 {
        self.tracked()
            + self.no_socket
            + self.no_storage
            + self.unreadable
            + self.icmp
            + self.other_l4
    }

    /// Tracked packets of flows that the kernel evicted, when `in_flows` are in the table:
    /// the remainder. `None` when the table holds more than was tracked.
    #[must_use]
    pub const fn evicted(&self, in_flows: u64) -> Option<u64> {
        match self.tracked().checked_sub(in_flows) {
            Some(rest) => rest.checked_sub(self.insert_failed),
            None => None,
        }
    }
}

impl Owner {
    /// Name of the process without its padding.
    #[must_use]
    pub fn comm(&self) -> String {
        comm_text(&self.comm)
    }

    /// Name of the parent without its padding.
    #[must_use]
    pub fn parent_comm(&self) -> String {
        comm_text(&self.parent_comm)
    }
}

fn comm_text(comm: &[u8; COMM_BYTES]) -> String {
    let end = comm.iter().position(|&byte| byte == 0).unwrap_or(COMM_BYTES);
    String::from_utf8_lossy(&comm[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_all_cpus_are_added_and_clocks_are_not() {
        let one =
            CgroupTotals { tracked_in: 2, retransmits: 3, clock_tick: 9, ..Default::default() };
        let other = CgroupTotals { tracked_in: 5, clock_boot_ns: 9, ..Default::default() };
        let sum = CgroupTotals::sum(&[one, other]);
        assert_eq!(sum, CgroupTotals { tracked_in: 7, retransmits: 3, ..Default::default() });
    }

    /// More packets in the table than were ever tracked is a broken law, not zero.
    #[test]
    fn evicted_is_what_is_neither_in_the_table_nor_failed() {
        let totals = CgroupTotals {
            tracked_in: 6,
            tracked_out: 4,
            insert_failed: 1,
            icmp: 3,
            ..Default::default()
        };
        assert_eq!(totals.packets(), 13);
        assert_eq!(totals.evicted(7), Some(2));
        assert_eq!(totals.evicted(9), Some(0));
        assert_eq!(totals.evicted(10), None);
        assert_eq!(totals.evicted(11), None);
    }

    #[test]
    fn every_step_has_a_bit_of_its_own() {
        let all = step::ALL.iter().fold(0, |all, (bit, name)| {
            assert_eq!(all & bit, 0, "{name}");
            all | bit
        });
        assert_eq!(all.count_ones() as usize, step::ALL.len());
    }

    #[test]
    fn a_name_ends_at_its_padding() {
        let mut owner = Owner { comm: *b"sixteen-letters!", ..Owner::default() };
        assert_eq!(owner.comm(), "sixteen-letters!");
        owner.comm[4] = 0;
        assert_eq!((owner.comm(), owner.parent_comm()), ("sixt".to_owned(), String::new()));
    }
}
