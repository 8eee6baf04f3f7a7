// SPDX-License-Identifier: MIT OR Apache-2.0
//! A rule set as a value.
//!
//! A rule looks at whole windows of one source, decides when `k` of the last `of` windows
//! satisfy all its predicates, and then acts for `ttl_s`. At most one predicate has a grid:
//! thresholds fixed before any data is looked at, safest first.

use ipnet::IpNet;

/// Rules in a set at most: their levels are packed into one 32-bit vector, four bits each.
pub const MAX_RULES: usize = 8;
/// Thresholds in a grid at most: a level must fit into four bits, and 0 means none.
pub const MAX_GRID: usize = 15;
/// Windows that a rule can look back at.
pub const MAX_OF: u8 = 8;
/// Longest action and longest memory of a guard. A fold of one day starts this much earlier
/// (twice), so no state may live longer.
pub const MAX_SECONDS: u32 = 3600;
/// Characters of a rule's name at most.
pub const MAX_NAME: usize = 32;
/// Prefixes of the set's list and of one guard at most: each decision walks them.
pub const MAX_PREFIXES: usize = 4096;
/// Ports of a guard at most: each row that is acted on walks them.
pub const MAX_EXCEPTED_PORTS: usize = 64;
/// Hosts behind one address that a guard can ask for at most: connections of one address to
/// one port of ours are told apart by 16 bits.
pub const MAX_SHARED: u32 = 65_535;
/// Largest rate in a predicate: 8 Tbit/s in bytes, beyond any interface.
pub const MAX_RATE_PS: u64 = 1_000_000_000_000;
/// Largest ratio in a predicate: all of it.
pub const MAX_RATIO_PPM: u64 = 1_000_000;
/// Largest number of ports in a predicate: all of them.
pub const MAX_PORTS_VALUE: u64 = 65_536;
/// Largest rate and largest burst of a token bucket.
pub const MAX_TOKENS: u64 = 1_000_000_000;

/// Rules that are judged together, and the operator's list of those whom no rule may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSet {
    /// 1 to [`MAX_RULES`], safest first; names are unique.
    pub rules: Vec<Rule>,
    /// Prefixes that are legitimate by definition. A rule that would act on one is never
    /// ready. Sorted, without host bits, each once.
    pub allow: Vec<IpNet>,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// 1 to 32 of `[a-z0-9_]`.
    pub name: String,
    /// All must hold; at least one, and none with metric and comparison of another.
    pub when: Vec<Predicate>,
    /// How many windows must satisfy them.
    pub span: Span,
    /// What it does.
    pub then: Action,
    /// For how long, 1 to [`MAX_SECONDS`].
    pub ttl_s: u32,
    /// Whom and what it leaves alone, at most one guard of each kind.
    pub unless: Vec<Guard>,
    /// Thresholds to search, for one of the predicates.
    pub grid: Option<Grid>,
}

/// `k` of the last `of` windows: `1 <= k <= of <= MAX_OF`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Windows that must satisfy the predicates.
    pub k: u8,
    /// Of so many.
    pub of: u8,
}

/// `metric op value`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Predicate {
    /// What is measured.
    pub metric: Metric,
    /// Compared how.
    pub op: Op,
    /// Against what. Where the rule has a grid for this metric, the safest of it.
    pub value: u64,
}

/// What is measured over a window of one source, over all its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// SYN without ACK per second.
    SynPs,
    /// Frames per second.
    PacketsPs,
    /// Frame bytes per second.
    BytesPs,
    /// Completed handshakes per SYN, in millionths. Without a SYN no comparison holds.
    HandshakeRatioPpm,
    /// RST per frame, in millionths. Without a frame no comparison holds.
    RstRatioPpm,
    /// Segments with ACK per frame, in millionths. Without a frame no comparison holds.
    AckRatioPpm,
    /// Distinct monitored destination ports.
    Ports,
}

/// Comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `>=`
    AtLeast,
    /// `<=`
    AtMost,
}

/// What a rule does to the packets of a source while it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Drops SYN without ACK: cannot cut an established connection.
    DropSyn,
    /// Drops everything.
    DropAll,
    /// A token bucket.
    Limit(Limit),
}

/// A token bucket over what it counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limit {
    /// What takes a token.
    pub of: Limited,
    /// Tokens per second, 1 to [`MAX_TOKENS`].
    pub rate_ps: u64,
    /// Tokens at most, and at first, 1 to [`MAX_TOKENS`].
    pub burst: u64,
}

/// What takes a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limited {
    /// SYN without ACK.
    Syn,
    /// Every frame.
    Packets,
}

/// Whom and what a rule leaves alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// Sources in these prefixes, and in the set's own list. Sorted, each once; none when
    /// only the set's list is meant.
    Allow(Vec<IpNet>),
    /// Sources that completed a handshake in the last `within_s` seconds.
    Established {
        /// 1 to [`MAX_SECONDS`].
        within_s: u32,
    },
    /// Sources behind which probably this many hosts or more share one address.
    Shared {
        /// 2 to [`MAX_SHARED`].
        at_least: u32,
    },
    /// These destination ports: packets to them are never acted on. Sorted, 1 to
    /// [`MAX_EXCEPTED_PORTS`] of them, without 0.
    Port(Vec<u16>),
}

/// Thresholds of one predicate, safest first: descending for `>=`, ascending for `<=`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grid {
    /// Which of [`Rule::when`].
    pub predicate: usize,
    /// 1 to [`MAX_GRID`] values, strictly ordered.
    pub values: Vec<u64>,
}

impl Rule {
    /// Thresholds: 1 for a rule without a grid.
    #[must_use]
    pub fn thresholds(&self) -> usize {
        self.grid.as_ref().map_or(1, |grid| grid.values.len())
    }

    /// Whether it can take packets of established connections or new ones away for good;
    /// a limit cannot.
    #[must_use]
    pub const fn is_drop(&self) -> bool {
        matches!(self.then, Action::DropSyn | Action::DropAll)
    }
}
