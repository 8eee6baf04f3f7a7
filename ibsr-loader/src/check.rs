// SPDX-License-Identifier: MIT OR Apache-2.0
//! `check`: what `attach` would meet, without attaching, pinning or changing anything.
//!
//! Each item is read by itself and says what it means; one that cannot be read is a note, not
//! a failure of the others.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_cli::pindir::is_pin_root;
use ibsr_cli::privilege;
use ibsr_proto::pins::Scope;
use serde::Serialize;

use crate::cgroupfs::Cgroup;
use crate::installed::cgroup as cgroup_pins;
use crate::installed::xdp as installed;
use crate::kernel::{self, XdpState};
use crate::preflight::{
    ACT_BASIC, ACT_RX_SG, SINGLE_BUFFER_MTU, release, require_cgroup, require_frags,
};
use crate::{netdev, out};
use ibsr_cli::Format;

/// Schema of `--format json`.
const SCHEMA: &str = "ibsr-check/1";

/// What an item means for `attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Fine,
    Note,
    Stops,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Item {
    item: &'static str,
    verdict: Verdict,
    value: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Item {
    fn fine(item: &'static str, value: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Fine, value: value.into(), hint: None }
    }

    fn note(item: &'static str, value: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { item, verdict: Verdict::Note, value: value.into(), hint: Some(hint.into()) }
    }

    /// The first line of an error, and its hint.
    fn stops(item: &'static str, error: &anyhow::Error) -> Self {
        let text = format!("{error:#}");
        let (value, hint) = match text.split_once("\nhint: ") {
            Some((value, hint)) => (value.to_owned(), Some(hint.to_owned())),
            None => (text, None),
        };
        Self { item, verdict: Verdict::Stops, value, hint }
    }
}

#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    #[serde(flatten)]
    target: Target,
    ok: bool,
    items: Vec<Item>,
}

/// What was looked at.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Target {
    Interface { ifname: String },
    Cgroup { cgroup: String },
}

