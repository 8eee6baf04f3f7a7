// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who talks to whom: applications, their destinations, what passed.

use ibsr_replay::model::{AppName, AppRow, FindingRow, PairRow, Passed, Talks};

use super::{Block, Cell, Chart, Fact, Section, Style, fact, numbers, or_nothing, units, words};
use crate::clock;

/// The tables, the busiest first.
pub(super) fn talk(talks: &Talks, style: Style) -> Section {
    let mut blocks = vec![Block::Facts(facts(talks, style))];
    if talks.rows_rejected > 0 {
        blocks.push(Block::Warn(format!(
            "{} of flows cannot be true or cannot be read, and were not used.",
            style.plural(talks.rows_rejected, "row")
        )));
    }
    if talks.pairs.is_empty() {
        blocks.push(Block::Say("No flow was seen.".into()));
    } else {
        blocks.push(Block::Chart(Chart::Talk));
        blocks.push(apps(talks, style));
        blocks.push(pairs(talks, style));
    }
    if !talks.findings.is_empty() {
        blocks.push(Block::Say(
            "What was measured of behaviour and passed a limit of the sensor. A measurement is no verdict: each \
             has innocent explanations."
                .into(),
        ));
        blocks.push(findings(talks, style));
        blocks.push(Block::List(explanations(talks)));
    }
    Section { id: "talk", title: "Who talks to whom", is_summary: true, blocks }
}

/// An application in a few words: the process, and where it runs.
#[must_use]
pub fn app_words(app: &AppName) -> String {
    let comm = app.comm.as_deref().unwrap_or("unknown owner");
    let place = app.place.rsplit('/').next().unwrap_or_default();
    // Ids of containers are known by their first twelve digits.
    let place = match place.split_once(':') {
        Some((runtime, id)) => format!("{runtime}:{}", id.chars().take(12).collect::<String>()),
        None => place.to_owned(),
    };
    if place.is_empty() { comm.to_owned() } else { format!("{comm} in {place}") }
}

/// The other end: the server, or whose clients on which port.
#[must_use]
pub fn peer_words(pair: &PairRow) -> String {
    let addr = pair.addr.to_ip();
    if let Some(name) = &pair.name {
        return format!("{name}:{}/{} ({addr})", pair.port, pair.protocol);
    }
    let at = if pair.direction == "incoming" {
        format!("{addr} to port {}", pair.port)
    } else {
        std::net::SocketAddr::new(addr, pair.port).to_string()
    };
    format!("{at}/{}", pair.protocol)
}

fn facts(talks: &Talks, style: Style) -> Vec<Fact> {
    let total = &talks.total;
    let mut facts = vec![
        fact(
            "Connections",
            format!(
                "{}, {} established, {} failed{}",
                style.count(total.connections),
                style.count(total.established),
                style.count(total.failed),
                errors(total)
            ),
        ),
        fact("Bytes out", ibsr_cli::format_bytes(total.bytes_out)),
        fact("Bytes in", ibsr_cli::format_bytes(total.bytes_in)),
        fact("Segments sent again", style.count(total.retransmits)),
        fact("First seen", or_nothing(total.first_unix_ms, clock::text)),
        fact("Last seen", or_nothing(total.last_unix_ms, clock::text)),
        fact("Evicted before they were read", style.plural(talks.evicted_packets, "packet")),
    ];
    let rest = [
        ("Of applications in no list", &talks.apps_left_out),
        ("Of pairs in no list", &talks.pairs_left_out),
    ];
    for (name, rest) in rest.into_iter().filter(|(_, rest)| **rest != Passed::default()) {
        let connections = style.plural(rest.connections, "connection");
        facts.push(fact(name, format!("{connections}, {}", ibsr_cli::format_bytes(rest.bytes()))));
    }
    facts
}

/// ` (ECONNREFUSED 3, ETIMEDOUT 1)`, or nothing.
fn errors(passed: &Passed) -> String {
    let errors: Vec<String> = passed
        .errors
        .iter()
        .map(|row| match row.error.as_str() {
            "0" => format!("unknown {}", row.count),
            error => format!("{error} {}", row.count),
        })
        .collect();
    if errors.is_empty() { String::new() } else { format!(" ({})", errors.join(", ")) }
}

fn apps(talks: &Talks, style: Style) -> Block {
    let columns = [
        words("application"),
        words("host"),
        words("user"),
        words("executable"),
        numbers("destinations"),
        numbers("clients"),
        numbers("connections"),
        numbers("failed"),
        numbers("bytes out"),
        numbers("bytes in"),
        words("first seen"),
    ];
    style.cut("Applications", &columns, (&talks.apps, talks.apps_known), |row: &AppRow| {
        let (app, passed) = (&row.app, &row.passed);
        let exe = app.exe_device.as_ref().zip(app.exe_inode);
        vec![
            Cell::code(app_words(app)),
            Cell::code(&app.host),
            Cell::Number(or_nothing(app.uid, |uid| uid.to_string())),
            Cell::code(or_nothing(exe, |(device, inode)| format!("{device} {inode}"))),
            style.number(row.destinations),
            style.number(row.clients),
            style.number(passed.connections),
            style.number(passed.failed),
            Cell::Number(ibsr_cli::format_bytes(passed.bytes_out)),
            Cell::Number(ibsr_cli::format_bytes(passed.bytes_in)),
            Cell::Time(or_nothing(passed.first_unix_ms, clock::text)),
        ]
    })
}

