// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is read, what is refused, and where the carets are.

use proptest::prelude::*;

use super::*;
use crate::rules::ast::{MAX_EXCEPTED_PORTS, MAX_RATE_PS, Op};
use crate::rules::strategy::rule_set;
use crate::rules::text::to_toml;

const ONE_LINE: &str = r#"rule = [{ name = "x", when = ["syn_ps >= 100", "handshake_ratio_ppm <= 50000"], then = "drop_syn", ttl_s = 300 }]"#;

/// The line that most tests break: a whole rule in which `from` is replaced by `to`.
fn with(from: &str, to: &str) -> String {
    let rule = r#"allow = ["203.0.113.0/24"]
[[rule]]
name = "first"
when = ["syn_ps >=", "handshake_ratio_ppm <= 10000"]
for = { k = 2, of = 3 }
then = { limit = "syn", rate_ps = 10, burst = 20 }
ttl_s = 300
unless = ["allow(10.0.0.0/8, 2001:db8::/32)", "established(60)", "shared(4)", "port(22, 443)"]
grid = { syn_ps = [800, 400] }
"#;
    assert!(rule.contains(from), "{from}");
    rule.replacen(from, to, 1)
}

fn refused(text: &str) -> ParseError {
    parse(text).expect_err("a text that is no rule set")
}

/// The words above the carets.
fn marked(text: &str) -> String {
    let shown = refused(text).to_string();
    let lines: Vec<&str> = shown.lines().collect();
    let chars = lines[1].chars().zip(lines[2].chars().chain(std::iter::repeat(' ')));
    chars.filter(|(_, below)| *below == '^').map(|(c, _)| c).collect()
}

#[test]
fn one_line_is_a_rule_file() {
    let set = parse(ONE_LINE).expect("a rule set");
    let [rule] = &set.rules[..] else { panic!("{set:?}") };
    let when: Vec<String> = rule.when.iter().map(ToString::to_string).collect();
    assert_eq!(when, ["syn_ps >= 100", "handshake_ratio_ppm <= 50000"]);
    assert_eq!((rule.span, rule.then, rule.ttl_s), (Span { k: 1, of: 1 }, Action::DropSyn, 300));
    assert_eq!((&set.allow[..], &rule.unless[..], &rule.grid), (&[][..], &[][..], &None));
}

#[test]
fn every_key_is_read() {
    let set = parse(&with("", "")).expect("a rule set");
    let [rule] = &set.rules[..] else { panic!("{set:?}") };
    assert_eq!(set.allow, ["203.0.113.0/24".parse().expect("a prefix")]);
    assert_eq!(rule.name, "first");
    assert_eq!(rule.when[0], Predicate { metric: Metric::SynPs, op: Op::AtLeast, value: 800 });
    assert_eq!(rule.span, Span { k: 2, of: 3 });
    assert_eq!(rule.then, Action::Limit(Limit { of: Limited::Syn, rate_ps: 10, burst: 20 }));
    let inside = ["10.0.0.0/8", "2001:db8::/32"].map(|prefix| prefix.parse().expect("a prefix"));
    assert_eq!(
        rule.unless,
        [
            Guard::Allow(inside.to_vec()),
            Guard::Established { within_s: 60 },
            Guard::Shared { at_least: 4 },
            Guard::Port(vec![22, 443]),
        ]
    );
    assert_eq!(rule.grid, Some(Grid { predicate: 0, values: vec![800, 400] }));
}

#[test]
fn a_message_has_the_place_the_line_the_carets_and_a_hint() {
    let error = refused(&with("syn_ps >=", "syn_pps >="));
    assert_eq!((error.line(), error.column()), (4, 10));
    assert_eq!(
        error.to_string(),
        "line 4, column 10: `syn_pps` is not a metric\n\
         4 | when = [\"syn_pps >=\", \"handshake_ratio_ppm <= 10000\"]\n  \
           |          ^^^^^^^\n\
         hint: write one of syn_ps, packets_ps, bytes_ps, handshake_ratio_ppm, rst_ratio_ppm, \
         ack_ratio_ppm, ports"
    );
}

