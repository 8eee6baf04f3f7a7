// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy as values.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ibsr_proto::guard_abi::{Action, Direction, NameKey};
use ibsr_proto::verdict::masked;
use ipnet::IpNet;

/// Bits of the prefix below which every mapped IPv4 address lies.
pub(crate) const MAPPED_BITS: u32 = 96;

/// An address prefix in the one form of keys: 16 bytes, IPv4 mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    addr: u128,
    bits: u32,
}

impl Prefix {
    /// From a net. Host bits are cleared.
    #[must_use]
    pub fn new(net: IpNet) -> Self {
        let (addr, more) = match net.addr() {
            IpAddr::V4(v4) => (v4.to_ipv6_mapped(), MAPPED_BITS),
            IpAddr::V6(v6) => (v6, 0),
        };
        let bits = u32::from(net.prefix_len()) + more;
        Self { addr: masked(addr.to_bits(), bits), bits }
    }

    /// From what [`Self::addr`] and [`Self::bits`] gave.
    pub(crate) const fn from_key(addr: [u8; 16], bits: u32) -> Self {
        Self { addr: u128::from_be_bytes(addr), bits }
    }

    /// The address in network order.
    #[must_use]
    pub const fn addr(self) -> [u8; 16] {
        self.addr.to_be_bytes()
    }

    /// Bits that count, of 128.
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.bits
    }

    /// Whether it is one of IPv4.
    #[must_use]
    pub const fn is_v4(self) -> bool {
        self.bits >= MAPPED_BITS && masked(self.addr, MAPPED_BITS) == 0xffff << 32
    }

    /// Whether an address lies in it. An IPv6 prefix holds no IPv4 address, however short.
    #[must_use]
    pub const fn contains(self, addr: [u8; 16]) -> bool {
        let addr = u128::from_be_bytes(addr);
        let is_mapped = masked(addr, MAPPED_BITS) == 0xffff << 32;
        masked(addr, self.bits) == self.addr && is_mapped == self.is_v4()
    }

    /// Whether `other` lies in it.
    #[must_use]
    pub const fn covers(self, other: Self) -> bool {
        self.bits <= other.bits
            && masked(other.addr, self.bits) == self.addr
            && other.is_v4() == self.is_v4()
    }
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let net = text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        let net = net.map_err(|_| format!("`{text}` is no address and no prefix"))?;
        if let IpNet::V6(v6) = net
            && v6.addr().to_ipv4_mapped().is_some()
        {
            return Err(format!("`{text}` is IPv4 in IPv6: write it as IPv4"));
        }
        Ok(Self::new(net))
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_v4() {
            let low = u32::try_from(self.addr & 0xffff_ffff).expect("32 bits are left");
            return write!(f, "{}/{}", Ipv4Addr::from_bits(low), self.bits - MAPPED_BITS);
        }
        write!(f, "{}/{}", Ipv6Addr::from_bits(self.addr), self.bits)
    }
}

/// Ports, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PortRange {
    /// The lowest.
    pub first: u16,
    /// The highest, at least `first`.
    pub last: u16,
}

impl PortRange {
    /// Ports in it, 1 to 65,536.
    #[must_use]
    pub const fn width(self) -> u32 {
        self.last as u32 - self.first as u32 + 1
    }

    /// Whether a port lies in it.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

/// What is done when a rule decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The action.
    pub action: Action,
    /// Error number of a refusal; 0 for `Allow`.
    pub error: u16,
    /// Answer of `sinkhole`.
    pub sinkhole: Option<IpAddr>,
    /// Time to live of an answer, in seconds.
    pub ttl_s: u32,
}

/// Where a rule stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Line of the policy file, from 1.
    pub line: usize,
    /// What it is called: its `name`, or the list that it stands for.
    pub name: String,
}

/// One rule. What it asks in several fields must hold together; of the values of one field any
/// may hold; an empty field asks nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Where it stands.
    pub origin: Origin,
    /// What it does.
    pub verdict: Verdict,
    /// Remote addresses; the local ones of a bind.
    pub prefixes: Vec<Prefix>,
    /// Name suffixes.
    pub domains: Vec<NameKey>,
    /// Remote ports of what goes out, local ones of what comes in or is bound.
    pub ports: Vec<PortRange>,
    /// Protocols of IP.
    pub protocols: Vec<u8>,
    /// Directions. When empty: out and in. A bind must be named.
    pub directions: Vec<Direction>,
    /// Paths of executables.
    pub exes: Vec<String>,
    /// Names or numbers of users.
    pub users: Vec<String>,
    /// Paths of cgroups, below the mount point; what is below them counts too.
    pub cgroups: Vec<String>,
}

impl Rule {
    /// A rule that asks nothing.
    #[must_use]
    pub const fn new(origin: Origin, verdict: Verdict) -> Self {
        Self {
            origin,
            verdict,
            prefixes: Vec::new(),
            domains: Vec::new(),
            ports: Vec::new(),
            protocols: Vec::new(),
            directions: Vec::new(),
            exes: Vec::new(),
            users: Vec::new(),
            cgroups: Vec::new(),
        }
    }

    /// Whether it is about a direction.
    #[must_use]
    pub fn applies_to(&self, direction: Direction) -> bool {
        if self.directions.is_empty() {
            return direction != Direction::Bind;
        }
        self.directions.contains(&direction)
    }
}

/// What is done where no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defaults {
    /// For what goes out.
    pub out: Verdict,
    /// For what comes in.
    pub incoming: Verdict,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Where no rule matches. A bind is allowed then.
    pub defaults: Defaults,
    /// Rules in the order of the file.
    pub rules: Vec<Rule>,
    /// Whether TCP connections that stand are left alone, whatever the rules say: of them only
    /// what opens one is judged.
    pub keep_established: bool,
    /// Remote addresses that are never denied, whatever the rules say.
    pub protected: Vec<Prefix>,
    /// Whose answers to queries give addresses their names.
    pub resolvers: Vec<IpAddr>,
    /// Whether DNS that the guard cannot read is denied where a rule names a domain.
    pub is_strict: bool,
}
