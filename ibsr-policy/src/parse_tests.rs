// SPDX-License-Identifier: MIT OR Apache-2.0

use super::*;

fn read(text: &str) -> Result<Policy, PolicyError> {
    parse("p.yaml", text, &|file| match file {
        "ads.hosts" => Ok("0.0.0.0 ads.example track.example\n".into()),
        "bad.list" => Ok("10.0.0.0/8\nnot an address at all\n".into()),
        _ => Err("no such file".into()),
    })
}

/// The lists that operators have already work unchanged.
#[test]
fn a_list_of_addresses_and_names_is_two_rules_each() {
    let policy = read(
        "network_policy:\n  policy: deny\n  allow: [10.0.0.0/8, 192.0.2.7, 2001:db8::/32, example.com]\n  deny:\n    - bad.example.com\n",
    )
    .expect("a good policy");
    assert_eq!(policy.defaults.out.action, Action::Deny);
    assert_eq!(policy.defaults.incoming.action, Action::Allow);
    let told: Vec<_> = policy
        .rules
        .iter()
        .map(|rule| (rule.verdict.action, rule.prefixes.len(), rule.domains.len()))
        .collect();
    assert_eq!(told, [(Action::Allow, 3, 0), (Action::Allow, 0, 1), (Action::Deny, 0, 1)]);
    assert!(policy.rules.iter().all(|rule| rule.directions == [Direction::Out]));
}

#[test]
fn every_field_of_a_rule_is_read() {
    let policy = read(
        "rules:\n  - name: no ads\n    action: {sinkhole: 192.0.2.1}\n    ttl: 5m\n    domain_file: ads.hosts\n    cidr: 10.0.0.0/8\n    ports: [443, 8000-8100]\n    protocol: [tcp, 17]\n    direction: out\n    exe: /usr/bin/curl\n    user: [root, 1000]\n    cgroup: /system.slice\n  - action: {reject: ECONNREFUSED}\n    ports: 25\nprotected: [192.0.2.53]\n",
    )
    .expect("a good policy");
    let [ads, mail] = &policy.rules[..] else { panic!("two rules") };
    assert_eq!((ads.origin.name.as_str(), ads.origin.line), ("no ads", 2));
    assert_eq!(ads.verdict.sinkhole, Some("192.0.2.1".parse().expect("an address")));
    assert_eq!(ads.verdict.ttl_s, 300);
    assert_eq!(ads.domains.len(), 2);
    assert_eq!(ads.ports[1], PortRange { first: 8_000, last: 8_100 });
    assert_eq!(ads.protocols, [6, 17]);
    assert_eq!(ads.users, ["root", "1000"]);
    assert_eq!(mail.verdict.error, 111);
    assert_eq!(policy.protected.len(), 1);
}

/// Each: the policy, the line and column of the error, and a word of the message.
#[test]
fn errors_name_the_place() {
    let cases = [
        ("rules:\n  - action: drop\n", (2, 13), "no action"),
        ("rules:\n  - action: deny\n    cidr: 10.0.0.0/33\n", (3, 11), "no prefix"),
        ("rules:\n  - action: deny\n    cidr: [10.0.0.1, x]\n", (3, 22), "`x`"),
        ("rules:\n  - action: deny\n    prots: 1\n", (3, 5), "no field"),
        ("rules:\n  - action: deny\n    ports: 9-1\n", (3, 12), "no port"),
        ("rules:\n  - action: deny\n    ports: []\n", (3, 12), "leave the field out"),
        ("rules:\n  - action: nxdomain\n", (2, 13), "domain"),
        ("rules:\n  - cidr: 10.0.0.1\n", (2, 5), "no `action`"),
        ("rules:\n  - action: {reject: EAGAIN}\n", (2, 22), "none of"),
        ("rules:\n  - action: deny\n    exe: curl\n", (3, 10), "absolute"),
        ("network_policy: {policy: maybe}\n", (1, 26), "neither"),
        ("network_policy: {policy: deny}\ndefault: {out: allow}\n", (2, 16), "already"),
        ("resolvers: [192.0.2.0/24]\n", (1, 13), "no address"),
        ("resolvers: ['::ffff:192.0.2.1']\n", (1, 13), "write it as IPv4"),
        ("strict: yes please\n", (1, 9), "`true` or `false`"),
        ("rules: [\n", (2, 1), ""),
        ("", (1, 1), "empty"),
    ];
    for (text, place, word) in cases {
        let error = read(text).expect_err(text);
        assert_eq!((error.line, error.column), place, "{error}");
        assert!(error.message.contains(word), "{error}");
    }
}

/// The caret of a bad entry stands in the list, not in the policy that names it.
#[test]
fn an_error_in_a_list_names_the_list() {
    let error = read("rules:\n  - action: deny\n    cidr_file: bad.list\n").expect_err("bad");
    assert_eq!((error.file.as_str(), error.line), ("bad.list", 2));
    let error = read("rules:\n  - action: deny\n    cidr_file: none.list\n").expect_err("bad");
    assert_eq!((error.file.as_str(), error.line, error.column), ("p.yaml", 3, 16));
}

#[test]
fn a_policy_is_strict_and_believes_nobody_unless_it_says_so() {
    let policy = read("rules: []\n").expect("a good policy");
    assert_eq!((policy.is_strict, policy.resolvers.len()), (true, 0));
    let policy = read("strict: false\nresolvers: [192.0.2.53, '2001:db8::53']\n");
    let policy = policy.expect("a good policy");
    assert_eq!((policy.is_strict, policy.resolvers.len()), (false, 2));
}

#[test]
fn ipv4_in_ipv6_is_refused_because_it_would_be_read_as_something_else() {
    let text = "rules:\n  - action: deny\n    cidr: '::ffff:10.0.0.0/104'\n";
    assert!(read(text).expect_err("mapped").message.contains("write it as IPv4"));
}