/// What is replaced by what in a good text, what the carets then mark, and what is said.
const FAULTS: &[(&str, &str, &str, &str)] = &[
    ("allow =", "deny =", "deny", "unknown key `deny`"),
    ("ttl_s", "ttl", "ttl", "unknown key `ttl`"),
    ("k = 2, of", "k = 2, off", "off", "unknown key `off`"),
    ("burst = 20", "bursts = 20", "bursts", "unknown key `bursts`"),
    ("{ syn_ps", "{ syn", "syn", "unknown key `syn`"),
    ("name = \"first\"\n", "", "[[rule]]", "`name` is missing"),
    ("\"first\"", "\"\"", "\"\"", "`` is not a name"),
    ("\"first\"", "\"First\"", "\"First\"", "`First` is not a name"),
    ("\"first\"", "1", "1", "`name` must be a string, not a number"),
    ("ttl_s = 300", "ttl_s = 0", "0", "`ttl_s` must be 1 to 3600"),
    ("ttl_s = 300", "ttl_s = 3601", "3601", "`ttl_s` must be 1 to 3600"),
    ("ttl_s = 300", "ttl_s = -1", "-1", "`ttl_s` must be 1 to 3600"),
    ("300", "0x1_0000_0000_0000_0000", "0x1_0000_0000_0000_0000", "must be 1 to 3600"),
    ("ttl_s = 300", "ttl_s = 3e2", "3e2", "must be a whole number, not a fraction"),
    ("ttl_s = 300", "ttl_s = 1979-05-27", "1979-05-27", "not a date"),
    ("k = 2", "k = 0", "0", "`k` must be 1 to 8"),
    ("of = 3", "of = 9", "9", "`of` must be 1 to 8"),
    ("k = 2, of = 3", "k = 3, of = 2", "{ k = 3, of = 2 }", "3 of 2 windows cannot be"),
    ("k = 2, ", "", "{ of = 3 }", "`k` is missing"),
    ("{ k = 2, of = 3 }", "3", "3", "`for` must be a table"),
    ("\"syn_ps >=\", \"hand", "\"hand", "{ syn_ps = [800, 400] }", "`syn_ps` 0 times"),
    ("\"syn_ps >=\"", "\"\"", "\"", "`` is not a metric"),
    ("syn_ps >=", "syn_ps", "\"", "`` is not a comparison"),
    ("syn_ps >=", "syn_ps > 5", ">", "`>` is not a comparison"),
    ("syn_ps >=", "syn_ps => 5", "=>", "`=>` is not a comparison"),
    ("<= 10000", "<= ten", "ten", "`ten` is not a whole number"),
    ("<= 10000", "<= 10__0", "10__0", "`10__0` is not a whole number"),
    ("<= 10000", "<= 1.5", "1.5", "`1.5` is not a whole number"),
    ("<= 10000", "<= 1000001", "1000001", "`handshake_ratio_ppm` must be 0 to 1000000"),
    ("<= 10000", ">= 0", "0", "`handshake_ratio_ppm` must be 1 to 1000000"),
    ("<= 10000", "<= 99999999999999999999", "99999999999999999999", "must be 0 to 1000000"),
    ("<= 10000", "<= 1 and 2", "and 2", "`and 2` is one word too many"),
    ("<= 10000", "<=", "\"handshake_ratio_ppm <=\"", "`handshake_ratio_ppm <=` has no value"),
    ("syn_ps >=", "syn_ps >= 400", "400", "`400` is not the safest threshold"),
    ("\"syn_ps >=\"", "7", "7", "`when` must be a list of strings, not a number"),
    ("{ limit", "\"allow\" #", "\"allow\"", "`allow` is not an action"),
    ("{ limit", "false #", "false", "`then` must be a string or a table, not true or false"),
    ("\"syn\"", "\"rst\"", "\"rst\"", "`rst` cannot be limited"),
    ("rate_ps = 10", "rate_ps = 0", "0", "`rate_ps` must be 1 to 1000000000"),
    ("burst = 20", "burst = 1000000001", "1000000001", "`burst` must be 1 to 1000000000"),
    ("shared(4)", "sharing(4)", "sharing", "`sharing` is not a guard"),
    ("shared(4)", "(4)", "\"(4)\"", "`(4)` is not a guard"),
    ("shared(4)", "shared", "\"shared\"", "`shared` takes one number in parentheses"),
    ("shared(4)", "shared(4, 5)", "\"shared(4, 5)\"", "`shared` takes one number"),
    ("shared(4)", "shared(1)", "1", "`shared` must be 2 to 65535"),
    ("shared(4)", "shared(4", "\"", "`(` has no closing parenthesis"),
    ("shared(4)", "shared(4) or", "or", "`or` is one word too many"),
    ("shared(4)", "shared 4", "4", "`4` is one word too many"),
    ("shared(4)", "allow", "\"allow\"", "`allow` is there twice"),
    ("established(60)", "established(3601)", "3601", "`established` must be 1 to 3600"),
    ("established(60)", "established()", "\"established()\"", "`established` takes one number"),
    ("established(60)", "established(,)", "\"established(,)\"", "`established` takes one"),
    ("established(60)", "established(1h)", "1h", "`1h` is not a whole number"),
    ("allow(10.0.0.0/8, 2001:db8::/32)", "allow( )", "\"allow( )\"", "`allow` takes prefixes"),
    ("port(22, 443)", "port", "\"port\"", "`port` takes ports in parentheses"),
    ("port(22, 443)", "port()", "\"port()\"", "`port` takes ports in parentheses"),
    ("port(22, 443)", "port(22,)", ")", "`` is not a whole number"),
    ("port(22, 443)", "port(22, 0)", "0", "`port` must be 1 to 65535"),
    ("port(22, 443)", "port(22,65536)", "65536", "`port` must be 1 to 65535"),
    ("port(22, 443)", "port(22, 22)", "22", "`22` is there twice"),
    ("10.0.0.0/8,", "10.0.0.0/33,", "10.0.0.0/33", "`10.0.0.0/33` is not an address prefix"),
    ("10.0.0.0/8,", ",", ",", "`` is not an address prefix"),
    ("10.0.0.0/8,", "10.0.0.1,", "10.0.0.1", "`10.0.0.1` is not a prefix: it has no length"),
    ("10.0.0.0/8,", "10.1.2.0/8,", "10.1.2.0/8", "it has bits behind its length"),
    ("10.0.0.0/8,", "2001:db8::/32,", "2001:db8::/32", "`2001:db8::/32` is there twice"),
    ("203.0.113.0/24", "::ffff:192.0.2.0/120", "::ffff:192.0.2.0/120", "compared as IPv4"),
    ("203.0.113.0/24", "example.org", "example.org", "not an address prefix"),
    ("\"203.0.113.0/24\"", "4", "4", "`allow` must be a list of strings, not a number"),
    ("syn_ps = [800, 400]", "", "{  }", "a grid has one metric, this one has 0"),
    ("400] }", "400], ports = [1] }", "{ syn_ps = [800, 400], ports = [1] }", "this one has 2"),
    ("[800, 400]", "[]", "[]", "`syn_ps` is empty"),
    ("[800, 400]", "[400, 800]", "800", "`800` does not follow `400` in a grid for `>=`"),
    ("[800, 400]", "[800, 800]", "800", "`800` does not follow `800`"),
    ("[800, 400]", "[800, 0]", "0", "`syn_ps` must be 1 to 1000000000000"),
    ("[800, 400]", "800", "800", "`syn_ps` must be a list of numbers"),
    ("grid = { syn_ps = [800, 400] }", "", "\"syn_ps >=\"", "`syn_ps >=` has no value"),
];