fn pairs(talks: &Talks, style: Style) -> Block {
    let columns = [
        words("application"),
        words("host"),
        words("direction"),
        words("peer"),
        numbers("connections"),
        words("failed"),
        numbers("bytes out"),
        numbers("bytes in"),
        numbers("sent again"),
        words("first seen"),
        words("last seen"),
    ];
    let caption = "Applications and their peers";
    style.cut(caption, &columns, (&talks.pairs, talks.pairs_known), |row: &PairRow| {
        let passed = &row.passed;
        vec![
            Cell::code(app_words(&row.app)),
            Cell::code(&row.app.host),
            Cell::text(&row.direction),
            Cell::code(peer_words(row)),
            style.number(passed.connections),
            Cell::text(format!("{}{}", style.count(passed.failed), errors(passed))),
            Cell::Number(ibsr_cli::format_bytes(passed.bytes_out)),
            Cell::Number(ibsr_cli::format_bytes(passed.bytes_in)),
            style.number(passed.retransmits),
            Cell::Time(or_nothing(passed.first_unix_ms, clock::text)),
            Cell::Time(or_nothing(passed.last_unix_ms, clock::text)),
        ]
    })
}

/// What each measurement is, and what else than harm leads to it.
const EXPLANATIONS: [(&str, &str); 8] = [
    (
        "regular_intervals",
        "connections at even intervals. Also: metrics and logs that are shipped, checks for updates, \
         health checks of a public service, polling, cron",
    ),
    (
        "not_in_baseline",
        "a destination that the baseline does not have. Also: a new release, a new address of a known name, \
         a job that runs less often than the baseline was long",
    ),
    (
        "volume_out",
        "many bytes to public addresses in a window. Also: backups, replication, uploads of media or of \
         builds",
    ),
    (
        "many_internal_peers",
        "many internal addresses in a window. Also: monitoring, configuration management, discovery of \
         services, a balancer's checks, gossip of a cluster",
    ),
    (
        "many_failed_connects",
        "many connects in vain in a window. Also: a peer that is down, IPv6 without a route, a wrong port, \
         retries without a pause",
    ),
    (
        "many_names",
        "many different names of one DNS zone in a window. Also: a service with a host name for each \
         customer or object, reverse lookups for a log, a zone that delegates names to others",
    ),
    (
        "name_volume",
        "long names of one DNS zone, much text all together, in a window. Also: block lists of mail \
         servers, lookups of file hashes by a virus scanner, names with a session or a shard in them",
    ),
    (
        "many_nxdomain_zones",
        "names that do not exist, in many zones, in a window. Also: a crawler, a check of links, a browser \
         that tests whether a resolver lies",
    ),
];

fn explanations(talks: &Talks) -> Vec<String> {
    let is_there = |flag: &str| talks.findings.iter().any(|row| row.measured == flag);
    let known = EXPLANATIONS.iter().filter(|(flag, _)| is_there(flag));
    known.map(|(flag, text)| format!("{flag}: {text}.")).collect()
}

fn findings(talks: &Talks, style: Style) -> Block {
    let columns = [
        words("measured"),
        words("application"),
        words("host"),
        words("destination"),
        numbers("connections"),
        numbers("failed"),
        numbers("bytes out"),
        words("figures"),
        words("since"),
        words("evidence"),
    ];
    // How many more there are is not known.
    let known = talks.findings.len() as u64 + u64::from(talks.findings_cut);
    style.cut("Measurements that passed a limit", &columns, (&talks.findings, known), |row| {
        vec![
            Cell::text(&row.measured),
            Cell::code(row.comm.as_deref().unwrap_or("unknown")),
            Cell::code(&row.host),
            Cell::code(destination(row)),
            style.number(row.connections),
            style.number(row.failed),
            Cell::Number(ibsr_cli::format_bytes(row.bytes_out)),
            Cell::text(figures(row)),
            Cell::Time(clock::text(row.flagged_unix_ms)),
            Cell::code(format!("{}:{}", row.file, row.line)),
        ]
    })
}

fn destination(row: &FindingRow) -> String {
    if let Some(zone) = &row.zone {
        return format!("*.{zone}");
    }
    let (Some(addr), Some(port)) = (row.addr, row.port) else { return "-".into() };
    let protocol = row.protocol.as_deref().unwrap_or_default();
    let at = std::net::SocketAddr::new(addr.to_ip(), port);
    match &row.name {
        Some(name) => format!("{name}:{port}/{protocol} ({})", addr.to_ip()),
        None => format!("{at}/{protocol}"),
    }
}

/// What passed the limit.
fn figures(row: &FindingRow) -> String {
    let bytes = ibsr_cli::format_bytes(row.window_bytes_out);
    match row.measured.as_str() {
        "regular_intervals" => {
            let every = units::duration(row.interval_mean_ns / 1_000_000);
            let spread = or_nothing(row.interval_cv_ppm, units::ppm);
            format!("every {every}, spread {spread}")
        }
        "volume_out" => format!("{bytes} in the window"),
        "many_internal_peers" => format!("about {} in the window", row.window_internal_peers),
        "many_names" => format!("about {} in the window", row.window_names),
        "name_volume" => {
            format!("{} of names in the window", ibsr_cli::format_bytes(row.window_name_bytes))
        }
        "many_nxdomain_zones" => {
            format!("about {} zones in the window", row.window_nxdomain_zones)
        }
        "many_failed_connects" => format!("{} in the window", row.window_failed),
        _ => units::NOTHING.to_owned(),
    }
}
