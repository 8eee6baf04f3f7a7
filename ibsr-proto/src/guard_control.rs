// SPDX-License-Identifier: MIT OR Apache-2.0
//! The twin of the other half of `ibsr_guard_abi.h`: what the guard is told, what it counts
//! and what it records.

#![expect(
    missing_debug_implementations,
    reason = "zerocopy's derives make helper types without; each type written here has it"
)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::abi::{Field, Layout, sum_words};
use crate::guard_abi::Query;

/// Longest lease, in seconds: the program takes one that ends later for none.
pub const MAX_LEASE_S: u32 = 60;
/// How long a handshake makes the other end a peer whose denial costs budget, in seconds.
pub const PEER_S: u32 = 3_600;
/// Generations that something is said of: that in use, and the one before or next.
pub const GENERATIONS: u32 = 2;
/// Peers that are remembered, the latest ones.
pub const PEERS: u32 = 65_536;

abi_struct! {
    /// What user space tells the program. All zero denies nothing.
    #[derive(Default)]
    "ibsr_guard_control" => Control {
        /// Of the policy in use; 0 for none.
        generation: u64,
        /// Nothing is denied later than that, on the clock that goes on while the machine sleeps,
        /// nor when it is more than [`MAX_LEASE_S`] ahead.
        lease_until_boot_ns: u64,
        /// Grows with each arming; 0 for none.
        arming: u64,
        /// No denial to a peer is carried out after as many, over all armings.
        budget_until: u64,
        /// 0: everything is allowed and counted.
        is_enforced: u32,
        /// Share of the pairs of executable and address that are denied to, 0 to 100.
        canary_percent: u32,
        /// Which pairs these are.
        seed: u32,
        /// Zero.
        pad: u32,
    }
}

abi_struct! {
    /// What denials to peers have cost; only the program writes it.
    #[derive(Default)]
    "ibsr_guard_spent" => Spent {
        /// Denials to peers, over all armings.
        denials: u64,
        /// The arming that the program has ended itself.
        tripped_arming: u64,
        /// When, on the boot clock.
        tripped_at_boot_ns: u64,
    }
}

abi_struct! {
    /// What the guard was armed with; only user space reads it.
    #[derive(Default)]
    "ibsr_guard_evidence" => Evidence {
        /// SHA-256 of the manifest.
        manifest_sha256: [u8; 32],
        /// Who signed it.
        key_id: [u8; 8],
        /// First second at which it is no longer good, on the wall clock.
        expires_unix_s: u64,
        /// The same on the boot clock, as of the arming: nobody can set that one.
        expires_boot_ns: u64,
        /// Denials to peers that this arming may carry out.
        budget_denials: u64,
        /// When it was armed, on the boot clock.
        armed_at_boot_ns: u64,
    }
}

abi_struct! {
    /// What a generation of the policy judges by; only user space reads it.
    #[derive(Default)]
    "ibsr_guard_generation" => Generation {
        /// Its number; 0 when nobody said it.
        number: u64,
        /// Since when it is in use at every hook, on the boot clock.
        since_boot_ns: u64,
        /// Id of the cgroup that the guard is attached to.
        cgroup_id: u64,
        /// SHA-256 of the canonical text of the policy.
        policy_sha256: [u8; 32],
        /// SHA-256 of what the machine called those whom it names.
        identities_sha256: [u8; 32],
        /// SHA-256 of the object that the programs are from.
        object_sha256: [u8; 32],
    }
}

/// Where something was judged; the number is the key of its counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Hook {
    /// connect(2).
    Connect = 0,
    /// sendto(2) and sendmsg(2) with an address.
    Sendmsg = 1,
    /// bind(2).
    Bind = 2,
    /// Packets that leave.
    Egress = 3,
    /// Packets that arrive.
    Ingress = 4,
    /// DNS queries that leave by an interface.
    Query = 5,
}

impl Hook {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Sendmsg, Self::Bind, Self::Egress, Self::Ingress, Self::Query];

    /// As `status` prints it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Sendmsg => "sendmsg",
            Self::Bind => "bind",
            Self::Egress => "egress",
            Self::Ingress => "ingress",
            Self::Query => "query",
        }
    }
}

abi_struct! {
    /// Counts of one hook since it was attached. All that was judged is in one of the first five.
    #[derive(Default)]
    "ibsr_guard_counts" => Counts {
        /// Loopback, protected, a connection that stands, or a socket that is only half there.
        exempt: u64,
        /// Allowed by the policy.
        allowed: u64,
        /// Denied by the policy and let pass.
        would_deny: u64,
        /// Denied.
        denied: u64,
        /// Let pass without a verdict: no policy, or something that could not be read.
        unjudged: u64,
        /// Records written.
        recorded: u64,
        /// Records for which the ring had no room.
        records_lost: u64,
    }
}

/// Every struct besides those of the policy, in the header's order.
pub const CONTROL_LAYOUTS: [Layout; 6] = [
    Control::LAYOUT,
    Spent::LAYOUT,
    Evidence::LAYOUT,
    Generation::LAYOUT,
    Counts::LAYOUT,
    Record::LAYOUT,
];

impl Control {
    /// Whether the program carries denials out at `now_boot_ns`, as far as this word says.
    #[must_use]
    pub const fn has_lease(&self, now_boot_ns: u64) -> bool {
        self.is_enforced != 0
            && now_boot_ns <= self.lease_until_boot_ns
            && self.lease_until_boot_ns - now_boot_ns <= MAX_LEASE_S as u64 * 1_000_000_000
    }
}

impl Counts {
    /// Over all CPUs.
    #[must_use]
    pub fn sum(cpus: &[Self]) -> Self {
        const WORDS: usize = size_of::<Counts>() / size_of::<u64>();
        let words = cpus.iter().map(|cpu| -> [u64; WORDS] { zerocopy::transmute!(*cpu) });
        zerocopy::transmute!(sum_words(words))
    }

    /// Everything that was seen.
    #[must_use]
    pub const fn judged(&self) -> u64 {
        self.exempt + self.allowed + self.would_deny + self.denied + self.unjudged
    }
}

abi_struct! {
    /// One denial, or what would have been one.
    "ibsr_guard_record" => Record {
        /// When, on the boot clock.
        at_boot_ns: u64,
        /// By which policy.
        generation: u64,
        /// Cookie of the socket.
        socket: u64,
        /// What was asked.
        query: Query,
        /// The rule, or [`crate::guard_abi::DEFAULT_RULE`].
        rule: u32,
        /// Error of the rule.
        error: u16,
        /// A [`crate::guard_abi::Action`].
        action: u8,
        /// A [`Hook`].
        hook: u8,
        /// Whether it was carried out.
        is_denied: u8,
        /// Zero.
        pad: [u8; 7],
        /// Of the process that asked; zero for packets.
        comm: [u8; 16],
    }
}
