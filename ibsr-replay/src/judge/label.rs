// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who a source probably is, from what is known of it over the whole period.
//!
//! By connections where the sensor of a cgroup ran beside that of the interface. Elsewhere by a
//! proxy: the counters that judge are the counters that label, so a report that rests on it
//! can recommend a trial at most. In every bound a source that is none of the others counts as
//! legitimate, and what one sensor does not know never makes a source abusive.

use serde::Serialize;

use crate::fold::source_facts::SourceFacts;

/// Definition by counters, for the report.
pub const DEFINITION: &str = "by XDP counters of the whole period: legitimate when on the \
operator's list, or when at least 1 handshake was completed, 50 of 100 SYN or more completed one, \
and more ACK followed than handshakes need; abusive when at least 20 SYN or 10 ports were tried and \
nothing completed, unless the source resets what it opens at a slow pace, as health checkers do; \
spoofable when at most 3 SYN were sent and never an ACK; unknown otherwise";

/// Definition by connections, for the report.
pub const CONNECTION_DEFINITION: &str = "by connections that the sensor of a cgroup saw, of each \
source of which every host and day has one beside XDP: legitimate when on the operator's list, or when \
at least 1 connection was established and carried payload in both directions, and connections were \
established for 50 of 100 SYN or more; abusive when at least 20 SYN or 10 ports were tried and neither \
sensor saw one completed, unless the source resets what it opens at a slow pace, as health checkers do; \
spoofable when at most 3 SYN were sent, never an ACK, and nothing was established; unknown otherwise, \
also when XDP saw a handshake and no connection is known, as of sockets outside of the cgroup, forwarded \
packets and evicted flows. All other sources by XDP counters: the same with handshakes in the place of \
connections, and more ACK than handshakes need in the place of payload";

/// What a source is labelled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// The counters that rules look at, too.
    Counters,
    /// Connections that another sensor saw.
    Connections,
}

/// A source is legitimate when so many of 100 SYN completed a handshake.
pub const COMPLETED_PERCENT: u64 = 50;
const ABUSIVE_SYN: u64 = 20;
const ABUSIVE_PORTS: u32 = 10;
const SPOOFABLE_SYN: u64 = 3;
/// SYN in its busiest window up to which a source that resets half of what it opens may be
/// a health checker: five a second over ten seconds.
const CHECKER_PEAK_SYN: u64 = 50;

/// What a source probably is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Completed what it began, and went on.
    Legitimate,
    /// Completed nothing of much.
    Abusive,
    /// The address was never proven to exist.
    Spoofable,
    /// None of these.
    Unknown,
}

impl Label {
    /// From what is known of a source. `is_allowed`: it is on the operator's list.
    #[must_use]
    pub fn of(facts: &SourceFacts, basis: Basis, is_allowed: bool, completed_percent: u64) -> Self {
        let counts = &facts.counts;
        if is_allowed {
            return Self::Legitimate;
        }
        let (completed, is_talking) = match basis {
            Basis::Counters => (counts.handshakes, counts.ack > counts.handshakes),
            Basis::Connections => (facts.connected.established, facts.connected.both_ways > 0),
        };
        if completed > 0 || counts.handshakes > 0 {
            let is_completing = u128::from(completed) * 100
                >= u128::from(counts.syn) * u128::from(completed_percent);
            return if is_completing && is_talking { Self::Legitimate } else { Self::Unknown };
        }
        if counts.syn >= ABUSIVE_SYN || facts.ports >= ABUSIVE_PORTS {
            return if is_checker(facts) { Self::Unknown } else { Self::Abusive };
        }
        if counts.syn <= SPOOFABLE_SYN && counts.ack == 0 {
            return Self::Spoofable;
        }
        Self::Unknown
    }

