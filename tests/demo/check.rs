// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison: for every client, what it sent and what the report says of it, and whether
//! the rules would have acted on the right ones.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::table;
use serde_json::Value;

use crate::capture::{Sent, Truth};
use crate::enforce::{LEASE, Seen};
use crate::world::{CLIENTS, Client};

const MILLI: u64 = 1_000;

/// A table for people when every number is equal; an error that names the first that is not.
pub fn counts(truth: &Truth, report: &Value) -> Result<Table> {
    let names =
        ["client", "source", "SYN", "handshakes", "RST", "packets", "bytes", "sent = reported"];
    let mut table = table(&names, &[2, 3, 4, 5, 6]);
    for client in &CLIENTS {
        let address: IpAddr = client.address.parse().context("a client's address")?;
        let sent = truth.get(&address).with_context(|| format!("{} sent nothing", client.name))?;
        let reported = reported(report, client.address)?;
        ensure!(
            *sent == reported,
            "{} ({}): sent {sent:?} but the report says {reported:?}",
            client.name,
            client.address
        );
        let numbers = [sent.syn, sent.handshakes, sent.rst, sent.packets, sent.bytes];
        let [syn, handshakes, rst, packets, bytes] = numbers.map(|n| n.to_string());
        let row = [client.name, client.address, &syn, &handshakes, &rst, &packets, &bytes, "yes"];
        table.add_row(row);
    }
    ensure!(
        truth.len() == list(report, "/sources")?.len(),
        "{} sources sent TCP but the report lists {}",
        truth.len(),
        list(report, "/sources")?.len()
    );
    Ok(table)
}

/// A table of whom the rules would have acted on; an error when an attacker is missed or
/// anybody else is hit. `loosest` is the report with every rule at its loosest threshold.
pub fn actions(report: &Value, loosest: &Value) -> Result<Table> {
    let names = ["client", "label", "SYN", "acted on", "by", "at the loosest thresholds by"];
    let mut table = table(&names, &[2, 3]);
    for client in &CLIENTS {
        let by = acted_by(report, client)?;
        let by_loosest = acted_by(loosest, client)?;
        if let Some(rule) = client.caught_by {
            let name = client.name;
            ensure!(by.contains(&rule), "`{rule}` would not have acted on the {name}: {by:?}");
        }
        let row = source(report, client.address)?;
        let syn = [number(row, "syn")?, number(row, "syn_acted")?].map(|n| n.to_string());
        let words = |by: &[&str]| if by.is_empty() { "-".to_owned() } else { by.join(", ") };
        let (by, by_loosest) = (words(&by), words(&by_loosest));
        table.add_row([client.name, text(row, "label")?, &syn[0], &syn[1], &by, &by_loosest]);
    }
    let hurt = report["surface"]["affected"].as_u64();
    ensure!(hurt == Some(0), "the report says that {hurt:?} legitimate sources would be affected");
    Ok(table)
}

/// The rules that would have acted on `client`, when they may and do, or may not and do not.
fn acted_by<'a>(report: &'a Value, client: &Client) -> Result<Vec<&'a str>> {
    let name = client.name;
    let row = source(report, client.address)?;
    let (syn, packets) = (number(row, "syn_acted")?, number(row, "packets_acted")?);
    let listed = [list(report, "/capture/top")?, list(report, "/surface/top")?];
    let listed = listed.into_iter().flatten().filter(|row| row["src"] == client.address);
    let rules = listed.flat_map(|row| row["rules"].as_array()).flatten().filter_map(Value::as_str);
    let rules: Vec<&str> = rules.collect();
    let label = text(row, "label")?;
    if client.caught_by.is_some() {
        ensure!(syn > 0 && !rules.is_empty(), "no rule would have acted on the {name}");
        ensure!(label == "abusive", "the {name} is called {label}");
    } else {
        let is_spared = packets == 0 && rules.is_empty();
        ensure!(is_spared, "{rules:?} would have acted on {packets} packets of the {name}");
        ensure!(matches!(label, "legitimate" | "unknown"), "the {name} is called {label}");
    }
    Ok(rules)
}

