// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to say about a cgroup.

use std::path::Path;

use anyhow::Result;
use ibsr_proto::abi::Evidence;
use ibsr_proto::cgroup_abi::{CgroupTotals, missing};
use ibsr_proto::pins::{CGROUP_PROGS, Scope, TOTALS};
use libbpf_rs::MapHandle;
use serde::Serialize;

use crate::installed::Pin;
use crate::installed::cgroup::{self as installed, Installed};
use crate::object::cgroup as object;
use crate::status::{Problem, ScopeReport, absent};
use crate::{cgroupfs, meta};

/// What the pins say.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    /// Hooks with a link; absent where links may not be looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    hooks: Option<usize>,
    missing: Vec<Missing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_flows: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_owners: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_names: Option<u32>,
    /// Whom names are learned from; empty for whoever was asked.
    resolvers: Vec<String>,
    /// Destinations that were there before; 0 where no baseline was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline_entries: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seeded: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Counted>,
    foreign: Vec<String>,
}

/// A program that this kernel does not take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Missing {
    program: &'static str,
    meaning: &'static str,
}

/// The totals that show whether it counts.
#[derive(Debug, Serialize)]
struct Counted {
    packets: u64,
    tracked: u64,
    tracked_bytes: u64,
    flows_inserted: u64,
    owners_inserted: u64,
    created: u64,
    released: u64,
}

/// What [`judge`] needs to know about the world outside the pins.
#[derive(Debug, Default, Clone)]
struct World {
    boot_id: [u8; 16],
    /// Whether the cgroup of the description is there; `None` when that cannot be seen.
    is_there: Option<bool>,
    /// Where the cgroup is or was.
    path: Option<String>,
    has_prepared: bool,
}

/// Looks at one scope.
///
/// # Errors
/// When a directory belongs to somebody else or cannot be listed.
pub(super) fn look(pin_root: &Path, scope: &Scope) -> Result<ScopeReport> {
    let prepared = installed::read(&scope.next_dir(pin_root))?;
    let Some(found) = installed::read(&scope.dir(pin_root))? else {
        return Ok(absent(scope, prepared.is_some(), again(scope, None)));
    };
    let meta = found.meta.as_deref().ok();
    let world = World {
        boot_id: meta::boot_id()?,
        is_there: meta.and_then(|meta| cgroupfs::is_there(&meta.path(), meta.cgroup_id)),
        path: meta.and_then(|meta| cgroupfs::full_path(&meta.path())),
        has_prepared: prepared.is_some(),
    };
    let (problems, notes) = judge(scope, &found, &world);
    Ok(ScopeReport {
        scope: scope.to_string(),
        healthy: problems.is_empty(),
        problems,
        notes,
        facts: super::Facts::Cgroup(facts(&found)),
    })
}

/// The command that attaches a scope.
fn again(scope: &Scope, path: Option<&str>) -> String {
    let name = scope.as_str().trim_start_matches("cg-");
    format!("ibsr-loader attach cgroup {} --name {name}", path.unwrap_or("PATH"))
}

/// What is wrong, and what is worth knowing.
fn judge(scope: &Scope, found: &Installed, world: &World) -> (Vec<Problem>, Vec<String>) {
    let meta = found.meta.as_deref().ok();
    let again = || again(scope, world.path.as_deref());
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut wrong = |problem: String, hint: String| problems.push(Problem { problem, hint });
    for (pin, what) in found.alien_pins() {
        wrong(format!("`{pin}` is not ours: it is {what}"), "bpftool link; bpftool map".to_owned());
    }
    for (pin, map) in &found.maps {
        if *map == Pin::Missing {
            wrong(format!("the pin `{pin}` is missing"), again());
        }
    }
    match &found.meta {
        Err(error) => wrong(error.to_string(), again()),
        Ok(meta) if meta.boot_id != world.boot_id => {
            wrong("it was attached in another boot".to_owned(), again());
        }
        Ok(meta) if meta.evidence < Evidence::Frozen as u32 => {
            notes.push("this kernel cannot freeze the maps: evidence is plain".to_owned());
        }
        Ok(_) => {}
    }
    if let Some(problem) = judge_links(found, world, &mut notes) {
        wrong(problem, again());
    }
    if meta.is_some_and(|meta| meta.resolver_count == 0) {
        notes
            .push("no --resolver is listed: whoever a process asks can name an address".to_owned());
    }
    for Missing { program, meaning } in missing_of(meta.map_or(0, |meta| meta.missing)) {
        notes.push(format!("this kernel does not take `{program}`: {meaning}"));
    }
    if world.has_prepared {
        notes.push(format!("an upgrade did not get to its end: `{}` finishes it", again()));
    }
    notes.extend(found.foreign.iter().map(|name| format!("`{name}` is not ours")));
    (problems, notes)
}

