// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which rights a program that loads and attaches has, keeps and gives away.
//!
//! It needs CAP_BPF and CAP_NET_ADMIN to load and attach, and CAP_PERFMON: without it the
//! verifier refuses comparisons of packet pointers that compilers like to make, and adds
//! speculation barriers, which every packet would pay for. Never CAP_SYS_ADMIN.

use std::fs;

use anyhow::{Context as _, Result};
use caps::{CapSet, Capability, CapsHashSet};
use rustix::fs::Gid;
use rustix::process::getegid;
use tracing::{debug, warn};

use crate::hint::with_hint;

const REQUIRED: [Capability; 3] =
    [Capability::CAP_BPF, Capability::CAP_NET_ADMIN, Capability::CAP_PERFMON];

/// Capabilities that are required and not effective, by name.
///
/// # Errors
/// When the kernel does not tell.
pub fn missing() -> Result<Vec<String>> {
    let effective = caps::read(None, CapSet::Effective).context("failed to read capabilities")?;
    Ok(REQUIRED.iter().filter(|cap| !effective.contains(cap)).map(ToString::to_string).collect())
}

/// Checks the required capabilities and drops every other one, except CAP_SYS_ADMIN where it
/// is there: only that may ask for the name of somebody else's program.
///
/// # Errors
/// When one is missing; the message names it.
pub fn limit_to_look() -> Result<()> {
    let missing = missing()?;
    if !missing.is_empty() {
        let error = anyhow::anyhow!("missing {}", missing.join(" and "));
        let caps = REQUIRED.map(|cap| cap.to_string()).join(" ");
        let hint = format!("run as root, or in a unit with `AmbientCapabilities={caps}`");
        return Err(with_hint(error, hint));
    }
    set(&REQUIRED.into_iter().chain(naming()).collect())
}

/// Drops everything but CAP_SYS_ADMIN where it is there: removing pins of one's own takes no
/// capability, and naming what is not ours takes only that one.
///
/// # Errors
/// When the kernel refuses, which it does not for dropping.
pub fn limit_to_naming() -> Result<()> {
    set(&naming().into_iter().collect())
}

fn naming() -> Option<Capability> {
    let naming = Capability::CAP_SYS_ADMIN;
    caps::has_cap(None, CapSet::Permitted, naming).unwrap_or(false).then_some(naming)
}

/// Drops every capability that loading and attaching does not need.
///
/// # Errors
/// When one of those is missing; the message names it.
pub fn limit() -> Result<()> {
    limit_to_look()?;
    set(&REQUIRED.into_iter().collect())
}

/// Drops everything, after the last privileged step.
///
/// # Errors
/// When the kernel refuses, which it does not for dropping.
pub fn drop_all() -> Result<()> {
    set(&CapsHashSet::new())
}

fn set(keep: &CapsHashSet) -> Result<()> {
    let failed = "failed to drop capabilities";
    // Only a holder of CAP_SETPCAP may shrink the bounding set; the sets below do not need it.
    for cap in caps::runtime::thread_all_supported().difference(keep) {
        let _not_permitted = caps::drop(None, CapSet::Bounding, *cap);
    }
    let _unsupported = caps::clear(None, CapSet::Ambient);
    caps::clear(None, CapSet::Inheritable).context(failed)?;
    caps::set(None, CapSet::Effective, keep).context(failed)?;
    caps::set(None, CapSet::Permitted, keep).context(failed)?;
    rustix::thread::set_no_new_privs(true).context("failed to set no_new_privs")?;
    debug!(kept = ?keep, "capabilities dropped");
    Ok(())
}

/// Group that new pins get. Takes it as the effective group where that is allowed, so that no
/// CAP_CHOWN is needed later. Call before [`limit_to_look`].
///
/// # Errors
/// When `wanted` was given by the operator and there is no such group.
pub fn take_group(wanted: &str, is_default: bool) -> Result<Gid> {
    let own = getegid();
    let groups = fs::read_to_string("/etc/group").unwrap_or_default();
    let Some(gid) = find_group(wanted, &groups).map(Gid::from_raw) else {
        anyhow::ensure!(
            is_default,
            "there is no group `{wanted}`\nhint: create it with `groupadd --system {wanted}`, or name another with --group"
        );
        warn!(group = wanted, gid = own.as_raw(), "no such group: pins get the caller's own");
        return Ok(own);
    };
    if gid != own && rustix::thread::set_thread_res_gid(None, gid, None).is_err() {
        debug!(
            gid = gid.as_raw(),
            "not allowed to take the group; pins are handed to it one by one"
        );
    }
    Ok(gid)
}

/// A number, or a name in the text of /etc/group.
fn find_group(wanted: &str, groups: &str) -> Option<u32> {
    let by_name = groups.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(wanted)).then(|| fields.nth(1)?.parse().ok())?
    });
    // The largest number means "unchanged" to the kernel.
    by_name.or_else(|| wanted.parse().ok().filter(|&gid| gid != u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_by_name_or_number() {
        let groups = "root:x:0:\nibsr:x:998:alice\nbroken\n1:x:7:\n";
        assert_eq!(find_group("ibsr", groups), Some(998));
        assert_eq!(find_group("1234", groups), Some(1234));
        assert_eq!(find_group("1", groups), Some(7));
        assert_eq!(find_group("absent", groups), None);
        assert_eq!(find_group("broken", groups), None);
        assert_eq!(find_group("4294967295", groups), None);
    }
}
