// SPDX-License-Identifier: MIT OR Apache-2.0
//! Twins of the enumerations of `ibsr_cgroup_abi.h`: numbers in the maps, words everywhere
//! else.

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

/// `enum ibsr_missing`: what a kernel has no program for, one bit each.
pub mod missing {
    /// The walk over open files.
    pub const SEED: u32 = 0x1;
    /// Asking for the peer's address.
    pub const PEERNAME: u32 = 0x2;

    /// All of them: bit, name, and what is not known without it.
    pub const ALL: [(u32, &str, &str); 2] = [
        (SEED, "seed", "sockets that are older than the attachment have no owner"),
        (PEERNAME, "peername", "accepted connections stay with the owner of their listener"),
    ];
}