/// What is missing, as a sentence; an error when the report claims that half a minute is
/// enough, or does not say how many days are.
pub fn verdict(report: &Value) -> Result<&str> {
    let decision = &report["decision"];
    let verdict = text(decision, "verdict")?;
    ensure!(verdict == "insufficient_evidence", "the verdict is `{verdict}`");
    ensure!(report["is_whole"] == true, "some of the input could not be used");
    let plan = &decision["plan"];
    let for_the_bound = plan["more_days_milli"].as_u64().unwrap_or(0);
    let days_milli = number(plan, "more_whole_days")?.saturating_mul(MILLI).max(for_the_bound);
    ensure!(days_milli > 0, "the plan names no days: {plan}");
    text(plan, "sentence")
}

/// Whether the rehearsal, the report on the same traffic and the applications say the same: a
/// sentence. `connections` are those to denied names, by the count of who made them.
pub fn rehearsal(status: &Value, egress: &Value, connections: u64) -> Result<String> {
    ensure!(status["mode"] == "rehearsal", "the guard does not rehearse: {status}");
    let hook = |hook: &str, field: &str| number(&status["hooks"][hook], field);
    let (rehearsed, asked) = (hook("connect", "would_deny")?, hook("query", "would_deny")?);
    for name in ["connect", "sendmsg", "query", "egress", "ingress"] {
        ensure!(hook(name, "denied")? == 0, "a rehearsal has denied something: {status}");
    }
    ensure!(rehearsed == connections, "{connections} connections, rehearsed {rehearsed}");
    let reported = number(&egress["flows"], "would_deny")?;
    ensure!(reported == connections, "{connections} connections, reported {reported}");
    ensure!(asked > connections, "{asked} questions for {connections} connections");
    Ok(format!(
        "{connections} connections to denied names, by the applications' own count: the rehearsal \
         would have denied {rehearsed}, the report says {reported}; and {asked} questions"
    ))
}

/// The verdict of a report of `egress`.
pub fn egress_verdict<'a>(egress: &'a Value, expected: &str) -> Result<&'a str> {
    let verdict = text(&egress["decision"], "verdict")?;
    ensure!(verdict == expected, "the verdict is `{verdict}`: {}", egress["decision"]);
    Ok(verdict)
}

/// Whether the armed guard did what it is for, and nothing else.
pub fn enforced(seen: &Seen, status: &Value) -> Result<()> {
    /// For a machine that is busy; each is at least ten times what it takes.
    const AT_ONCE: Duration = Duration::from_millis(100);
    const SLACK: Duration = Duration::from_secs(5);
    let Seen { sessions, sessions_alive, denied, back, .. } = *seen;
    ensure!(denied > 0 && denied < sessions, "{denied} of {sessions} are no canary");
    ensure!(sessions_alive == sessions, "{sessions_alive} of {sessions} sessions went on");
    ensure!(back == denied, "{back} of {denied} places can be reached again");
    ensure!(seen.answered < AT_ONCE, "the guard's answer took {:?}", seen.answered);
    ensure!(seen.dropped > 10 * AT_ONCE, "a dropped answer took {:?}", seen.dropped);
    ensure!(seen.until_open < LEASE + SLACK, "open after {:?}", seen.until_open);
    ensure!(status["mode"] == "shadow", "the lease has ended, but: {status}");
    let tried = number(&status["hooks"]["connect"], "denied")?;
    ensure!(tried == denied as u64, "{denied} connections denied, but the guard says {tried}");
    Ok(())
}

fn reported(report: &Value, address: &str) -> Result<Sent> {
    let row = source(report, address)?;
    Ok(Sent {
        syn: number(row, "syn")?,
        handshakes: number(row, "handshakes")?,
        rst: number(row, "rst")?,
        packets: number(row, "packets")?,
        bytes: number(row, "bytes")?,
    })
}

fn source<'a>(report: &'a Value, address: &str) -> Result<&'a Value> {
    let row = list(report, "/sources")?.iter().find(|row| row["src"] == address);
    let Some(row) = row else { bail!("the report does not list {address}") };
    Ok(row)
}

/// The list at a pointer into the report.
pub fn list<'a>(report: &'a Value, pointer: &str) -> Result<&'a Vec<Value>> {
    let list = report.pointer(pointer).and_then(Value::as_array);
    list.with_context(|| format!("the report has no list `{pointer}`"))
}

/// A field that is a number.
pub fn number(row: &Value, field: &str) -> Result<u64> {
    row[field].as_u64().with_context(|| format!("`{field}` is no number in {row}"))
}

/// A field that is a text.
pub fn text<'a>(row: &'a Value, field: &str) -> Result<&'a str> {
    row[field].as_str().with_context(|| format!("`{field}` is no text in {row}"))
}
