// SPDX-License-Identifier: MIT OR Apache-2.0

use ibsr_proto::guard_abi::{NameKey, Query};
use ibsr_proto::verdict::verdict;
use proptest::prelude::*;

use super::*;
use crate::explain::{Finding, findings};
use crate::specificity::best;

/// A machine with three executables, three users and four cgroups.
struct Machine;

const CGROUPS: [&str; 4] = ["/a", "/a/b", "/a/b/c", "/d"];

impl Resolve for Machine {
    fn exe(&self, path: &str) -> Option<ExeKey> {
        let inode = path.strip_prefix("/bin/")?.parse().ok().filter(|inode| *inode < 3)?;
        Some(ExeKey { inode, device: 1, pad: 0 })
    }

    fn user(&self, name: &str) -> Option<u32> {
        name.parse().ok().filter(|uid| *uid < 3)
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        CGROUPS.iter().position(|known| *known == path).map(|at| at as u64 + 1)
    }
}

fn read(text: &str) -> Policy {
    crate::parse("p", text, &|_| Err("none".into())).unwrap_or_else(|error| panic!("{error}"))
}

fn query(addr: &str, port: u16) -> Query {
    let addr: std::net::IpAddr = addr.parse().expect("an address");
    Query {
        addr: ibsr_proto::addr::SourceAddr::from(addr).to_bytes(),
        exe: ExeKey { inode: 9, device: 9, pad: 0 },
        cgroup_id: 0,
        uid: 9,
        port,
        protocol: 6,
        direction: Direction::Out as u8,
    }
}

/// The documented order, line by line: of two rules that match, the first of each pair wins,
/// whatever their order in the file.
#[test]
fn the_most_specific_rule_wins() {
    let pairs = [
        ("domain: a.example.com", "domain: example.com"),
        ("domain: com", "cidr: 192.0.2.1"),
        ("cidr: 192.0.2.1", "cidr: 192.0.2.0/24"),
        ("cidr: 192.0.0.0/16", "ports: 443"),
        ("ports: 443", "ports: 400-500"),
        ("ports: 1-65535", "protocol: tcp"),
        ("protocol: tcp", "direction: out"),
        ("direction: out", "exe: /bin/1"),
        ("exe: /bin/1", "user: 1"),
        ("user: 1", "cgroup: /a/b"),
        ("cgroup: /a/b", "cgroup: /a"),
    ];
    let name = NameKey::new("a.example.com").expect("a name");
    let query = Query {
        exe: ExeKey { inode: 1, device: 1, pad: 0 },
        uid: 1,
        cgroup_id: 2,
        ..query("192.0.2.1", 443)
    };
    for (winner, other) in pairs {
        for (first, second, wins) in [(winner, other, 0), (other, winner, 1)] {
            for (a, b) in [("allow", "deny"), ("deny", "allow")] {
                let text = format!(
                    "rules:\n  - {{action: {a}, {first}}}\n  - {{action: {b}, {second}}}\n"
                );
                let compiled = compile(&read(&text), &Machine).expect("small");
                let leaf = verdict(&compiled.tables, &query, Some(&name)).expect("a default");
                assert_eq!(leaf.rule(), Some(wins), "{text}");
            }
        }
    }
}

/// Of rules that ask the same, the one that denies wins, then the first.
#[test]
fn of_equals_a_denial_wins_then_the_first() {
    for (actions, wins) in [(["allow", "deny"], 1), (["deny", "allow"], 0), (["deny", "deny"], 0)] {
        let [a, b] = actions;
        let text =
            format!("rules:\n  - {{action: {a}, ports: 80}}\n  - {{action: {b}, ports: 80}}\n");
        let compiled = compile(&read(&text), &Machine).expect("small");
        let leaf = verdict(&compiled.tables, &query("192.0.2.1", 80), None).expect("a default");
        assert_eq!(leaf.rule(), Some(wins), "{text}");
    }
}

/// `::/0` is what IPv6 calls everything: no IPv4 address lies in it, although the keys do.
#[test]
fn the_widest_ipv6_prefix_holds_no_ipv4() {
    let compiled =
        compile(&read("rules:\n  - {action: deny, cidr: '::/0'}\n"), &Machine).expect("small");
    let rule = |addr| verdict(&compiled.tables, &query(addr, 1), None).expect("a default").rule();
    assert_eq!(rule("192.0.2.1"), None);
    assert_eq!(rule("2001:db8::1"), Some(0));
    assert_eq!(rule("::1"), Some(0));
}

#[test]
fn too_many_ways_to_match_are_refused() {
    let ports: Vec<String> = (1..=1_100_u32).map(|last| format!("1-{last}")).collect();
    let text = format!("rules:\n  - {{action: deny, ports: [{}]}}\n", ports.join(", "));
    assert_eq!(
        compile(&read(&text), &Machine).expect_err("too many"),
        CompileError::TooManyLeaves { needed: 1_103 }
    );
}

#[test]
fn rules_that_never_decide_are_found() {
    let policy = read(
        "rules:\n  - {action: deny, cidr: [10.0.0.0/8, 192.0.2.0/24]}\n  - {action: allow, cidr: 10.0.0.0/8}\n  - {action: deny, cidr: 192.0.2.0/24}\n  - {action: allow, cidr: 10.0.0.0/8, ports: 80}\n  - {action: deny, exe: /bin/none}\n",
    );
    let compiled = compile(&policy, &Machine).expect("small");
    assert_eq!(
        findings(&policy, &compiled.identities),
        [
            Finding::Shadowed { rule: 1, by: 0 },
            Finding::Repeated { rule: 2, by: 0 },
            Finding::NobodyHere { rule: 4, field: "exe" },
        ]
    );
}

