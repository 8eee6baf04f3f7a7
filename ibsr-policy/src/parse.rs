// SPDX-License-Identifier: MIT OR Apache-2.0
//! A policy file to values.

use std::net::IpAddr;

use ibsr_proto::guard_abi::{Action, Direction, NameKey};

use crate::error::{PolicyError, Source};
use crate::list::{MAX_ENTRIES, entries};
use crate::model::{Defaults, Origin, Policy, PortRange, Prefix, Rule, Verdict};
use crate::yaml::{Node, with_document};

/// Of `<asm-generic/errno-base.h>`: operation not permitted.
const EPERM: u16 = 1;
/// Seconds that an answer may be kept when the rule does not say.
const DEFAULT_TTL_S: u32 = 60;
/// RFC 2181 section 8: the largest time to live.
const MAX_TTL_S: u32 = i32::MAX as u32;
/// What `reject` may give: those that connect(2) documents, and what callers expect of a net
/// that does not let them.
const ERRORS: [(&str, u16); 8] = [
    ("EPERM", EPERM),
    ("EACCES", 13),
    ("EADDRNOTAVAIL", 99),
    ("ENETUNREACH", 101),
    ("ECONNRESET", 104),
    ("ETIMEDOUT", 110),
    ("ECONNREFUSED", 111),
    ("EHOSTUNREACH", 113),
];
const PROTOCOLS: [(&str, u8); 6] =
    [("icmp", 1), ("tcp", 6), ("udp", 17), ("icmpv6", 58), ("sctp", 132), ("udplite", 136)];
const TOP_FIELDS: [&str; 7] =
    ["network_policy", "default", "established", "rules", "protected", "resolvers", "strict"];
const RULE_FIELDS: [&str; 13] = [
    "name",
    "action",
    "ttl",
    "cidr",
    "cidr_file",
    "domain",
    "domain_file",
    "ports",
    "protocol",
    "direction",
    "exe",
    "user",
    "cgroup",
];

/// Reads a list by the path that the policy gives, as text; an error as text too.
pub type Read<'read> = &'read dyn Fn(&str) -> Result<String, String>;

/// Reads a policy. `file` is what errors call it, `read` opens the lists that it names.
///
/// # Errors
/// At the first thing that is wrong, with its line and column.
pub fn parse(file: &str, text: &str, read: Read<'_>) -> Result<Policy, PolicyError> {
    with_document(Source { file, text }, |document| Parser { read }.policy(document))
}

struct Parser<'read> {
    read: Read<'read>,
}

const fn allow() -> Verdict {
    Verdict { action: Action::Allow, error: 0, sinkhole: None, ttl_s: DEFAULT_TTL_S }
}

const fn deny(action: Action, error: u16) -> Verdict {
    Verdict { action, error, sinkhole: None, ttl_s: DEFAULT_TTL_S }
}

