// SPDX-License-Identifier: MIT OR Apache-2.0
//! `detach`: the link first, which detaches at once, then the rest. Idempotent, and never
//! removes what is not ours.

use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_cli::pindir::{PinRoot, names_in};
use ibsr_cli::privilege;
use ibsr_proto::pins::{LINK, Scope};
use tracing::{info, warn};

use crate::installed;
use crate::kernel;
use crate::out;
use crate::pindir;

/// Runs the subcommand.
///
/// # Errors
/// When a pin is not ours or cannot be removed; scopes before it are detached by then.
pub fn run(pin_root: &Path, scope: Option<&Scope>, dry_run: bool) -> Result<Answer> {
    privilege::limit_to_naming()?;
    let Some(root) = PinRoot::open(pin_root)? else {
        info!(pin_root = %pin_root.display(), "nothing is attached");
        return Ok(Answer::Yes);
    };
    let scopes = match scope {
        Some(scope) => vec![scope.clone()],
        None => pindir::scopes(root.path())?,
    };
    let mut is_any = false;
    for one in &scopes {
        is_any |= detach(&root, one, dry_run)?;
    }
    if !is_any {
        info!(scope = scope.map(Scope::as_str), "nothing is attached");
    }
    if scope.is_none() && !dry_run && !root.remove_if_empty() {
        info!(pin_root = %pin_root.display(), "kept: it is not empty, or its parent is not ours");
    }
    Ok(Answer::Yes)
}

/// Whether anything was there.
fn detach(root: &PinRoot, scope: &Scope, dry_run: bool) -> Result<bool> {
    let dirs = [scope.dir(root.path()), scope.next_dir(root.path())];
    let found = if scope.is_cgroup() { check_cgroup(&dirs)? } else { check_xdp(&dirs)? };
    for dir in &found {
        if dry_run {
            out::line(&format!("would detach {scope} and remove `{}`", dir.display()))?;
            continue;
        }
        let foreign = take_off(dir)?;
        info!(%scope, path = %dir.display(), "detached");
        for name in foreign {
            warn!(path = %dir.join(name).display(), "not ours, left alone");
        }
    }
    Ok(!found.is_empty())
}

/// The published and the prepared directory, those that are there, after checking them.
fn check_xdp(dirs: &[PathBuf; 2]) -> Result<Vec<PathBuf>> {
    let (published, prepared) = (installed::xdp::read(&dirs[0])?, installed::xdp::read(&dirs[1])?);
    for (one, other) in [(&published, &prepared), (&prepared, &published)] {
        if let Some(one) = one {
            one.check_ours(other.as_ref())?;
        }
    }
    Ok([published, prepared].into_iter().flatten().map(|found| found.dir).collect())
}

fn check_cgroup(dirs: &[PathBuf; 2]) -> Result<Vec<PathBuf>> {
    let found = [installed::cgroup::read(&dirs[0])?, installed::cgroup::read(&dirs[1])?];
    let ours = |found: installed::cgroup::Installed| -> Result<PathBuf> {
        found.check_ours()?;
        Ok(found.dir)
    };
    found.into_iter().flatten().map(ours).collect()
}

/// Removes our pins and takes the programs off; returns what is not ours.
///
/// The pins of links go first: a loader that dies in between leaves no link that looks attached
/// and is not. The programs are off when this returns, so that an attach may follow at once.
///
/// # Errors
/// When a pin cannot be removed.
pub fn take_off(dir: &Path) -> Result<Vec<String>> {
    let names = names_in(dir)?;
    let is_link = |name: &&String| name.starts_with(LINK) && pindir::is_ours(dir, name);
    let links: Vec<_> = names
        .iter()
        .filter(is_link)
        .filter_map(|name| kernel::open_pin(&dir.join(name), false).ok())
        .collect();
    let foreign = pindir::remove(dir)?;
    for link in links {
        kernel::detach_link(link.as_fd()).context("failed to take the program off")?;
    }
    Ok(foreign)
}
