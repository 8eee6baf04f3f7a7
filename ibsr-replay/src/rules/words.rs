// SPDX-License-Identifier: MIT OR Apache-2.0
//! The words of the language and the numbers that they take: one table for what is read and
//! what is written.

use crate::rules::ast::{
    Action, Guard, Limited, MAX_PORTS_VALUE, MAX_RATE_PS, MAX_RATIO_PPM, Metric, Op,
};

/// Every metric's word.
pub(super) const METRICS: [&str; 7] = [
    "syn_ps",
    "packets_ps",
    "bytes_ps",
    "handshake_ratio_ppm",
    "rst_ratio_ppm",
    "ack_ratio_ppm",
    "ports",
];

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 7] = [
        Self::SynPs,
        Self::PacketsPs,
        Self::BytesPs,
        Self::HandshakeRatioPpm,
        Self::RstRatioPpm,
        Self::AckRatioPpm,
        Self::Ports,
    ];

    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        METRICS[self as usize]
    }

    /// The metric of a word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.as_str() == word)
    }

    /// Largest value that it can be compared with.
    #[must_use]
    pub const fn most(self) -> u64 {
        match self {
            Self::SynPs | Self::PacketsPs | Self::BytesPs => MAX_RATE_PS,
            Self::HandshakeRatioPpm | Self::RstRatioPpm | Self::AckRatioPpm => MAX_RATIO_PPM,
            Self::Ports => MAX_PORTS_VALUE,
        }
    }
}

impl Op {
    /// Its sign.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AtLeast => ">=",
            Self::AtMost => "<=",
        }
    }

    /// The comparison of a sign.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::AtLeast, Self::AtMost].into_iter().find(|op| op.as_str() == word)
    }

    /// Smallest value that says something: everything is at least 0.
    #[must_use]
    pub const fn least(self) -> u64 {
        match self {
            Self::AtLeast => 1,
            Self::AtMost => 0,
        }
    }

    /// Whether `value` is looser than `before`: satisfied by every window that satisfies
    /// `before`, and by more.
    #[must_use]
    pub const fn is_looser(self, before: u64, value: u64) -> bool {
        match self {
            Self::AtLeast => value < before,
            Self::AtMost => value > before,
        }
    }
}

impl Action {
    /// Its word, without numbers.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DropSyn => "drop_syn",
            Self::DropAll => "drop_all",
            Self::Limit(_) => "limit",
        }
    }
}

impl Limited {
    /// Its word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Syn => "syn",
            Self::Packets => "packets",
        }
    }

    /// What a word limits.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Syn, Self::Packets].into_iter().find(|limited| limited.as_str() == word)
    }
}

impl Guard {
    /// Its word, without what stands in parentheses.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Allow(_) => "allow",
            Self::Established { .. } => "established",
            Self::Shared { .. } => "shared",
            Self::Port(_) => "port",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table is indexed by the enum's order.
    #[test]
    fn every_metric_is_found_by_its_own_word() {
        for (at, metric) in Metric::ALL.into_iter().enumerate() {
            assert_eq!(metric as usize, at);
            assert_eq!(Metric::from_word(metric.as_str()), Some(metric));
        }
        assert_eq!(Metric::HandshakeRatioPpm.as_str(), "handshake_ratio_ppm");
        assert_eq!(Metric::from_word("syn"), None);
    }
}