impl Parser<'_> {
    fn policy(&self, document: Node<'_>) -> Result<Policy, PolicyError> {
        let mut policy = Policy {
            defaults: Defaults { out: allow(), incoming: allow() },
            keep_established: true,
            rules: Vec::new(),
            protected: Vec::new(),
            resolvers: Vec::new(),
            is_strict: true,
        };
        let fields = document.fields(&TOP_FIELDS)?;
        let of_list = fields.iter().any(|(name, _)| name == "network_policy");
        for (name, node) in &fields {
            match name.as_str() {
                "network_policy" => self.network_policy(*node, &mut policy)?,
                "default" => set_defaults(*node, of_list, &mut policy.defaults)?,
                "established" => policy.keep_established = keeps_established(*node)?,
                "rules" => {
                    for rule in node.items() {
                        policy.rules.push(self.rule(rule)?);
                    }
                }
                "resolvers" => policy.resolvers = node.each(parse_resolver)?,
                "strict" => policy.is_strict = node.truth()?,
                _ => policy.protected = node.each(str::parse::<Prefix>)?,
            }
        }
        check_size(document, &policy)?;
        Ok(policy)
    }

    /// The lists that operators have: about what goes out.
    fn network_policy(&self, node: Node<'_>, policy: &mut Policy) -> Result<(), PolicyError> {
        for (name, value) in node.fields(&["policy", "allow", "deny"])? {
            let verdict = match name.as_str() {
                "policy" => {
                    policy.defaults.out = plain_verdict(value)?;
                    continue;
                }
                "allow" => allow(),
                _ => deny(Action::Deny, EPERM),
            };
            let origin = |what| Origin {
                line: value.place().0,
                name: format!("network_policy.{name}, {what}"),
            };
            let mut addresses = Rule::new(origin("addresses"), verdict);
            let mut domains = Rule::new(origin("domains"), verdict);
            addresses.directions.push(Direction::Out);
            domains.directions.push(Direction::Out);
            for item in value.items() {
                let text = item.text()?;
                if let Ok(prefix) = text.parse::<Prefix>() {
                    addresses.prefixes.push(prefix);
                } else if text.contains('/') || text.contains(':') {
                    return Err(item.error(format!("`{text}` is no address and no prefix")));
                } else {
                    domains.domains.push(parse_name(&text).map_err(|error| item.error(error))?);
                }
            }
            let lists = [addresses, domains].into_iter();
            policy
                .rules
                .extend(lists.filter(|rule| !rule.prefixes.is_empty() || !rule.domains.is_empty()));
        }
        Ok(())
    }

    fn rule(&self, node: Node<'_>) -> Result<Rule, PolicyError> {
        let fields = node.fields(&RULE_FIELDS)?;
        let action = fields.iter().find(|(name, _)| name == "action");
        let Some((_, action)) = action else { return Err(node.error("the rule has no `action`")) };
        let line = node.place().0;
        let origin = Origin { line, name: format!("rule in line {line}") };
        let mut rule = Rule::new(origin, verdict(*action)?);
        for (name, value) in &fields {
            self.field(&mut rule, name, *value)?;
        }
        if matches!(rule.verdict.action, Action::Nxdomain | Action::Sinkhole)
            && rule.domains.is_empty()
        {
            return Err(action.error("an answer needs a `domain` that is asked for"));
        }
        Ok(rule)
    }

    fn field(&self, rule: &mut Rule, name: &str, value: Node<'_>) -> Result<(), PolicyError> {
        match name {
            "name" => rule.origin.name = value.text()?,
            "ttl" => rule.verdict.ttl_s = ttl_s(value)?,
            "cidr" => rule.prefixes.extend(some(value, value.each(str::parse::<Prefix>)?)?),
            "cidr_file" => rule.prefixes.extend(self.list(value, str::parse::<Prefix>)?),
            "domain" => rule.domains.extend(some(value, value.each(parse_name)?)?),
            "domain_file" => rule.domains.extend(self.list(value, parse_name)?),
            "ports" => rule.ports = some(value, value.each(parse_ports)?)?,
            "protocol" => rule.protocols = some(value, value.each(parse_protocol)?)?,
            "direction" => rule.directions = some(value, value.each(parse_direction)?)?,
            "exe" => rule.exes = some(value, value.each(parse_path)?)?,
            "user" => rule.users = some(value, value.each(|text| Ok(text.to_owned()))?)?,
            "cgroup" => rule.cgroups = some(value, value.each(parse_path)?)?,
            _ => {}
        }
        Ok(())
    }

    /// The entries of the files that `value` names.
    fn list<T>(
        &self,
        value: Node<'_>,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, PolicyError> {
        let mut all = Vec::new();
        for item in value.items() {
            let file = item.text()?;
            let text = (self.read)(&file)
                .map_err(|error| item.error(format!("failed to read `{file}`: {error}")))?;
            for (line, entry) in entries(&file, &text)? {
                let source = Source { file: &file, text: &text };
                all.push(parse(entry).map_err(|message| source.error((line, 1), message))?);
            }
        }
        some(value, all)
    }
}

/// A field that is there asks something: an empty one would match everything.
fn some<T>(node: Node<'_>, values: Vec<T>) -> Result<Vec<T>, PolicyError> {
    if values.is_empty() {
        return Err(node.error("nothing is listed here; leave the field out to match everything"));
    }
    Ok(values)
}

fn check_size(document: Node<'_>, policy: &Policy) -> Result<(), PolicyError> {
    let prefixes: usize = policy.rules.iter().map(|rule| rule.prefixes.len()).sum();
    let domains: usize = policy.rules.iter().map(|rule| rule.domains.len()).sum();
    for (count, what) in [(prefixes, "prefixes"), (domains, "domains")] {
        if count > MAX_ENTRIES {
            return Err(document.error(format!("{count} {what}; at most {MAX_ENTRIES}")));
        }
    }
    Ok(())
}

