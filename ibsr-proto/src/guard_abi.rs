// SPDX-License-Identifier: MIT OR Apache-2.0
//! The twin of `ibsr_guard_abi.h`: what the guard's policy tables hold.
//!
//! Nothing here decides: [`crate::verdict`] does, over these types.

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout};

/// Leaves that one policy may have: the bits of a [`Class`].
pub const LEAVES: usize = 1_024;
/// Words of a [`Class`].
pub const WORDS: usize = LEAVES / 64;
/// Bytes of a reversed name: RFC 1035 allows 254 before the root.
pub const NAME_BYTES: usize = 256;
/// What the leaf of a default has for a rule.
pub const DEFAULT_RULE: u32 = u32::MAX;
/// What a record of strictness has for a rule: the guard could not read what was asked for.
pub const STRICT_RULE: u32 = u32::MAX - 1;
/// Slots of each outer map: the one in use, the next, and one that is only written to wait for
/// programs that still read.
pub const SLOTS: u32 = 3;
/// Rows of the table of protocols: one for each direction and protocol.
pub const PROTOCOL_ROWS: u32 = 3 * 256;
/// Rows of the table of ports.
pub const PORT_ROWS: u32 = 1 << 16;

/// What a rule can ask about. The number is the index in [`Policy::miss`] and the bit in
/// [`Policy::uses`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Dimension {
    /// Direction and protocol; always looked up.
    Protocol = 0,
    /// Remote address; the local one of a bind.
    Address = 1,
    /// Name that led to the address, or that is asked for.
    Name = 2,
    /// Remote port of what goes out, local port of what comes in or is bound.
    Port = 3,
    /// Executable.
    Exe = 4,
    /// User.
    User = 5,
    /// Cgroup.
    Cgroup = 6,
}

/// Number of dimensions.
pub const DIMENSIONS: usize = 7;

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Direction {
    /// Opened here.
    Out = 0,
    /// Opened by the other end.
    In = 1,
    /// A socket takes a local port.
    Bind = 2,
}

impl Direction {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Out, Self::In, Self::Bind];

    /// As policies write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Out => "out",
            Self::In => "in",
            Self::Bind => "bind",
        }
    }
}

/// What a verdict does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Action {
    /// Pass.
    Allow = 0,
    /// Refuse with `EPERM`.
    Deny = 1,
    /// Refuse with an errno of the rule's.
    Reject = 2,
    /// Answer that the name does not exist; refuse a connection like `Deny`.
    Nxdomain = 3,
    /// Answer with another address; refuse a connection like `Deny`.
    Sinkhole = 4,
}

impl Action {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::Allow, Self::Deny, Self::Reject, Self::Nxdomain, Self::Sinkhole];

    /// As policies write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Reject => "reject",
            Self::Nxdomain => "nxdomain",
            Self::Sinkhole => "sinkhole",
        }
    }
}

abi_struct! {
    /// A set of leaves. Bit 0 of word 0 is the most specific one.
    #[derive(Hash)]
    "ibsr_guard_class" => Class {
        /// The bits, 64 a word.
        word: [u64; WORDS],
    }
}

abi_struct! {
    /// What is done when a leaf is the most specific one that matches.
    "ibsr_guard_leaf" => Leaf {
        /// Answer of `sinkhole`, in network order; IPv4 is mapped.
        sinkhole: [u8; 16],
        /// Index of the rule, or [`DEFAULT_RULE`].
        rule: u32,
        /// Time to live of an answer, in seconds.
        ttl_s: u32,
        /// Error number of a refusal, positive; 0 for `Allow`.
        error: u16,
        /// An [`Action`].
        action: u8,
        /// Zero.
        pad: [u8; 5],
    }
}

abi_struct! {
    /// The head of one generation.
    #[derive(Default)]
    "ibsr_guard_policy" => Policy {
        /// Grows with each swap; never 0 when there is a policy.
        generation: u64,
        /// SHA-256 of the policy in its canonical form.
        hash: [u8; 32],
        /// Class of what a table does not hold, by [`Dimension`].
        miss: [u32; DIMENSIONS],
        /// One bit for each [`Dimension`] that has a table.
        uses: u32,
        /// Whether packets of TCP connections that stand are exempt.
        keep_established: u32,
        /// Whether DNS that cannot be read is denied: only where a rule names a domain.
        is_strict: u32,
    }
}