impl Target {
    fn name(&self) -> &str {
        match self {
            Self::Interface { ifname } => ifname,
            Self::Cgroup { cgroup } => cgroup,
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When there is no such interface.
pub fn run(
    ifname: Option<&str>,
    cgroup: Option<&Path>,
    pin_root: &Path,
    format: Format,
) -> Result<Answer> {
    let (target, items) = match (ifname, cgroup) {
        (_, Some(path)) => {
            (Target::Cgroup { cgroup: path.display().to_string() }, look_at_cgroup(path, pin_root))
        }
        (name, None) => {
            let ifname = name.unwrap_or_default();
            let scope = Scope::xdp(ifname)?;
            let ifindex = netdev::find(ifname, None)?;
            let items = look(ifname, ifindex, &scope, pin_root);
            (Target::Interface { ifname: ifname.to_owned() }, items)
        }
    };
    let ok = items.iter().all(|item| item.verdict != Verdict::Stops);
    let report = Report { schema: SCHEMA, target, ok, items };
    out::line(&match format {
        Format::Text => render(&report),
        Format::Json => serde_json::to_string(&report).context("failed to write JSON")?,
    })?;
    Ok(if ok { Answer::Yes } else { Answer::No })
}

fn look(ifname: &str, ifindex: u32, scope: &Scope, pin_root: &Path) -> Vec<Item> {
    let state = kernel::query_xdp(ifindex).unwrap_or_default();
    let mut items = vec![
        interface(ifname, ifindex),
        driver(ifname, &state),
        mtu(kernel::mtu(ifname).unwrap_or_default(), state.features),
    ];
    items.extend(kernel::rx_queues(ifname).ok().map(|n| Item::fine("queues", n.to_string())));
    items.extend(kernel::is_lro_on(ifname).ok().map(lro));
    items.push(programs(ifindex, scope, pin_root));
    items.push(pins(pin_root));
    items.extend(rights_and_kernel(require_frags, "multi-buffer XDP"));
    items
}

fn look_at_cgroup(path: &Path, pin_root: &Path) -> Vec<Item> {
    let mut items = match Cgroup::open(path) {
        Ok(cgroup) => observed(&cgroup, pin_root),
        Err(error) => vec![Item::stops("cgroup", &error)],
    };
    items.push(pins(pin_root));
    items.extend(rights_and_kernel(require_cgroup, "its types are there"));
    items
}

fn observed(cgroup: &Cgroup, pin_root: &Path) -> Vec<Item> {
    let there = Item::fine("cgroup", format!("/{} (id {})", cgroup.path, cgroup.id));
    let scope = match cgroup.scope(None) {
        Ok(scope) => scope,
        Err(error) => return vec![there, Item::note("scope", error.to_string(), "--name")],
    };
    let observer = cgroup_pins::read(&scope.dir(pin_root)).ok().flatten();
    let scope = match observer {
        Some(found) if found.links().any(|(_, link)| link.cgroup_id == Some(cgroup.id)) => {
            Item::fine("scope", format!("{scope}, ours already: attach keeps or upgrades it"))
        }
        Some(_) => Item::note(
            "scope",
            format!("{scope} is there for another cgroup, or broken"),
            "`ibsr-loader status` tells; --name gives another name",
        ),
        None => match cgroup_pins::scope_of(pin_root, cgroup.id, &scope) {
            Some(other) => Item::stops(
                "scope",
                &anyhow::anyhow!("observed by scope `{other}`\nhint: `ibsr-loader detach {other}`"),
            ),
            None => Item::fine("scope", scope.to_string()),
        },
    };
    vec![there, scope]
}

fn interface(ifname: &str, ifindex: u32) -> Item {
    match netdev::silence(ifname) {
        None => Item::fine("interface", format!("index {ifindex}, up")),
        Some(state) => Item::note(
            "interface",
            format!("index {ifindex}, {state}"),
            "attaching works; nothing is counted until it is up",
        ),
    }
}

fn driver(ifname: &str, state: &XdpState) -> Item {
    let name = kernel::driver(ifname).unwrap_or_else(|_| "unknown".to_owned());
    let can = |bit| state.features & bit != 0;
    if can(ACT_BASIC) && can(ACT_RX_SG) {
        Item::fine("driver", format!("{name}: native XDP, multi-buffer"))
    } else if can(ACT_BASIC) {
        Item::fine("driver", format!("{name}: native XDP, one buffer a frame"))
    } else {
        Item::note(
            "driver",
            format!("{name}: the kernel lists no native XDP"),
            "attach tries native, then generic, which costs more per packet",
        )
    }
}

fn mtu(mtu: u32, features: u64) -> Item {
    if features & ACT_RX_SG != 0 || features & ACT_BASIC == 0 {
        Item::fine("mtu", format!("{mtu}, no bound from XDP"))
    } else if mtu <= SINGLE_BUFFER_MTU {
        Item::fine("mtu", format!("{mtu}, native XDP of this driver ends near {SINGLE_BUFFER_MTU}"))
    } else {
        Item::note(
            "mtu",
            format!("{mtu}, above the {SINGLE_BUFFER_MTU} where native XDP of this driver ends"),
            "lower the MTU or attach with `--mode generic`",
        )
    }
}

fn lro(is_on: bool) -> Item {
    match is_on {
        false => Item::fine("lro", "off"),
        true => Item::note(
            "lro",
            "on: some drivers refuse native XDP with it, others turn it off",
            "`ethtool -K IFNAME lro off`",
        ),
    }
}

fn programs(ifindex: u32, scope: &Scope, pin_root: &Path) -> Item {
    let occupants = match netdev::occupants(ifindex) {
        Ok(occupants) => occupants,
        Err(error) => return Item::stops("xdp", &error),
    };
    let Some(occupant) = occupants.first() else { return Item::fine("xdp", "no program") };
    match installed::scope_of(pin_root, occupant.id) {
        Some(own) if own == *scope => {
            Item::fine("xdp", format!("ours already: {occupant}; attach keeps or upgrades it"))
        }
        Some(other) => Item::stops(
            "xdp",
            &anyhow::anyhow!("observed by scope `{other}`\nhint: `ibsr-loader detach {other}`"),
        ),
        None => Item::stops(
            "xdp",
            &anyhow::anyhow!(
                "{occupant}\nhint: one interface takes one XDP program; it is never replaced"
            ),
        ),
    }
}

fn pins(pin_root: &Path) -> Item {
    match is_pin_root(pin_root) {
        Ok(true) => Item::fine("pins", pin_root.display().to_string()),
        Ok(false) => Item::fine("pins", format!("{}, to be made", pin_root.display())),
        Err(error) => Item::stops("pins", &error.into()),
    }
}

fn rights_and_kernel(require: impl Fn() -> Result<()>, has: &str) -> Vec<Item> {
    let missing = privilege::missing().unwrap_or_default();
    if !missing.is_empty() {
        let error = anyhow::anyhow!(
            "missing {}\nhint: run as root to learn about the kernel too",
            missing.join(" and ")
        );
        return vec![Item::stops("rights", &error), Item::fine("kernel", release())];
    }
    let kernel = match require() {
        Ok(()) => Item::fine("kernel", format!("{}, {has}", release())),
        Err(error) => Item::stops("kernel", &error),
    };
    vec![Item::fine("rights", "CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON"), kernel]
}

fn render(report: &Report) -> String {
    let answer = if report.ok { "can be attached" } else { "cannot be attached" };
    let mut text = format!("{}: {answer}", report.target.name());
    for Item { item, verdict, value, hint } in &report.items {
        let mark = match verdict {
            Verdict::Fine => "ok",
            Verdict::Note => "note",
            Verdict::Stops => "STOPS",
        };
        let _infallible = write!(text, "\n  {mark:<6} {item:<10} {value}");
        if let Some(hint) = hint {
            let _infallible = write!(text, "\n         hint       {hint}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_becomes_one_line_and_its_hint() {
        let item = Item::stops("pins", &anyhow::anyhow!("no\nhint: mount"));
        assert_eq!((item.value.as_str(), item.hint.as_deref()), ("no", Some("mount")));
        assert_eq!(Item::stops("pins", &anyhow::anyhow!("no")).hint, None);
    }

    #[test]
    fn one_stop_is_enough_for_no() {
        let items = vec![Item::fine("driver", "veth"), Item::stops("xdp", &anyhow::anyhow!("x"))];
        let report = Report {
            schema: SCHEMA,
            target: Target::Interface { ifname: "eth0".to_owned() },
            ok: false,
            items,
        };
        let text = render(&report);
        assert!(text.starts_with("eth0: cannot be attached") && text.contains("STOPS  xdp"));
    }

    /// L7: the bound is stated where there is one, and only there.
    #[test]
    fn the_mtu_bound_depends_on_the_driver() {
        assert_eq!(mtu(9000, ACT_BASIC | ACT_RX_SG).verdict, Verdict::Fine);
        assert_eq!(mtu(1500, ACT_BASIC).verdict, Verdict::Fine);
        assert_eq!(mtu(65536, 0).verdict, Verdict::Fine, "generic XDP has none");
        let large = mtu(9000, ACT_BASIC);
        assert_eq!(large.verdict, Verdict::Note);
        assert!(large.value.contains("3502"));
    }
}