fn set_defaults(node: Node<'_>, of_list: bool, defaults: &mut Defaults) -> Result<(), PolicyError> {
    for (name, value) in node.fields(&["out", "in"])? {
        match name.as_str() {
            "out" if of_list => {
                return Err(value.error("`network_policy` says already what goes out by default"));
            }
            "out" => defaults.out = plain_verdict(value)?,
            _ => defaults.incoming = plain_verdict(value)?,
        }
    }
    Ok(())
}

fn keeps_established(node: Node<'_>) -> Result<bool, PolicyError> {
    match node.text()?.as_str() {
        "keep" => Ok(true),
        "judge" => Ok(false),
        other => Err(node.error(format!("`{other}` is neither `keep` nor `judge`"))),
    }
}

fn plain_verdict(node: Node<'_>) -> Result<Verdict, PolicyError> {
    match node.text()?.as_str() {
        "allow" => Ok(allow()),
        "deny" => Ok(deny(Action::Deny, EPERM)),
        other => Err(node.error(format!("`{other}` is neither `allow` nor `deny`"))),
    }
}

fn verdict(node: Node<'_>) -> Result<Verdict, PolicyError> {
    if node.is_mapping() {
        let fields = node.fields(&["sinkhole", "reject"])?;
        let [(name, value)] = &fields[..] else {
            return Err(node.error("an action is one of `sinkhole: ADDR` and `reject: ERRNO`"));
        };
        let text = value.text()?;
        if name == "sinkhole" {
            let addr: IpAddr =
                text.parse().map_err(|_| value.error(format!("`{text}` is no address")))?;
            return Ok(Verdict { sinkhole: Some(addr), ..deny(Action::Sinkhole, EPERM) });
        }
        let known = ERRORS.iter().find(|(name, _)| *name == text);
        let names = || ERRORS.map(|(name, _)| name).join(", ");
        let (_, error) =
            known.ok_or_else(|| value.error(format!("`{text}` is none of {}", names())))?;
        return Ok(deny(Action::Reject, *error));
    }
    match node.text()?.as_str() {
        "nxdomain" => Ok(deny(Action::Nxdomain, EPERM)),
        "allow" | "deny" => plain_verdict(node),
        other => Err(node.error(format!(
            "`{other}` is no action; there are allow, deny, nxdomain, `sinkhole: ADDR`, `reject: ERRNO`"
        ))),
    }
}

fn ttl_s(node: Node<'_>) -> Result<u32, PolicyError> {
    let text = node.text()?;
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 's')) => (&text[..at], 1),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 'h')) => (&text[..at], 3_600),
        _ => (text.as_str(), 1),
    };
    let seconds = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(factor));
    seconds
        .filter(|seconds| *seconds <= MAX_TTL_S)
        .ok_or_else(|| node.error(format!("`{text}` is no time to live; write `60s` or `5m`")))
}

fn parse_resolver(text: &str) -> Result<IpAddr, String> {
    let addr = text.parse::<IpAddr>().map_err(|_| format!("`{text}` is no address"))?;
    if addr.to_canonical() != addr {
        return Err(format!("`{text}` is IPv4 in IPv6: write it as IPv4"));
    }
    Ok(addr)
}

fn parse_name(text: &str) -> Result<NameKey, String> {
    let suffix = text.strip_prefix("*.").or_else(|| text.strip_prefix('.')).unwrap_or(text);
    let is_plain = suffix.bytes().all(|byte| byte.is_ascii_graphic() && !b"/:*".contains(&byte));
    let key = if is_plain { NameKey::new(suffix) } else { None };
    key.ok_or_else(|| format!("`{text}` is no domain name (other scripts as `xn--...`)"))
}

fn parse_ports(text: &str) -> Result<PortRange, String> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    match (first.trim().parse(), last.trim().parse()) {
        (Ok(first), Ok(last)) if first <= last => Ok(PortRange { first, last }),
        _ => Err(format!("`{text}` is no port and no range such as `8000-8100`")),
    }
}

fn parse_protocol(text: &str) -> Result<u8, String> {
    let known = PROTOCOLS.iter().find(|(name, _)| *name == text);
    let number = known.map(|(_, number)| *number).or_else(|| text.parse().ok());
    number.ok_or_else(|| format!("`{text}` is no protocol; there are tcp, udp, icmp, or a number"))
}

fn parse_direction(text: &str) -> Result<Direction, String> {
    let known = Direction::ALL.into_iter().find(|direction| direction.as_str() == text);
    known.ok_or_else(|| format!("`{text}` is no direction; there are out, in, bind"))
}

fn parse_path(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        return Ok(text.to_owned());
    }
    Err(format!("`{text}` is no absolute path"))
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
