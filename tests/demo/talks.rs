// SPDX-License-Identifier: MIT OR Apache-2.0
//! The comparison for the second sensor: for every application, whom it says that it talked to
//! and whom the report names, and whether what was planted was measured, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::{format_bytes, table};
use ibsr_proto::snapshot::cgroup::Row;
use serde_json::Value;

use crate::acts::{ACTS, Act, Deed, Of, TUNNEL_ZONE, address, deeds};
use crate::apps::{Contact, Count, Done, message};
use crate::capture::Truth;
use crate::check::{list, number, text};
use crate::world::{CLIENTS, VLAN};

const NGINX: &str = "nginx";
/// The flag of a destination that the baseline does not have.
const NEW: &str = "not_in_baseline";

/// A measurement, and the address of its destination or its zone.
type Flag = (String, Option<String>);

/// A table for people when the report says what each application says of itself, and has every
/// flag that was planted and no other; an error that names the first difference.
pub fn compare(
    done: &BTreeMap<&'static str, Done>,
    truth: &Truth,
    report: &Value,
) -> Result<Table> {
    let names = ["application", "what it does", "connections", "in vain", "sent", "flagged"];
    let mut table = table(&names, &[2, 3, 4]);
    let web = visits(truth)?;
    only_ours(report)?;
    for act in &ACTS {
        let done = done.get(act.name).with_context(|| format!("`{}` did nothing", act.name))?;
        row(&mut table, report, (act.name, act.does), done, &expected_flags(act, done)?)?;
        let (asked, sent) = (asked_bytes(act), number(app(report, act.name)?, "bytes_out")?);
        ensure!(sent >= asked, "{}: sent {asked} bytes but the report says {sent}", act.name);
    }
    row(&mut table, report, (NGINX, "serves the clients above"), &web, &BTreeSet::new())?;
    Ok(table)
}

/// What it sent besides headers, and besides what it asked the resolver.
fn asked_bytes(act: &Act) -> u64 {
    let errand = |deed: &Deed| match deed {
        Deed::Errand { ask_bytes, gaps_ms, .. } => (ask_bytes * (gaps_ms.len() + 1)) as u64,
        _ => 0,
    };
    act.deeds.iter().map(errand).sum()
}

fn row(
    table: &mut Table,
    report: &Value,
    (name, does): (&str, &str),
    done: &Done,
    expected: &BTreeSet<Flag>,
) -> Result<()> {
    same_contacts(name, done, &contacts(report, name)?)?;
    let found = flags(report, name)?;
    ensure!(found == *expected, "{name}: flags {found:?} instead of {expected:?}");
    let sum = |of: fn(&Count) -> u64| done.values().map(of).sum::<u64>().to_string();
    let sent_bytes = number(app(report, name)?, "bytes_out")?;
    let words = [sum(|count| count.connections), sum(|count| count.failed)];
    let (sent, flagged) = (format_bytes(sent_bytes), in_words(&found));
    table.add_row([name, does, &words[0], &words[1], &sent, &flagged]);
    Ok(())
}

/// What connections came to the web server: the handshakes that tcpdump saw. Nobody answers
/// the VLAN.
fn visits(truth: &Truth) -> Result<Done> {
    let mut visits = Done::new();
    for client in CLIENTS.iter().filter(|client| client.address != VLAN.address) {
        let sent = truth.get(&client.address.parse().context("a client's address")?);
        let connections = sent.map_or(0, |sent| sent.handshakes);
        if connections > 0 {
            let contact = Contact::new("incoming", "tcp", client.address, 80);
            visits.insert(contact, Count { connections, failed: 0 });
        }
    }
    Ok(visits)
}

/// Nobody else has ever been in the cgroup.
fn only_ours(report: &Value) -> Result<()> {
    for row in list(report, "/talks/apps")?.iter().chain(list(report, "/talks/findings")?) {
        let name = text(row, "comm")?;
        let is_ours = name == NGINX || ACTS.iter().any(|act| act.name == name);
        ensure!(is_ours, "the report has an application `{name}`: {row}");
    }
    Ok(())
}

