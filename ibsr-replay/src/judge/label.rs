// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who a source probably is, from the XDP counters of the whole period alone.
//!
//! A proxy: the counters that judge are the counters that label. So a report that rests on
//! it can recommend a trial at most. In every bound a source that is none of the others
//! counts as legitimate.

use serde::Serialize;

use crate::fold::source_facts::SourceFacts;

/// Definition, for the report.
pub const DEFINITION: &str = "by XDP counters of the whole period: legitimate when on the \
operator's list, or when at least 1 handshake was completed, 50 of 100 SYN or more completed one, \
and more ACK followed than handshakes need; abusive when at least 20 SYN or 10 ports were tried and \
nothing completed, unless the source resets what it opens at a slow pace, as health checkers do; \
spoofable when at most 3 SYN were sent and never an ACK; unknown otherwise";

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
    pub fn of(facts: &SourceFacts, is_allowed: bool, completed_percent: u64) -> Self {
        let counts = &facts.counts;
        if is_allowed {
            return Self::Legitimate;
        }
        if counts.handshakes > 0 {
            let is_completing = u128::from(counts.handshakes) * 100
                >= u128::from(counts.syn) * u128::from(completed_percent);
            let is_talking = counts.ack > counts.handshakes;
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
    use crate::fold::source_facts::Peak;

    fn facts(syn: u64, handshakes: u64, ack: u64, ports: u32) -> SourceFacts {
        let counts = Counts { syn, handshakes, ack, ..Counts::default() };
        SourceFacts { counts, ports, ..SourceFacts::default() }
    }

    fn label(syn: u64, handshakes: u64, ack: u64, ports: u32) -> Label {
        Label::of(&facts(syn, handshakes, ack, ports), false, COMPLETED_PERCENT)
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
    fn counters_of_any_size_have_a_label() {
        assert_eq!(label(0, 0, 50, 1), Label::Unknown);
        assert_eq!(label(0, 1, 50, 1), Label::Legitimate);
        assert_eq!(label(u64::MAX, u64::MAX, 0, u32::MAX), Label::Unknown);
        assert_eq!(label(0, 0, 0, 0), Label::Spoofable);
    }

    #[test]
    fn the_operators_list_and_the_cut_off_decide_first() {
        assert_eq!(Label::of(&facts(1000, 0, 0, 1), true, 50), Label::Legitimate);
        assert_eq!(Label::of(&facts(10, 4, 9, 1), false, 30), Label::Legitimate);
        assert_eq!(Label::of(&facts(10, 4, 9, 1), false, 70), Label::Unknown);
    }

    /// It never completes a handshake and is nobody's enemy.
    #[test]
    fn a_health_checker_is_not_called_abusive() {
        let mut checker = facts(8640, 0, 0, 1);
        checker.counts.rst = 8640;
        checker.peak = Some(Peak { syn: 10, at_unix_ms: 0 });
        assert_eq!(Label::of(&checker, false, 50), Label::Unknown);
        checker.peak = Some(Peak { syn: 51, at_unix_ms: 0 });
        assert_eq!(Label::of(&checker, false, 50), Label::Abusive);
        checker.peak = None;
        assert_eq!(Label::of(&checker, false, 50), Label::Abusive);
    }
}
