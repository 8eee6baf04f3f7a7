// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rules of a user who has none.

use crate::rules::ast::RuleSet;
use crate::rules::parse;

/// The default rules with their reasons, as a file to begin with.
pub const TEXT: &str = include_str!("family.toml");

/// The default rules, safest first, with an empty list of allowed prefixes.
///
/// # Panics
/// Never: the text is part of the program, and a test reads it.
#[must_use]
pub fn family() -> RuleSet {
    parse(TEXT).expect("the default rules are a rule set")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fold::counts::Counts;
    use crate::rules::ast::{Action, Guard, Limit, Limited, Rule, Span};
    use crate::rules::level::level;

    const WINDOW_NS: u64 = 10_000_000_000;

    fn rule(name: &str) -> Rule {
        let mut rules = family().rules.into_iter();
        rules.find(|rule| rule.name == name).expect("a rule of the family")
    }

    fn has(rule: &Rule, guard: &Guard) -> bool {
        rule.unless.contains(guard)
    }

    #[test]
    fn the_family_is_in_the_order_of_its_definition() {
        let rules = family().rules;
        let facts: Vec<_> = rules
            .iter()
            .map(|rule| (rule.name.as_str(), (rule.span.k, rule.span.of), rule.then, rule.ttl_s))
            .collect();
        let limit = |of, rate_ps, burst| Action::Limit(Limit { of, rate_ps, burst });
        assert_eq!(
            facts,
            [
                ("dead_syn", (3, 3), Action::DropSyn, 300),
                ("scan", (2, 3), Action::DropSyn, 600),
                ("rst_storm", (3, 3), Action::DropSyn, 300),
                ("churn", (3, 6), limit(Limited::Syn, 10, 50), 300),
                ("volume", (3, 3), limit(Limited::Packets, 1000, 2000), 300),
            ]
        );
    }

    #[test]
    fn every_rule_spares_the_allowed_and_the_shared() {
        for rule in family().rules {
            assert!(has(&rule, &Guard::Allow(Vec::new())), "{}", rule.name);
            assert!(has(&rule, &Guard::Shared { at_least: 4 }), "{}", rule.name);
            assert!(rule.grid.is_some(), "{}", rule.name);
        }
        assert!(has(&rule("dead_syn"), &Guard::Established { within_s: 3600 }));
    }

    /// SYN, then RST to the answer, every second and from three places behind one address.
    #[test]
    fn a_health_checker_is_beyond_every_threshold() {
        let checker = Counts { syn: 30, rst: 30, packets: 60, bytes: 60 * 54, ..Counts::default() };
        for rule in family().rules {
            for ports in [1, 5] {
                assert_eq!(level(&rule, &checker, ports, WINDOW_NS), 0, "{}", rule.name);
            }
        }
    }

    /// Two browsers behind one address open six connections each to a server that does not
    /// answer, and send up to eight SYN for each in the first window: Linux repeats four
    /// times a second apart, and only then less and less often (`tcp_syn_linear_timeouts`).
    #[test]
    fn clients_without_an_answer_are_beyond_every_threshold() {
        let syn = 2 * 6 * 8;
        let client = Counts { syn, packets: syn, bytes: syn * 74, ..Counts::default() };
        for rule in family().rules {
            assert_eq!(level(&rule, &client, 1, WINDOW_NS), 0, "{}", rule.name);
        }
    }

    #[test]
    fn each_rule_sees_what_it_is_for() {
        let flood = Counts { syn: 20_000, packets: 20_000, ..Counts::default() };
        assert_eq!(level(&rule("dead_syn"), &flood, 1, WINDOW_NS), 6);
        let scan = Counts { syn: 100, packets: 100, ..Counts::default() };
        assert_eq!(level(&rule("scan"), &scan, 100, WINDOW_NS), 6);
        let storm = Counts { rst: 900, packets: 1000, ..Counts::default() };
        assert_eq!(level(&rule("rst_storm"), &storm, 1, WINDOW_NS), 3);
        let answers = Counts { rst: 500, syn: 500, packets: 1000, ..Counts::default() };
        assert_eq!(level(&rule("rst_storm"), &answers, 1, WINDOW_NS), 0);
        let churn = Counts { syn: 2000, handshakes: 900, packets: 9000, ..Counts::default() };
        assert_eq!(level(&rule("churn"), &churn, 1, WINDOW_NS), 4);
        assert_eq!(rule("churn").span, Span { k: 3, of: 6 });
        let volume = Counts { packets: 200_000, ack: 20_000, ..Counts::default() };
        assert_eq!(level(&rule("volume"), &volume, 1, WINDOW_NS), 4);
    }
}
