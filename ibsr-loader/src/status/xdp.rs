// SPDX-License-Identifier: MIT OR Apache-2.0
//! What there is to say about an interface.

use std::path::Path;

use anyhow::Result;
use ibsr_proto::abi::{Evidence, Table, XdpMode};
use ibsr_proto::conservation::Totals;
use ibsr_proto::pins::{Scope, TOTALS};
use ibsr_proto::ports::PortSet;
use libbpf_rs::MapHandle;
use serde::Serialize;

use crate::installed::Pin;
use crate::installed::xdp::{self as installed, Installed};
use crate::kernel::{self, XdpState};
use crate::object::xdp as object;
use crate::status::{Problem, ScopeReport, absent};
use crate::{meta, netdev};

/// What the pins say.
#[derive(Debug, Default, Serialize)]
pub(super) struct Facts {
    #[serde(skip_serializing_if = "Option::is_none")]
    link_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prog_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ifindex: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    evidence: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_ports: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_sources: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attached_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    program_sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    totals: Option<Totals>,
    foreign: Vec<String>,
}

/// What [`judge`] needs to know about the world outside the pins.
#[derive(Debug, Default, Clone)]
struct World {
    boot_id: [u8; 16],
    /// Name of the link's interface in this network namespace.
    ifname_now: Option<String>,
    /// Programs on it.
    xdp: XdpState,
    /// `down` or `without carrier`.
    silence: Option<&'static str>,
    has_prepared: bool,
}

pub(super) fn look(pin_root: &Path, scope: &Scope) -> Result<ScopeReport> {
    let prepared = installed::read(&scope.next_dir(pin_root))?;
    let Some(found) = installed::read(&scope.dir(pin_root))? else {
        return Ok(absent(scope, prepared.is_some(), again(scope)));
    };
    let ifindex = ifindex_of(&found);
    let ifname_now = ifindex.and_then(netdev::name_of);
    let world = World {
        boot_id: meta::boot_id()?,
        xdp: ifindex.and_then(|ifindex| kernel::query_xdp(ifindex).ok()).unwrap_or_default(),
        silence: ifname_now.as_deref().and_then(netdev::silence),
        ifname_now,
        has_prepared: prepared.is_some(),
    };
    let (problems, notes) = judge(scope, &found, &world);
    Ok(ScopeReport {
        scope: scope.to_string(),
        healthy: problems.is_empty(),
        problems,
        notes,
        facts: super::Facts::Xdp(facts(&found, &world)),
    })
}

/// From the link where it may be read, else from the description.
fn ifindex_of(found: &Installed) -> Option<u32> {
    match &found.link {
        Pin::There(link) => Some(link.ifindex).filter(|&ifindex| ifindex != 0),
        Pin::Denied => found.meta.as_deref().ok().map(|meta| meta.ifindex),
        _ => None,
    }
}

/// The command that attaches a scope.
pub(super) fn again(scope: &Scope) -> String {
    format!("ibsr-loader attach xdp {}", scope.ifname().unwrap_or("IFNAME"))
}

/// What is wrong, and what is worth knowing.
fn judge(scope: &Scope, found: &Installed, world: &World) -> (Vec<Problem>, Vec<String>) {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    let mut wrong = |problem: String, hint: String| problems.push(Problem { problem, hint });
    for (pin, what) in found.alien_pins() {
        wrong(format!("`{pin}` is not ours: it is {what}"), "bpftool link; bpftool map".to_owned());
    }
    for (pin, map) in &found.maps {
        if *map == Pin::Missing {
            wrong(format!("the pin `{pin}` is missing"), again(scope));
        }
    }
    match &found.meta {
        Err(error) => wrong(error.to_string(), again(scope)),
        Ok(meta) if meta.boot_id != world.boot_id => {
            wrong("it was attached in another boot".to_owned(), again(scope));
        }
        Ok(meta) if meta.evidence < Evidence::Frozen as u32 => {
            notes.push("this kernel cannot freeze the maps: evidence is plain".to_owned());
        }
        Ok(_) => {}
    }
    if let Some((problem, hint)) = judge_link(scope, found, world, &mut notes) {
        wrong(problem, hint);
    }
    if world.has_prepared {
        notes.push(format!("an upgrade did not get to its end: `{}` finishes it", again(scope)));
    }
    if let Some(silence) = world.silence {
        notes.push(format!("the interface is {silence}"));
    }
    notes.extend(found.foreign.iter().map(|name| format!("`{name}` is not ours")));
    (problems, notes)
}

