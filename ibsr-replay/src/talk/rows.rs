// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report's tables of everything that was folded.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use ibsr_proto::cgroup_behaviour_abi::flag;
use ibsr_proto::snapshot::cgroup::words::{Device, Direction, ErrorName, Protocol};

use super::facts::{App, AppFacts, Peer, Tally};
use super::findings::{Aim, Finding, FindingKey};
use super::lives::TalkFacts;
use crate::model::{AppName, AppRow, ErrorRow, FindingRow, MAX_LISTED, PairRow, Passed, Talks};

/// Tables of all days of all streams; none where no cgroup was observed.
#[must_use]
pub fn talks<'a>(all: impl Iterator<Item = &'a TalkFacts>) -> Option<Talks> {
    let mut sum: Option<TalkFacts> = None;
    for facts in all {
        sum.get_or_insert_default().join(facts);
    }
    let sum = sum?;
    let (mut total, mut pairs_left_out) = (sum.talk.rest.clone(), Tally::default());
    let (mut apps, mut pairs) = (Vec::new(), Vec::new());
    for ((_, app), facts) in &sum.talk.apps {
        total.join(&facts.total);
        pairs_left_out.join(&facts.outgoing.rest);
        pairs_left_out.join(&facts.incoming.rest);
        apps.push(app_row(app, facts));
        let kept = facts.outgoing.kept.iter().chain(&facts.incoming.kept);
        pairs.extend(kept.map(|((_, peer), tally)| (app, peer, tally)));
    }
    let key = |row: &AppRow| (Reverse(row.passed.bytes()), row.app.clone());
    apps.sort_by_cached_key(key);
    let bytes = |tally: &Tally| tally.bytes_in.saturating_add(tally.bytes_out);
    pairs.sort_by_key(|(app, peer, tally)| (Reverse(bytes(tally)), *app, *peer));
    Some(Talks {
        rows: sum.rows,
        rows_rejected: sum.rejected,
        evicted_packets: sum.evicted_packets,
        total: passed(&total),
        apps_left_out: passed(&sum.talk.rest),
        apps_known: apps.len() as u64,
        apps: apps.into_iter().take(MAX_LISTED).collect(),
        pairs_left_out: passed(&pairs_left_out),
        pairs_known: pairs.len() as u64,
        pairs: pairs.into_iter().take(MAX_LISTED).map(pair_row).collect(),
        findings: findings(&sum).into_iter().take(MAX_LISTED).collect(),
        findings_cut: sum.findings.is_cut || sum.findings.kept.len() > MAX_LISTED,
    })
}

/// The earliest first; behind all others destinations that the baseline lacks, of which a new
/// release may have hundreds.
fn findings(sum: &TalkFacts) -> Vec<FindingRow> {
    let mut names: BTreeMap<(&str, u32, u64), &str> = BTreeMap::new();
    for (_, app) in sum.talk.apps.keys() {
        if let Some(program) = &app.program {
            let key = (app.host.as_str(), program.exe_device, program.exe_inode);
            let name = names.entry(key).or_insert(&program.comm);
            *name = (*name).min(&program.comm);
        }
    }
    let mut kept: Vec<_> = sum.findings.kept.iter().map(|((_, key), it)| (key, it)).collect();
    let is_new = |key: &FindingKey| key.flag == flag::NOT_IN_BASELINE;
    kept.sort_by_key(|(key, finding)| (is_new(key), finding.flagged_unix_ms, *key));
    let comm = |key: &FindingKey| {
        let name = names.get(&(key.host.as_str(), key.exe_device, key.exe_inode));
        name.map(|name| (*name).to_owned())
    };
    kept.into_iter().map(|(key, finding)| finding_row(key, finding, comm(key))).collect()
}

fn finding_row(key: &FindingKey, finding: &Finding, comm: Option<String>) -> FindingRow {
    let (to, zone) = match &key.to {
        None => (None, None),
        Some(Aim::Destination(to)) => (Some(to), None),
        Some(Aim::Zone(zone)) => (None, Some(zone.to_string())),
    };
    let word = flag::ALL.iter().find(|(bit, _)| *bit == key.flag).map(|(_, word)| *word);
    FindingRow {
        measured: word.map_or_else(|| key.flag.to_string(), str::to_owned),
        host: key.host.clone(),
        comm,
        exe_device: Device(key.exe_device).to_string(),
        exe_inode: key.exe_inode,
        zone,
        addr: to.map(|to| to.addr),
        name: finding.name.as_deref().map(str::to_owned),
        port: to.map(|to| to.port),
        protocol: to.map(|to| Protocol(to.protocol).to_string()),
        connections: finding.connections,
        failed: finding.failed,
        bytes_out: finding.bytes_out,
        interval_mean_ns: finding.interval_mean_ns,
        interval_cv_ppm: finding.interval_cv_ppm,
        window_bytes_out: finding.window_bytes_out,
        window_failed: finding.window_failed,
        window_internal_peers: finding.window_internal_peers,
        questions: finding.questions,
        window_names: finding.window_names,
        window_name_bytes: finding.window_name_bytes,
        window_nxdomain_zones: finding.window_nxdomain_zones,
        flagged_unix_ms: finding.flagged_unix_ms,
        last_unix_ms: finding.last_unix_ms,
        file: finding.file.clone(),
        line: finding.line,
    }
}

fn app_row(app: &App, facts: &AppFacts) -> AppRow {
    AppRow {
        app: app_name(app),
        destinations: facts.outgoing.kept.len() as u64,
        clients: facts.incoming.kept.len() as u64,
        passed: passed(&facts.total),
    }
}

fn pair_row((app, peer, tally): (&App, &Peer, &Tally)) -> PairRow {
    PairRow {
        app: app_name(app),
        direction: Direction(peer.direction).to_string(),
        protocol: Protocol(peer.protocol).to_string(),
        addr: peer.addr,
        name: peer.name.as_deref().map(str::to_owned),
        port: peer.port,
        passed: passed(tally),
    }
}

fn app_name(app: &App) -> AppName {
    let program = app.program.as_ref();
    AppName {
        host: app.host.clone(),
        comm: program.map(|program| program.comm.clone()),
        uid: program.map(|program| program.uid),
        place: app.place.clone(),
        exe_device: program.map(|program| Device(program.exe_device).to_string()),
        exe_inode: program.map(|program| program.exe_inode),
    }
}

fn passed(tally: &Tally) -> Passed {
    let error = |(error, count): (&u16, &u64)| ErrorRow {
        error: ErrorName(*error).to_string(),
        count: *count,
    };
    Passed {
        connections: tally.connections,
        established: tally.established,
        failed: tally.failed.values().fold(0, |sum, more| sum.saturating_add(*more)),
        errors: tally.failed.iter().map(error).collect(),
        packets_in: tally.packets_in,
        bytes_in: tally.bytes_in,
        packets_out: tally.packets_out,
        bytes_out: tally.bytes_out,
        retransmits: tally.retransmits,
        first_unix_ms: tally.first_unix_ms,
        last_unix_ms: tally.last_unix_ms,
    }
}
