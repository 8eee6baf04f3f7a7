// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one text of a policy, and of what it names on a machine: what evidence is about.
//!
//! Everything that changes a verdict is in it and nothing else: not where a rule stands in its
//! file or what it is called, and not the order of the values of a field. The order of the
//! rules is, because it decides between rules that are equally narrow. One fact a line, words
//! apart by a blank; a byte that is no graphic ASCII, and `%`, is written `%XX`. The format is
//! described in docs/guard-policy.md: a change of it is a new first line.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::compile::Resolve;
use crate::model::{Policy, Rule, Verdict};

const POLICY_FORMAT: &str = "ibsr-policy/1";
const IDENTITIES_FORMAT: &str = "ibsr-identities/1";

/// The canonical text of a policy, lists included.
#[must_use]
pub fn canonical_text(policy: &Policy) -> String {
    let mut lines = Lines(format!("{POLICY_FORMAT}\n"));
    lines.line("established", if policy.keep_established { "keep" } else { "judge" });
    lines.line("strict", if policy.is_strict { "true" } else { "false" });
    lines.line("default out", &verdict(&policy.defaults.out));
    lines.line("default in", &verdict(&policy.defaults.incoming));
    lines.set("protected", policy.protected.iter().map(ToString::to_string));
    lines.set("resolver", policy.resolvers.iter().map(ToString::to_string));
    for rule in &policy.rules {
        lines.rule(rule);
    }
    lines.0
}

/// SHA-256 of [`canonical_text`].
#[must_use]
pub fn policy_hash(policy: &Policy) -> [u8; 32] {
    Sha256::digest(canonical_text(policy)).into()
}

/// SHA-256 of what the executables, users and cgroups of a policy are on a machine.
///
/// Of a cgroup it says only whether it is there: its id is another one after each start of its
/// service, and means the same.
#[must_use]
pub fn identities_hash(policy: &Policy, resolve: &impl Resolve) -> [u8; 32] {
    let mut lines = Lines(format!("{IDENTITIES_FORMAT}\n"));
    let all = |of: fn(&Rule) -> &Vec<String>| policy.rules.iter().flat_map(of);
    lines.set(
        "exe",
        all(|rule| &rule.exes).map(|path| match resolve.exe(path) {
            Some(key) => format!("{} {} {}", escaped(path), key.device, key.inode),
            None => format!("{} absent", escaped(path)),
        }),
    );
    lines.set(
        "user",
        all(|rule| &rule.users).map(|name| match resolve.user(name) {
            Some(uid) => format!("{} {uid}", escaped(name)),
            None => format!("{} absent", escaped(name)),
        }),
    );
    lines.set(
        "cgroup",
        all(|rule| &rule.cgroups).map(|path| {
            let is_there = resolve.cgroup(path).is_some();
            format!("{} {}", escaped(path), if is_there { "there" } else { "absent" })
        }),
    );
    Sha256::digest(lines.0).into()
}

struct Lines(String);

impl Lines {
    fn line(&mut self, name: &str, value: &str) {
        writeln!(self.0, "{name} {value}").expect("a string takes any text");
    }

    /// A line for each value, in one order and none twice.
    fn set(&mut self, name: &str, values: impl Iterator<Item = String>) {
        for value in values.collect::<BTreeSet<_>>() {
            self.line(name, &value);
        }
    }

    fn rule(&mut self, rule: &Rule) {
        // Taken apart, so that a new field cannot be forgotten here.
        let Rule {
            origin: _,
            verdict: does,
            prefixes,
            domains,
            ports,
            protocols,
            directions,
            exes,
            users,
            cgroups,
        } = rule;
        self.line("rule", &verdict(does));
        self.set("cidr", prefixes.iter().map(ToString::to_string));
        self.set(
            "domain",
            domains.iter().map(|name| {
                let forward: Vec<u8> = name.reversed().iter().rev().copied().collect();
                escaped_bytes(forward.strip_prefix(b".").unwrap_or(&forward))
            }),
        );
        self.set("ports", ports.iter().map(|range| format!("{}-{}", range.first, range.last)));
        self.set("protocol", protocols.iter().map(ToString::to_string));
        self.set("direction", directions.iter().map(|way| way.as_str().to_owned()));
        self.set("exe", exes.iter().map(|path| escaped(path)));
        self.set("user", users.iter().map(|user| escaped(user)));
        self.set("cgroup", cgroups.iter().map(|path| escaped(path)));
    }
}

fn verdict(verdict: &Verdict) -> String {
    let Verdict { action, error, sinkhole, ttl_s } = verdict;
    let answer = sinkhole.map_or_else(|| "none".to_owned(), |addr| addr.to_string());
    format!("{} errno {error} answer {answer} ttl {ttl_s}", action.as_str())
}

fn escaped(text: &str) -> String {
    escaped_bytes(text.as_bytes())
}