fn judge_link(
    scope: &Scope,
    found: &Installed,
    world: &World,
    notes: &mut Vec<String>,
) -> Option<(String, String)> {
    let on_interface = [world.xdp.native_id, world.xdp.generic_id, world.xdp.offload_id];
    let link = match &found.link {
        Pin::There(link) => link,
        Pin::Denied if on_interface.iter().any(|&id| id != 0) => {
            notes.push("the link was not looked at: that needs root".to_owned());
            return None;
        }
        Pin::Denied => {
            return Some(("no XDP program is on the interface".to_owned(), again(scope)));
        }
        Pin::Missing => {
            return Some(("an attach did not get to its end".to_owned(), again(scope)));
        }
        Pin::Alien(_) => return None,
    };
    if link.ifindex == 0 {
        return Some(("its interface was deleted; nothing is counted".to_owned(), again(scope)));
    }
    match &world.ifname_now {
        Some(_) if !on_interface.contains(&link.prog_id) => {
            notes.push(format!("interface {} is in another network namespace", link.ifindex));
        }
        Some(now) if scope.ifname() != Some(now) => {
            notes.push(format!("the interface is named `{now}` now; counting goes on"));
        }
        Some(_) => {}
        None => notes.push(format!("interface {} is in another network namespace", link.ifindex)),
    }
    None
}

fn facts(found: &Installed, world: &World) -> Facts {
    let link = found.link.there();
    let meta = found.meta.as_deref().ok();
    Facts {
        link_id: link.map(|link| link.id),
        prog_id: link.map(|link| link.prog_id),
        ifname: world.ifname_now.clone().or_else(|| meta.map(|meta| meta.ifname())),
        ifindex: ifindex_of(found),
        mode: meta.and_then(|meta| XdpMode::from_abi(meta.xdp_mode)).map(XdpMode::as_str),
        evidence: meta.and_then(|meta| Evidence::from_abi(meta.evidence)).map(Evidence::as_str),
        dst_ports: meta.map(|meta| PortSet::from_bitmap(meta.dst_ports).to_string()),
        table: meta.and_then(|meta| Table::from_abi(meta.table)).map(Table::as_str),
        max_sources: meta.map(|meta| meta.max_sources),
        epoch: meta.map(|meta| meta.epoch_text()),
        attached_s: meta
            .map(|meta| meta::boot_ns().saturating_sub(meta.attached_boot_ns) / 1_000_000_000),
        program_sha256: meta.map(|meta| meta.program_sha256_text()),
        totals: read_totals(&found.dir.join(TOTALS)),
        foreign: found.foreign.clone(),
    }
}

/// Sum over CPUs; `None` when the map is not there, not readable, or of another layout.
fn read_totals(path: &Path) -> Option<Totals> {
    let map = MapHandle::from_pinned_path_with_file_flags(path, libbpf_sys::BPF_F_RDONLY).ok()?;
    object::totals(&map).ok()?
}

pub(super) fn rows(facts: &Facts) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let mut row = |name, value: Option<String>| rows.extend(value.map(|value| (name, value)));
    let interface = facts.ifname.as_ref().zip(facts.ifindex);
    row("interface", interface.map(|(name, index)| format!("{name} (index {index})")));
    row("mode", facts.mode.map(str::to_owned));
    row("ports", facts.dst_ports.clone());
    row("table", facts.table.map(str::to_owned));
    row("capacity", facts.max_sources.map(|max| format!("{max} sources")));
    row("evidence", facts.evidence.map(str::to_owned));
    row("program", facts.program_sha256.clone());
    row("epoch", facts.epoch.clone());
    row("attached", facts.attached_s.map(|s| format!("{s} s ago")));
    let ids = facts.link_id.zip(facts.prog_id);
    row("link", ids.map(|(link, prog)| format!("id {link}, program id {prog}")));
    row("counted", facts.totals.map(|t| format!("{} frames, {} tracked", t.received, t.tracked)));
    rows
}

#[cfg(test)]
#[path = "xdp_tests.rs"]
mod tests;