/// Strictness costs those something who ask for no name, so it is not for them.
#[test]
fn a_policy_without_names_is_not_strict() {
    let strict =
        |text: &str| compile(&read(text), &Machine).expect("small").tables.policy.is_strict;
    assert_eq!(strict("rules:\n  - {action: deny, ports: 80}\n"), 0);
    assert_eq!(strict("rules:\n  - {action: deny, domain: a.test}\n"), 1);
    assert_eq!(strict("strict: false\nrules:\n  - {action: deny, domain: a.test}\n"), 0);
}

#[test]
fn a_rule_with_a_domain_needs_somebody_to_believe() {
    let found = |more: &str| {
        let policy = read(&format!("{more}rules:\n  - {{action: deny, domain: a.test}}\n"));
        let compiled = compile(&policy, &Machine).expect("small");
        assert_eq!(compiled.tables.resolvers.len(), policy.resolvers.len());
        findings(&policy, &compiled.identities)
    };
    assert_eq!(found(""), [Finding::NothingLearned { rule: 0 }]);
    assert_eq!(found("resolvers: 192.0.2.53\n"), []);
}

/// What only stands elsewhere is the same policy; what does something else is another.
#[test]
fn the_hash_is_of_what_a_policy_does() {
    let hash = |text: &str| compile(&read(text), &Machine).expect("small").tables.policy.hash;
    let one = hash("rules:\n  - {action: deny, ports: 80}\n");
    assert_eq!(one, hash("# why\nrules:\n  - name: web\n    ports: 80\n    action: deny\n"));
    assert_ne!(one, hash("rules:\n  - {action: deny, ports: 81}\n"));
    for more in ["protected: [192.0.2.1]", "resolvers: [192.0.2.1]", "strict: false"] {
        let other = format!("rules:\n  - {{action: deny, ports: 80}}\n{more}\n");
        assert_ne!(one, hash(&other), "{more}");
    }
}

fn subset(values: &'static [&'static str]) -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![2 => Just(Vec::new()), 1 => prop::sample::subsequence(values, 1..=3)]
}

/// A rule over small sets of values, so that rules meet.
fn rule() -> impl Strategy<Value = String> {
    let fields = (
        prop::sample::select(&["allow", "deny", "{reject: ECONNREFUSED}"][..]),
        subset(&[
            "0.0.0.0/0",
            "10.0.0.0/8",
            "10.1.0.0/16",
            "10.1.1.1",
            "'::/0'",
            "'2001::/16'",
            "'2001:db8::/32'",
        ]),
        subset(&["com", "example.com", "a.example.com", "org"]),
        subset(&["80", "1-1024", "443", "400-500"]),
        subset(&["tcp", "udp", "icmp"]),
        subset(&["in", "out", "bind"]),
        subset(&["/bin/0", "/bin/1", "/bin/none"]),
        subset(&["0", "1", "7"]),
        subset(&["/a", "/a/b", "/a/b/c", "/d"]),
    );
    let names = ["cidr", "domain", "ports", "protocol", "direction", "exe", "user", "cgroup"];
    fields.prop_map(move |(action, a, b, c, d, e, f, g, h)| {
        let mut text = format!("action: {action}");
        for (name, values) in names.iter().zip([a, b, c, d, e, f, g, h]) {
            if !values.is_empty() {
                text += &format!(", {name}: [{}]", values.join(", "));
            }
        }
        text
    })
}

fn any_query() -> impl Strategy<Value = (Query, Option<&'static str>)> {
    let addrs = ["10.1.1.1", "10.1.2.3", "10.9.9.9", "192.0.2.1", "2001:db8::1", "2001::1", "::1"];
    let names =
        ["com", "example.com", "a.example.com", "b.a.example.com", "xexample.com", "org", "net"];
    (
        prop::sample::select(addrs.to_vec()),
        prop::sample::select(&[22, 80, 443, 450, 1_024, 8_080][..]),
        prop::sample::select(&[1, 6, 17, 47][..]),
        0_u8..3,
        0_u64..4,
        0_u32..4,
        0_u64..5,
        prop::option::of(prop::sample::select(names.to_vec())),
    )
        .prop_map(|(addr, port, protocol, direction, inode, uid, cgroup_id, name)| {
            let exe = ExeKey { inode, device: 1, pad: 0 };
            let query = Query { exe, uid, cgroup_id, protocol, direction, ..query(addr, port) };
            (query, name)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// The tables say what walking every rule says.
    #[test]
    fn the_tables_agree_with_the_slow_reading(
        rules in prop::collection::vec(rule(), 1..6),
        queries in prop::collection::vec(any_query(), 20),
        defaults in prop::sample::select(&["{out: deny, in: allow}", "{out: allow, in: deny}"][..]),
    ) {
        let rules: String = rules.iter().map(|rule| format!("  - {{{rule}}}\n")).collect();
        let text = format!("default: {defaults}\nrules:\n{rules}");
        let policy = read(&text);
        let compiled = match compile(&policy, &Machine) {
            Ok(compiled) => compiled,
            Err(CompileError::TooManyLeaves { .. }) => return Ok(()),
        };
        for (query, name) in queries {
            let name = name.map(|name| NameKey::new(name).expect("a name"));
            let fast = verdict(&compiled.tables, &query, name.as_ref()).expect("a default");
            let (rule, slow) = best(&policy, &compiled.identities, &query, name.as_ref());
            let action = slow.map_or(Action::Allow, |verdict| verdict.action);
            prop_assert_eq!(fast.rule().map(|rule| rule as usize), rule, "{}\n{:?}", text, query);
            prop_assert_eq!(fast.action, action as u8);
        }
    }
}