fn escaped_bytes(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for byte in bytes {
        if byte.is_ascii_graphic() && *byte != b'%' {
            text.push(char::from(*byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes any text");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use ibsr_proto::guard_abi::ExeKey;

    use super::*;
    use crate::parse::parse;

    fn read(text: &str) -> Policy {
        parse("p.yaml", text, &|_| Err("no lists".into())).expect("a good policy")
    }

    const ALL: &str = "established: judge
default: {out: deny, in: allow}
protected: [192.0.2.53, 10.0.0.0/8]
resolvers: [192.0.2.99, 192.0.2.98]
rules:
  - {name: one, action: {sinkhole: 192.0.2.1}, ttl: 5m, domain: [B.example, a.example]}
  - action: {reject: ECONNREFUSED}
    cidr: ['2001:db8::/32', 192.0.2.0/24]
    ports: [443, 80-90]
    protocol: [udp, tcp]
    direction: [in, out]
    exe: '/opt/a b%'
    user: root
    cgroup: [/b, /a]
";

    /// Byte for byte: evidence that exists is about this text.
    #[test]
    fn the_text_is_what_the_documentation_says() {
        let expected = "ibsr-policy/1
established judge
strict true
default out deny errno 1 answer none ttl 60
default in allow errno 0 answer none ttl 60
protected 10.0.0.0/8
protected 192.0.2.53/32
resolver 192.0.2.98
resolver 192.0.2.99
rule sinkhole errno 1 answer 192.0.2.1 ttl 300
domain a.example
domain b.example
rule reject errno 111 answer none ttl 60
cidr 192.0.2.0/24
cidr 2001:db8::/32
ports 443-443
ports 80-90
protocol 17
protocol 6
direction in
direction out
exe /opt/a%20b%25
user root
cgroup /a
cgroup /b
";
        assert_eq!(canonical_text(&read(ALL)), expected);
    }

    #[test]
    fn what_does_not_change_a_verdict_does_not_change_the_hash() {
        let hash = policy_hash(&read(ALL));
        for (from, to) in [
            ("name: one", "name: two"),
            ("[B.example, a.example]", "[a.example, b.example, a.example]"),
            ("[192.0.2.53, 10.0.0.0/8]", "[10.0.0.0/8, 192.0.2.53/32]"),
            ("rules:\n", "# a remark\nrules:\n"),
            ("ttl: 5m", "ttl: 300s"),
            ("[192.0.2.99, 192.0.2.98]", "[192.0.2.98, 192.0.2.99]"),
        ] {
            let other = ALL.replacen(from, to, 1);
            assert_ne!(other, ALL, "{from}");
            assert_eq!(policy_hash(&read(&other)), hash, "{to}");
        }
    }

    #[test]
    fn whatever_changes_a_verdict_changes_the_hash() {
        let hash = policy_hash(&read(ALL));
        for (from, to) in [
            ("established: judge", "established: keep"),
            ("established: judge", "strict: false\nestablished: judge"),
            ("resolvers: [192.0.2.99, ", "resolvers: ["),
            ("out: deny", "out: allow"),
            ("in: allow", "in: deny"),
            ("192.0.2.53", "192.0.2.54"),
            ("sinkhole: 192.0.2.1}", "sinkhole: 192.0.2.2}"),
            ("5m", "6m"),
            ("B.example", "c.example"),
            ("ECONNREFUSED", "EHOSTUNREACH"),
            ("192.0.2.0/24", "192.0.2.0/25"),
            ("80-90", "80-91"),
            ("[udp, tcp]", "[udp]"),
            ("[in, out]", "[in, out, bind]"),
            ("/opt/a b%", "/opt/a b"),
            ("user: root", "user: nobody"),
            ("[/b, /a]", "[/b]"),
        ] {
            let other = ALL.replacen(from, to, 1);
            assert_ne!(other, ALL, "{from}");
            assert_ne!(policy_hash(&read(&other)), hash, "{to}");
        }
        // The order of rules decides between those that are equally narrow.
        let mut swapped = read(ALL);
        swapped.rules.reverse();
        assert_ne!(policy_hash(&swapped), hash);
    }

    /// Inode of the executable, number of the user, id of the cgroup.
    struct Here(u64, Option<u32>, Option<u64>);

    impl Resolve for Here {
        fn exe(&self, _: &str) -> Option<ExeKey> {
            Some(ExeKey { inode: self.0, device: 1, pad: 0 })
        }

        fn user(&self, _: &str) -> Option<u32> {
            self.1
        }

        fn cgroup(&self, _: &str) -> Option<u64> {
            self.2
        }
    }

    #[test]
    fn identities_are_those_of_the_machine() {
        let policy = read(ALL);
        let here = identities_hash(&policy, &Here(1, Some(0), Some(7)));
        assert_eq!(identities_hash(&policy, &Here(1, Some(0), Some(8))), here, "restarted");
        for other in [Here(2, Some(0), Some(7)), Here(1, Some(1), Some(7)), Here(1, None, Some(7))]
        {
            assert_ne!(identities_hash(&policy, &other), here);
        }
        assert_ne!(identities_hash(&policy, &Here(1, Some(0), None)), here);
    }
}
