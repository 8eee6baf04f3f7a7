// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a policy means, in words.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Result;
use ibsr_cli::{Answer, Format, format_bytes};
use ibsr_policy::{Compiled, Finding, Policy, Rule, compile, findings, memory_bytes};
use serde_json::json;

use crate::machine::{Machine, read_policy};

/// Prints what the policy at `path` means.
///
/// # Errors
/// When it cannot be read or is wrong, or stdout cannot be written.
pub fn run(path: &Path, format: Format) -> Result<Answer> {
    let policy = read_policy(path)?;
    let compiled = compile(&policy, &Machine)?;
    let findings = findings(&policy, &compiled.identities);
    let text = match format {
        Format::Text => as_text(&policy, &compiled, &findings),
        Format::Json => as_json(&policy, &compiled, &findings),
    };
    writeln!(io::stdout().lock(), "{}", text.trim_end())?;
    Ok(if findings.is_empty() { Answer::Yes } else { Answer::No })
}

fn leaves(compiled: &Compiled, rule: usize) -> usize {
    compiled.leaves.iter().filter(|(_, of)| *of == rule).count()
}

/// The fields that a rule asks about, with how many values each has.
fn asks(rule: &Rule) -> String {
    let fields = [
        ("cidr", rule.prefixes.len()),
        ("domain", rule.domains.len()),
        ("ports", rule.ports.len()),
        ("protocol", rule.protocols.len()),
        ("direction", rule.directions.len()),
        ("exe", rule.exes.len()),
        ("user", rule.users.len()),
        ("cgroup", rule.cgroups.len()),
    ];
    let asked: Vec<String> = fields
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} ({count})"))
        .collect();
    if asked.is_empty() { "everything".to_owned() } else { asked.join(", ") }
}

fn place(policy: &Policy, rule: usize) -> String {
    let origin = &policy.rules[rule].origin;
    format!("line {}, `{}`", origin.line, origin.name)
}

fn say(policy: &Policy, finding: &Finding) -> String {
    match *finding {
        Finding::Repeated { rule, by } => format!(
            "{} never decides: {} does the same first",
            place(policy, rule),
            place(policy, by)
        ),
        Finding::Shadowed { rule, by } => format!(
            "{} never decides: {} wins and does something else",
            place(policy, rule),
            place(policy, by)
        ),
        Finding::NothingLearned { rule } => format!(
            "{} decides about queries only: no address has a name\nhint: list the resolvers that are asked in `resolvers`",
            place(policy, rule)
        ),
        Finding::NobodyHere { rule, field } => {
            format!("{} never decides: no `{field}` of it is on this machine", place(policy, rule))
        }
    }
}

fn as_text(policy: &Policy, compiled: &Compiled, findings: &[Finding]) -> String {
    let mut text = String::new();
    for (at, rule) in policy.rules.iter().enumerate() {
        let _infallible = writeln!(
            text,
            "{}: {} {}; {} ways to match",
            place(policy, at),
            rule.verdict.action.as_str(),
            asks(rule),
            leaves(compiled, at)
        );
    }
    let _infallible = writeln!(
        text,
        "else: out {}, in {}",
        policy.defaults.out.action.as_str(),
        policy.defaults.incoming.action.as_str()
    );
    for finding in findings {
        let _infallible = writeln!(text, "warning: {}", say(policy, finding));
    }
    let bytes = format_bytes(memory_bytes(&compiled.tables));
    let _infallible = writeln!(text, "kernel memory: about {bytes}, twice that during a swap");
    text
}

fn as_json(policy: &Policy, compiled: &Compiled, findings: &[Finding]) -> String {
    let rules: Vec<_> = policy
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            json!({
                "line": rule.origin.line,
                "name": rule.origin.name,
                "action": rule.verdict.action.as_str(),
                "leaves": leaves(compiled, at),
                "prefixes": rule.prefixes.len(),
                "domains": rule.domains.len(),
            })
        })
        .collect();
    let warnings: Vec<String> = findings.iter().map(|finding| say(policy, finding)).collect();
    json!({
        "schema": "ibsr-guard-check/1",
        "rules": rules,
        "default_out": policy.defaults.out.action.as_str(),
        "default_in": policy.defaults.incoming.action.as_str(),
        "warnings": warnings,
        "memory_bytes": memory_bytes(&compiled.tables),
    })
    .to_string()
}