fn judge_links(found: &Installed, world: &World, notes: &mut Vec<String>) -> Option<String> {
    let is_gone = found.links().any(|(_, link)| link.cgroup_id == Some(0));
    if is_gone || world.is_there == Some(false) {
        return Some("its cgroup was deleted; nothing is counted".to_owned());
    }
    if found.is_denied() {
        notes.push("the links were not looked at: that needs root".to_owned());
        return None;
    }
    let torn: Vec<&str> = found.torn_hooks().collect();
    match torn.len() {
        0 if found.links().next().is_some() => None,
        0 | CGROUP_LINKS => Some("no hook is attached".to_owned()),
        _ => Some(format!("not attached as described: {}", torn.join(", "))),
    }
}

/// Hooks with a link: all programs but the walk.
const CGROUP_LINKS: usize = CGROUP_PROGS.len() - 1;

fn missing_of(bits: u32) -> Vec<Missing> {
    let is_missing = |(bit, _, _): &(u32, &str, &str)| bits & bit != 0;
    let all = missing::ALL.into_iter().filter(is_missing);
    all.map(|(_, program, meaning)| Missing { program, meaning }).collect()
}

fn facts(found: &Installed) -> Facts {
    let meta = found.meta.as_deref().ok();
    let totals = read_totals(&found.dir.join(TOTALS));
    Facts {
        cgroup: meta.map(|meta| format!("/{}", meta.path())),
        cgroup_id: meta.map(|meta| meta.cgroup_id),
        hooks: (!found.is_denied()).then(|| found.links().count()),
        missing: missing_of(meta.map_or(0, |meta| meta.missing)),
        evidence: meta.and_then(|meta| Evidence::from_abi(meta.evidence)).map(Evidence::as_str),
        max_flows: meta.map(|meta| meta.max_flows),
        max_owners: meta.map(|meta| meta.max_owners),
        max_names: meta.map(|meta| meta.max_names),
        resolvers: meta.map_or_else(Vec::new, |meta| {
            meta.resolvers().map(|resolver| resolver.to_string()).collect()
        }),
        baseline_entries: meta.map(|meta| meta.baseline_entries),
        epoch: meta.map(|meta| meta.epoch_text()),
        attached_s: meta
            .map(|meta| meta::boot_ns().saturating_sub(meta.attached_boot_ns) / 1_000_000_000),
        program_sha256: meta.map(|meta| meta.program_sha256_text()),
        seeded: totals.map(|totals| totals.seeded),
        totals: totals.map(|totals| Counted {
            packets: totals.packets(),
            tracked: totals.tracked(),
            tracked_bytes: totals.tracked_bytes(),
            flows_inserted: totals.flows_inserted,
            owners_inserted: totals.owners_inserted,
            created: totals.created,
            released: totals.released,
        }),
        foreign: found.foreign.clone(),
    }
}

/// Sum over CPUs; `None` when the map is not there, not readable, or of another layout.
fn read_totals(path: &Path) -> Option<CgroupTotals> {
    let map = MapHandle::from_pinned_path_with_file_flags(path, libbpf_sys::BPF_F_RDONLY).ok()?;
    object::totals(&map).ok()?
}

pub(super) fn rows(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut row = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    let cgroup = facts.cgroup.as_ref().zip(facts.cgroup_id);
    row("cgroup", cgroup.map(|(path, id)| format!("{path} (id {id})")));
    row("hooks", facts.hooks.map(|count| format!("{count} attached")));
    let capacity = facts.max_flows.zip(facts.max_owners);
    row("capacity", capacity.map(|(flows, owners)| format!("{flows} flows, {owners} owners")));
    row(
        "names",
        facts.max_names.map(|max| match &facts.resolvers[..] {
            [] => format!("{max} at most, from whoever is asked"),
            resolvers => format!("{max} at most, from {}", resolvers.join(", ")),
        }),
    );
    row(
        "baseline",
        facts.baseline_entries.map(|number| match number {
            0 => "no destinations".to_owned(),
            number => format!("{number} destinations"),
        }),
    );
    row("evidence", facts.evidence.map(str::to_owned));
    row("programs", facts.program_sha256.clone());
    row("epoch", facts.epoch.clone());
    row("attached", facts.attached_s.map(|s| format!("{s} s ago")));
    row("seeded", facts.seeded.map(|n| format!("{n} sockets that were there before")));
    row(
        "counted",
        facts.totals.as_ref().map(|t| format!("{} packets, {} tracked", t.packets, t.tracked)),
    );
    rows
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