#[test]
fn every_limit_has_its_own_message_and_place() {
    for &(from, to, expected, message) in FAULTS {
        let text = with(from, to);
        let error = refused(&text).to_string();
        assert!(error.lines().next().is_some_and(|line| line.contains(message)), "{to}: {error}");
        assert_eq!(marked(&text), expected, "{to}: {error}");
    }
}

#[test]
fn a_grid_for_a_metric_with_two_comparisons_is_refused() {
    let text = with("\"syn_ps >=\"", "\"syn_ps >= 800\", \"syn_ps <= 900\"");
    assert_eq!(*refused(&text).fault(), Fault::GridMetric { metric: "syn_ps", times: 2 });
    let text = with("\"syn_ps >=\"", "\"syn_ps >= 800\", \"syn_ps >= 900\"");
    assert_eq!(*refused(&text).fault(), Fault::SamePredicate { metric: "syn_ps", op: ">=" });
}

#[test]
fn a_grid_for_an_upper_limit_ascends() {
    let text = with("\"syn_ps >=\"", "\"syn_ps <= 5\"");
    assert!(parse(&text.replace("[800, 400]", "[5, 6]")).is_ok());
    let error = refused(&text.replace("[800, 400]", "[5, 5]"));
    assert_eq!(*error.fault(), Fault::GridOrder { value: 5, before: 5, op: "<=" });
    let error = refused(&text.replace("[800, 400]", "[5, 4]"));
    assert_eq!(*error.fault(), Fault::GridOrder { value: 4, before: 5, op: "<=" });
    assert!(error.to_string().contains("write the smallest first"), "{error}");
}