    /// Whether a rule that acts on it may hurt somebody.
    #[must_use]
    pub const fn is_protected(self) -> bool {
        matches!(self, Self::Legitimate | Self::Unknown)
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

/// Opens, resets, comes back slowly and on few ports.
fn is_checker(facts: &SourceFacts) -> bool {
    let counts = &facts.counts;
    let is_slow = facts.peak.is_some_and(|peak| peak.syn <= CHECKER_PEAK_SYN);
    let is_resetting = counts.rst.saturating_mul(2) >= counts.syn && counts.rst <= counts.syn;
    is_slow && is_resetting && facts.ports < ABUSIVE_PORTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::counts::Counts;
    use crate::fold::source_facts::{Connected, Peak};

    fn facts(syn: u64, handshakes: u64, ack: u64, ports: u32) -> SourceFacts {
        let counts = Counts { syn, handshakes, ack, ..Counts::default() };
        SourceFacts { counts, ports, ..SourceFacts::default() }
    }

    /// With (established, with payload both ways) by the other sensor.
    fn connected(syn: u64, handshakes: u64, (established, both_ways): (u64, u64)) -> SourceFacts {
        let connected = Connected { established, both_ways };
        SourceFacts { connected, ..facts(syn, handshakes, 2 * handshakes, 1) }
    }

    fn by_connections(syn: u64, handshakes: u64, connections: (u64, u64)) -> Label {
        let facts = connected(syn, handshakes, connections);
        Label::of(&facts, Basis::Connections, false, COMPLETED_PERCENT)
    }

    fn label(syn: u64, handshakes: u64, ack: u64, ports: u32) -> Label {
        Label::of(&facts(syn, handshakes, ack, ports), Basis::Counters, false, COMPLETED_PERCENT)
    }

    #[test]
    fn each_label_begins_where_its_definition_says() {
        assert_eq!(label(2, 1, 2, 1), Label::Legitimate);
        assert_eq!(label(2, 1, 1, 1), Label::Unknown);
        assert_eq!(label(3, 1, 9, 1), Label::Unknown);
        assert_eq!(label(20, 0, 0, 1), Label::Abusive);
        assert_eq!(label(19, 0, 0, 1), Label::Unknown);
        assert_eq!(label(10, 0, 0, 10), Label::Abusive);
        assert_eq!(label(3, 0, 0, 1), Label::Spoofable);
        assert_eq!(label(3, 0, 1, 1), Label::Unknown);
        assert_eq!(label(4, 0, 0, 1), Label::Unknown);
    }

    #[test]
    fn a_label_by_connections_begins_where_its_definition_says() {
        assert_eq!(by_connections(2, 1, (1, 1)), Label::Legitimate);
        assert_eq!(by_connections(3, 3, (1, 1)), Label::Unknown, "too few of the SYN");
        assert_eq!(by_connections(2, 2, (2, 0)), Label::Unknown, "no payload both ways");
        assert_eq!(by_connections(0, 0, (1, 1)), Label::Legitimate, "older than the recording");
        assert_eq!(by_connections(20, 0, (0, 0)), Label::Abusive);
        assert_eq!(by_connections(19, 0, (0, 0)), Label::Unknown);
        let scan = SourceFacts { ports: 10, ..facts(10, 0, 0, 10) };
        assert_eq!(Label::of(&scan, Basis::Connections, false, 50), Label::Abusive);
        assert_eq!(by_connections(3, 0, (0, 0)), Label::Spoofable);
    }

    /// Of two sensors, either is enough to protect a source; neither knows enough to accuse it.
    #[test]
    fn what_one_sensor_does_not_know_makes_nobody_abusive_or_spoofable() {
        assert_eq!(by_connections(1_000, 1, (0, 0)), Label::Unknown, "outside of the cgroup");
        assert_eq!(by_connections(1_000, 0, (1, 0)), Label::Unknown, "missed by XDP");
        assert_eq!(by_connections(3, 0, (1, 0)), Label::Unknown);
        for syn in [0, 1, 3, 4, 19, 20, 1_000] {
            for (handshakes, established) in [(0, 0), (0, 1), (1, 0), (7, 7)] {
                let source = connected(syn, handshakes, (established, established));
                let by_counters = Label::of(&source, Basis::Counters, false, COMPLETED_PERCENT);
                let by_both = by_connections(syn, handshakes, (established, established));
                assert!(by_both.is_protected() || !by_counters.is_protected(), "{source:?}");
            }
        }
    }

    #[test]
    fn counters_of_any_size_have_a_label() {
        assert_eq!(label(0, 0, 50, 1), Label::Unknown);
        assert_eq!(label(0, 1, 50, 1), Label::Legitimate);
        assert_eq!(label(u64::MAX, u64::MAX, 0, u32::MAX), Label::Unknown);
        assert_eq!(label(0, 0, 0, 0), Label::Spoofable);
    }

    #[test]
    fn the_operators_list_and_the_cut_off_decide_first() {
        let of = |facts: &SourceFacts, is_allowed, cut| {
            [Basis::Counters, Basis::Connections]
                .map(|basis| Label::of(facts, basis, is_allowed, cut))
        };
        assert_eq!(of(&facts(1000, 0, 0, 1), true, 50), [Label::Legitimate; 2]);
        let source = connected(10, 4, (4, 4));
        assert_eq!(of(&source, false, 40), [Label::Legitimate; 2]);
        assert_eq!(of(&source, false, 41), [Label::Unknown; 2]);
    }

    /// It never completes a handshake and is nobody's enemy.
    #[test]
    fn a_health_checker_is_not_called_abusive() {
        let mut checker = facts(8640, 0, 0, 1);
        checker.counts.rst = 8640;
        let expected = [Label::Unknown, Label::Abusive, Label::Abusive];
        for basis in [Basis::Counters, Basis::Connections] {
            let of = |syn: Option<u64>| {
                let peak = syn.map(|syn| Peak { syn, at_unix_ms: 0 });
                Label::of(&SourceFacts { peak, ..checker.clone() }, basis, false, 50)
            };
            assert_eq!([of(Some(50)), of(Some(51)), of(None)], expected, "{basis:?}");
        }
    }
}