fn app<'a>(report: &'a Value, name: &str) -> Result<&'a Value> {
    let mut rows = list(report, "/talks/apps")?.iter().filter(|row| row["comm"] == name);
    match (rows.next(), rows.next()) {
        (Some(row), None) => {
            let place = text(row, "place")?;
            ensure!(
                place.ends_with(&format!("/{name}.service")),
                "`{name}` is said to be in {place}"
            );
            Ok(row)
        }
        (None, _) => bail!("the report does not list `{name}`"),
        _ => bail!("the report has two applications `{name}`"),
    }
}

fn contacts(report: &Value, name: &str) -> Result<Done> {
    let mut contacts = Done::new();
    for pair in list(report, "/talks/pairs")?.iter().filter(|row| row["comm"] == name) {
        let contact = Contact {
            direction: text(pair, "direction")?.to_owned(),
            protocol: text(pair, "protocol")?.to_owned(),
            addr: text(pair, "addr")?.to_owned(),
            port: number(pair, "port")?,
            name: pair["name"].as_str().map(str::to_owned),
        };
        let connections = number(pair, "connections")?;
        let count = Count { connections, failed: number(pair, "failed")? };
        ensure!(contacts.insert(contact, count).is_none(), "{name} twice: {pair}");
    }
    Ok(contacts)
}

fn same_contacts(name: &str, done: &Done, reported: &Done) -> Result<()> {
    for contact in done.keys().chain(reported.keys()) {
        let (says, seen) = (done.get(contact), reported.get(contact));
        ensure!(says == seen, "{name}: did {says:?} but the report says {seen:?} of {contact:?}");
    }
    Ok(())
}

/// What was planted; and a destination is new to whoever was not there when the baseline was
/// learned.
fn expected_flags(act: &Act, done: &Done) -> Result<BTreeSet<Flag>> {
    let mut flags = BTreeSet::new();
    for (measured, of) in act.flags {
        let of = match of {
            Of::App => None,
            Of::Zone(zone) => Some((*zone).to_owned()),
            Of::Host(host) => {
                let ip = address(host).with_context(|| format!("`{host}` has no address"))?;
                Some(ip.to_string())
            }
        };
        flags.insert(((*measured).to_owned(), of));
    }
    if !act.is_known {
        let new = |contact: &Contact| (NEW.to_owned(), Some(contact.addr.clone()));
        flags.extend(done.keys().map(new));
    }
    Ok(flags)
}

fn flags(report: &Value, name: &str) -> Result<BTreeSet<Flag>> {
    ensure!(report["talks"]["findings_cut"] == false, "the report has too many findings");
    let findings = list(report, "/talks/findings")?.iter().filter(|row| row["comm"] == name);
    let flag = |row: &Value| {
        let of = row["addr"].as_str().or_else(|| row["zone"].as_str());
        Ok((text(row, "measured")?.to_owned(), of.map(str::to_owned)))
    };
    findings.map(flag).collect()
}

/// Each measurement once, what says least last.
fn in_words(flags: &BTreeSet<Flag>) -> String {
    let names: BTreeSet<&str> = flags.iter().map(|(measured, _)| measured.as_str()).collect();
    let (new, rest): (Vec<&str>, Vec<&str>) = names.into_iter().partition(|name| *name == NEW);
    if flags.is_empty() { "-".to_owned() } else { [rest, new].concat().join(", ") }
}

/// A sentence when every name that the tunnel asked for is in the segments below `dir`, once, and
/// no other of its zone is.
pub fn tunnelled(dir: &Path) -> Result<String> {
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(dir).with_context(|| format!("failed to read `{}`", dir.display()))? {
        let path = entry.context("failed to read the spool")?.path();
        let lines =
            fs::read(&path).with_context(|| format!("failed to read `{}`", path.display()))?;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            if let Ok(Row::Name(row)) = Row::from_line(line) {
                names.insert(row.name.into_owned());
            }
        }
    }
    names.retain(|name| name.ends_with(TUNNEL_ZONE));
    let asked = deeds().filter_map(|(_, deed)| match deed {
        Deed::Tunnel { count } => Some(0..*count),
        _ => None,
    });
    let asked: BTreeSet<String> = asked.flatten().map(message).collect();
    let missing = asked.difference(&names).count();
    ensure!(names == asked, "{missing} of {} names of the tunnel are missing", asked.len());
    Ok(format!("all {} names that the tunnel asked for are in the segments", names.len()))
}
