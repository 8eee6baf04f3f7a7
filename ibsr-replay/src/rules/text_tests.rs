// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is written is read again, and is one text for one rule set.

use proptest::prelude::*;

use super::*;
use crate::rules::family::family;
use crate::rules::parse;
use crate::rules::strategy::rule_set;

const CANONICAL: &str = r#"allow = ["192.0.2.0/24", "2001:db8::/32"]

[[rule]]
name = "dead_syn"
when = ["syn_ps >= 400", "handshake_ratio_ppm <= 10000"]
for = { k = 3, of = 3 }
then = "drop_syn"
ttl_s = 300
unless = ["allow", "established(3600)", "shared(4)", "port(22, 443)"]
grid = { syn_ps = [400, 200] }

[[rule]]
name = "volume"
when = ["packets_ps >= 5000"]
for = { k = 1, of = 1 }
then = { limit = "packets", rate_ps = 1000, burst = 2000 }
ttl_s = 60
unless = ["allow(10.0.0.0/8)"]
"#;

/// Everything that can be written in several ways, in another way.
const LOOSE: &str = r#"
rule = [
    { name = 'dead_syn', ttl_s = 0x12c, when = ["  syn_ps>=", "handshake_ratio_ppm <= 10_000"], for = { of = 3, k = 3 }, then = "drop_syn", unless = ["allow", "established( 3600 )", "shared(4)", "port(443,22)"], grid = { syn_ps = [400, 200] } },
    { name = "volume", when = ["packets_ps >= 5000"], then = { burst = 2_000, limit = "packets", rate_ps = 1000 }, ttl_s = 60, unless = ["allow(10.0.0.0/8)"] }, # twice as much
]
allow = ["2001:DB8:0::/32", "192.0.2.0/24"]
"#;

#[test]
fn one_rule_set_has_one_text_however_it_was_written() {
    let set = parse(LOOSE).expect("a rule set");
    assert_eq!(to_toml(&set), CANONICAL);
    assert_eq!(parse(CANONICAL).expect("the canonical text"), set);
}

/// The hash is part of what is signed: another text would make old evidence worthless.
#[test]
fn the_hash_of_a_rule_set_does_not_move() {
    let set = parse(LOOSE).expect("a rule set");
    assert_eq!(sha256(&set), hex(&Sha256::digest(CANONICAL)));
    let mut other = set.clone();
    other.rules[1].ttl_s = 61;
    assert_ne!(sha256(&other), sha256(&set));
}

proptest! {
    #[test]
    fn what_is_written_is_read_again(set in rule_set()) {
        let text = to_toml(&set);
        let read = parse(&text);
        prop_assert_eq!(read.map_err(|error| error.to_string()), Ok(set));
    }
}

#[test]
fn the_default_rules_are_written_and_read_again() {
    assert_eq!(parse(&to_toml(&family())).expect("the canonical text"), family());
}

#[test]
fn a_pinned_set_has_the_chosen_thresholds_and_no_grid() {
    let set = parse(CANONICAL).expect("a rule set");
    let pinned = set.pinned(&[Some(1), Some(0)]);
    assert_eq!(pinned.allow, set.allow);
    assert_eq!(pinned.rules[0].when[0].to_string(), "syn_ps >= 200");
    assert_eq!(pinned.rules[0].grid, None);
    assert_eq!(pinned.rules[1], set.rules[1]);
    assert_eq!(parse(&to_toml(&pinned)).expect("a rule set"), pinned);
}

#[test]
fn rules_that_were_not_chosen_are_left_out() {
    let set = parse(CANONICAL).expect("a rule set");
    let names = |chosen: &[Option<usize>]| {
        set.pinned(chosen).rules.into_iter().map(|rule| rule.name).collect::<Vec<_>>()
    };
    assert_eq!(names(&[None, Some(0)]), ["volume"]);
    assert_eq!(names(&[Some(0)]), ["dead_syn"]);
    assert_eq!(names(&[Some(2), Some(1)]), [""; 0]);
    assert_eq!(names(&[]), [""; 0]);
}