/// What is said to be meant must itself be read.
#[test]
fn what_a_hint_says_is_accepted() {
    for (wrong, right) in [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8::1", "2001:db8::1/128"),
        ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
        ("2001:db8::1/32", "2001:db8::/32"),
    ] {
        let error = refused(&with("203.0.113.0/24", wrong)).to_string();
        assert!(error.ends_with(&format!("hint: write `{right}`")), "{error}");
        assert!(parse(&with("203.0.113.0/24", right)).is_ok(), "{right}");
    }
}

#[test]
fn lists_have_limits() {
    let rules = |count: usize| {
        (0..count)
            .map(|at| {
                ONE_LINE
                    .replace("rule = [", "")
                    .replace("}]", "}")
                    .replace("\"x\"", &format!("\"x{at}\""))
            })
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert!(parse(&format!("rule = [{}]", rules(MAX_RULES))).is_ok());
    let error = refused(&format!("rule = [{}]", rules(MAX_RULES + 1)));
    assert_eq!(*error.fault(), Fault::TooMany { key: "rule", most: MAX_RULES });
    assert!(error.to_string().contains("name = \"x8\""), "{error}");

    let numbers = |count: usize| (1..=count).rev().map(|n| n.to_string()).collect::<Vec<_>>();
    let grid = |count| with("800, 400", &numbers(count).join(", "));
    assert!(parse(&grid(MAX_GRID)).is_ok());
    assert_eq!(marked(&grid(MAX_GRID + 1)), "1");

    let ports = |count| with("22, 443", &numbers(count).join(","));
    assert!(parse(&ports(MAX_EXCEPTED_PORTS)).is_ok());
    assert_eq!(marked(&ports(MAX_EXCEPTED_PORTS + 1)), "1");

    let name = |len: usize| with("first", &"n".repeat(len));
    assert!(parse(&name(MAX_NAME)).is_ok());
    assert!(matches!(refused(&name(MAX_NAME + 1)).fault(), Fault::Name(_)));

    let prefixes = |count: usize| {
        let list = (0..count).map(|n| format!("\"10.{}.{}.0/24\"", n / 256, n % 256));
        with("\"203.0.113.0/24\"", &list.collect::<Vec<_>>().join(","))
    };
    assert!(parse(&prefixes(MAX_PREFIXES)).is_ok());
    assert!(matches!(refused(&prefixes(MAX_PREFIXES + 1)).fault(), Fault::TooMany { .. }));
}

#[test]
fn the_largest_values_are_read() {
    let text = with("800, 400", &format!("{MAX_RATE_PS}, 1"));
    assert_eq!(parse(&text).expect("a rule set").rules[0].when[0].value, MAX_RATE_PS);
}

#[test]
fn two_rules_cannot_have_one_name() {
    let text = format!("{}{}", with("", ""), with("allow = [\"203.0.113.0/24\"]\n", ""));
    let error = refused(&text);
    assert_eq!(*error.fault(), Fault::SameName("first".into()));
    assert_eq!(error.line(), 11);
}

#[test]
fn a_file_without_rules_is_refused() {
    for (text, fault) in [
        ("", Fault::Missing { key: "rule", example: "[[rule]]" }),
        ("# nothing\n", Fault::Missing { key: "rule", example: "[[rule]]" }),
        ("rule = []", Fault::Empty { key: "rule", example: "[[rule]]" }),
    ] {
        assert_eq!(*refused(text).fault(), fault, "{text}");
    }
    assert!(refused("[rule]\nname = \"x\"").to_string().contains("[[rule]]"));
}

#[test]
fn a_text_that_is_no_toml_is_shown_where_it_breaks() {
    let error = refused("[[rule]]\nname = \"x\nwhen = 1");
    assert_eq!((error.line(), error.column()), (2, 10));
    assert!(matches!(error.fault(), Fault::Toml(_)), "{error}");
    assert!(matches!(refused("rule = 1\nrule = 2").fault(), Fault::Toml(_)));
    assert!(matches!(refused(&"[".repeat(100_000)).fault(), Fault::Toml(_)));
}

#[test]
fn a_text_that_is_too_long_is_refused_before_it_is_read() {
    let error = refused(&" ".repeat(MAX_TEXT_BYTES + 1));
    let fault = Fault::TooLong { bytes: MAX_TEXT_BYTES + 1, most: MAX_TEXT_BYTES };
    assert_eq!(*error.fault(), fault);
}

/// Escapes and line breaks shift what is inside a string against the text: then the whole
/// string is marked, and never something beside it.
#[test]
fn carets_stay_at_their_string() {
    assert_eq!(marked(&with("\"syn_ps >=\"", "'syn >='")), "syn");
    assert_eq!(marked(&with("\"syn_ps >=\"", "'''syn >='''")), "syn");
    assert_eq!(marked(&with("\"syn_ps >=\"", r#""\u0073yn >=""#)), r#""\u0073yn >=""#);
    assert_eq!(marked(&with("\"syn_ps >=\"", "\"\"\"\nsyn >=\"\"\"")), "\"\"\"");
    assert_eq!(marked(&with("\"syn_ps >=\"", "\"żółw >= 1\"")), "żółw");
    let error = refused(&with("\"syn_ps >=\"", "\t\"syn\""));
    assert_eq!((error.line(), error.column()), (4, 11));
}

#[test]
fn a_long_line_is_cut_around_its_carets() {
    let long = format!("rule = [{}1]", "{}, ".repeat(7) + &" ".repeat(5000));
    let shown = refused(&format!("{long}\n")).to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
    let shown = refused(&with("\"first\"", &format!("\"{}\"", "N".repeat(5000)))).to_string();
    assert!(shown.lines().all(|line| line.chars().count() < 120), "{shown}");
    let late = with("syn_ps >=", &format!("{}syn", " ".repeat(500)));
    assert_eq!(marked(&late), "syn");
}

#[test]
fn lines_that_end_like_on_windows_are_read() {
    let text = with("", "").replace('\n', "\r\n");
    assert!(parse(&text).is_ok());
    assert_eq!(marked(&text.replace("ttl_s = 300", "ttl_s = 0")), "0");
}

proptest! {
    /// Whatever is in the file, there is an answer, and it can be shown.
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.to_string().lines().count() >= 3);
        }
    }

    /// A rule set with a few bytes changed comes closer to the inner faults.
    #[test]
    fn no_damaged_rule_set_makes_the_parser_panic(
        set in rule_set(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), "[\\PC\\n\"'(),<>=0-9]{0,3}"), 1..4),
    ) {
        let mut chars: Vec<char> = to_toml(&set).chars().collect();
        for (at, with) in damage {
            let at = at.index(chars.len());
            chars.splice(at..=at, with.chars());
        }
        let text: String = chars.into_iter().collect();
        match parse(&text) {
            Ok(read) => prop_assert_eq!(parse(&to_toml(&read)).map_err(|e| e.to_string()), Ok(read)),
            Err(error) => prop_assert!(error.to_string().lines().count() >= 3),
        }
    }
}
