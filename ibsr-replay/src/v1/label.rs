// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who a source probably is, from the XDP counters of the whole period alone.
//!
//! A proxy: the counters that judge are the counters that label. The cgroup sensor's own
//! view of connections replaces it where there is one.

use serde::Serialize;

use crate::v1::fold::counts::Counts;

const ABUSIVE_SYN: u64 = 20;
const ABUSIVE_PORTS: u32 = 10;
const SPOOFABLE_SYN: u64 = 3;

/// What a source probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Completed at least one handshake, and one for every second SYN.
    Legitimate,
    /// Completed none of at least 20 SYN, or on at least 10 ports.
    Abusive,
    /// At most 3 SYN, never an ACK: the address was never proven to exist.
    Spoofable,
    /// None of these.
    Unknown,
}

impl Label {
    /// From a source's counters and the number of ports that it sent to.
    #[must_use]
    pub const fn of(counts: &Counts, ports: u32) -> Self {
        let Counts { syn, ack, handshakes, .. } = *counts;
        if handshakes >= 1 && handshakes.saturating_mul(2) >= syn {
            return Self::Legitimate;
        }
        if handshakes > 0 {
            return Self::Unknown;
        }
        if syn >= ABUSIVE_SYN || ports >= ABUSIVE_PORTS {
            return Self::Abusive;
        }
        if syn <= SPOOFABLE_SYN && ack == 0 {
            return Self::Spoofable;
        }
        Self::Unknown
    }

    /// The word in the report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Legitimate => "legitimate",
            Self::Abusive => "abusive",
            Self::Spoofable => "spoofable",
            Self::Unknown => "unknown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(syn: u64, handshakes: u64, ack: u64, ports: u32) -> Label {
        Label::of(&Counts { syn, handshakes, ack, ..Counts::default() }, ports)
    }

    #[test]
    fn each_label_begins_where_its_definition_says() {
        assert_eq!(label(2, 1, 9, 1), Label::Legitimate);
        assert_eq!(label(3, 1, 9, 1), Label::Unknown);
        assert_eq!(label(20, 0, 0, 1), Label::Abusive);
        assert_eq!(label(19, 0, 0, 1), Label::Unknown);
        assert_eq!(label(10, 0, 0, 10), Label::Abusive);
        assert_eq!(label(3, 0, 0, 1), Label::Spoofable);
        assert_eq!(label(3, 0, 1, 1), Label::Unknown);
        assert_eq!(label(4, 0, 0, 1), Label::Unknown);
    }

    /// A flow that began before the observation has handshakes' ACKs but no SYN.
    #[test]
    fn counters_of_any_size_have_a_label() {
        assert_eq!(label(0, 0, 50, 1), Label::Unknown);
        assert_eq!(label(0, 1, 50, 1), Label::Legitimate);
        assert_eq!(label(u64::MAX, u64::MAX, 0, u32::MAX), Label::Legitimate);
        assert_eq!(label(0, 0, 0, 0), Label::Spoofable);
    }
}
