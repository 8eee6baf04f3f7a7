// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reference for operators says what the parser does.

use crate::rules::family::family;
use crate::rules::parse;

const PAGE: &str = include_str!("../../../docs/rules.md");

/// The fenced texts of a language, in order.
fn fenced(language: &str) -> Vec<&'static str> {
    let mark = format!("```{language}\n");
    let rest = PAGE.split(mark.as_str()).skip(1);
    rest.map(|rest| rest.split_once("```").expect("a fence has an end").0).collect()
}

#[test]
fn every_rule_file_of_the_page_is_read() {
    let files = fenced("toml");
    assert_eq!(files.len(), 3);
    for file in files {
        if let Err(error) = parse(file) {
            panic!("{error}");
        }
    }
}

#[test]
fn the_default_rules_of_the_page_are_those_of_the_program() {
    assert_eq!(parse(fenced("toml")[2]).expect("a rule set"), family());
}

#[test]
fn the_error_of_the_page_is_the_one_that_is_shown() {
    let error = parse(fenced("toml-error")[0]).expect_err("a rule file with a fault");
    assert_eq!(format!("{error}\n"), fenced("text")[0]);
}

/// A metric or guard without a row is one that nobody finds.
#[test]
fn every_metric_and_every_guard_has_a_row() {
    let guards = ["allow`", "allow(", "established(", "shared(", "port("].map(str::to_owned);
    for word in super::words::METRICS.map(|word| format!("{word}`")).into_iter().chain(guards) {
        assert!(PAGE.contains(&format!("\n| `{word}")), "{word}");
    }
}