abi_struct! {
    /// Key of an address prefix in the longest-prefix table.
    "ibsr_guard_addr_key" => AddrKey {
        /// Bits that count, 0 to 128; an IPv4 prefix has 96 more than it is written with.
        prefix_bits: u32,
        /// The address in network order; IPv4 is mapped.
        addr: [u8; 16],
    }
}

abi_struct! {
    /// Key of a name suffix in the longest-prefix table: lower case, last byte first, `.` after
    /// each label, no root.
    "ibsr_guard_name_key" => NameKey {
        /// Bits that count.
        prefix_bits: u32,
        /// The reversed name, zero behind it.
        name: [u8; NAME_BYTES],
    }
}

abi_struct! {
    /// The name that an address was found by: the one that was asked for. Its key is the address.
    "ibsr_guard_learned" => Learned {
        /// The end of the shortest time to live on the way, within bounds, on the boot clock.
        expiry_boot_ns: u64,
        /// The name.
        name: NameKey,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// Key of an executable.
    #[derive(PartialOrd, Ord)]
    "ibsr_guard_exe_key" => ExeKey {
        /// Inode.
        inode: u64,
        /// Device as the kernel keeps it: major number above 20 bits of minor.
        device: u32,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// What a verdict is about, besides the name.
    "ibsr_guard_query" => Query {
        /// Address in network order; IPv4 is mapped.
        addr: [u8; 16],
        /// Executable of the owner.
        exe: ExeKey,
        /// The cgroup of the owner or the nearest one above it that the policy names; 0 for none.
        cgroup_id: u64,
        /// User of the owner.
        uid: u32,
        /// Port in host order.
        port: u16,
        /// Of `<linux/in.h>`.
        protocol: u8,
        /// A [`Direction`].
        direction: u8,
    }
}

/// Every struct of the policy, in the header's order.
pub const POLICY_LAYOUTS: [Layout; 8] = [
    Class::LAYOUT,
    Leaf::LAYOUT,
    Policy::LAYOUT,
    AddrKey::LAYOUT,
    NameKey::LAYOUT,
    Learned::LAYOUT,
    ExeKey::LAYOUT,
    Query::LAYOUT,
];

impl Class {
    /// No leaf.
    pub const NONE: Self = Self { word: [0; WORDS] };

    /// Adds one leaf, below [`LEAVES`].
    pub const fn insert(&mut self, leaf: usize) {
        self.word[leaf / 64] |= 1 << (leaf % 64);
    }

    /// Adds every leaf of `other`.
    pub fn extend(&mut self, other: &Self) {
        self.word.iter_mut().zip(other.word).for_each(|(word, more)| *word |= more);
    }
}

impl NameKey {
    /// Of a name as people write it, with or without the root's dot, or of a part of one.
    ///
    /// `None` when it is empty, has an empty label, one of more than 63 bytes, or more than 253
    /// bytes in all (RFC 1035 section 2.3.4).
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text).as_bytes();
        let is_label = |label: &[u8]| (1..=63).contains(&label.len());
        if text.len() > 253 || !text.split(|byte| *byte == b'.').all(is_label) {
            return None;
        }
        let mut name = [0; NAME_BYTES];
        for (to, from) in name.iter_mut().zip(text.iter().rev()) {
            *to = from.to_ascii_lowercase();
        }
        name[text.len()] = b'.';
        Some(Self { prefix_bits: u32::try_from((text.len() + 1) * 8).ok()?, name })
    }

    /// The bytes that count.
    #[must_use]
    pub fn reversed(&self) -> &[u8] {
        &self.name[..self.prefix_bits as usize / 8]
    }

    /// Labels of it.
    #[must_use]
    pub fn labels(&self) -> usize {
        self.reversed().iter().filter(|byte| **byte == b'.').count()
    }
}
