// SPDX-License-Identifier: MIT OR Apache-2.0
//! `detach`: the link first, which detaches at once, then the rest. Idempotent, and never
//! removes what is not ours.

use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_proto::pins::{LINK, Scope};
use tracing::{info, warn};

use crate::installed::{self, Installed};
use crate::kernel;
use crate::out;
use crate::pindir::{self, PinRoot};
use crate::privilege;

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
        None => root.scopes()?,
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
    let (dir, next) = (scope.dir(root.path()), scope.next_dir(root.path()));
    let (published, prepared) = (installed::read(&dir)?, installed::read(&next)?);
    for (one, other) in [(&published, &prepared), (&prepared, &published)] {
        if let Some(one) = one {
            one.check_ours(other.as_ref())?;
        }
    }
    for found in [&published, &prepared].into_iter().flatten() {
        if dry_run {
            out::line(&format!("would detach {scope} and remove `{}`", found.dir.display()))?;
            continue;
        }
        let foreign = take_off(found)?;
        info!(%scope, path = %found.dir.display(), "detached");
        for name in foreign {
            warn!(path = %found.dir.join(name).display(), "not ours, left alone");
        }
    }
    Ok(published.is_some() || prepared.is_some())
}

/// Removes our pins and takes the program off; returns what is not ours.
///
/// The pin goes first: a loader that dies in between leaves no link that looks attached and
/// is not. The program is off when this returns, so that an attach may follow at once.
///
/// # Errors
/// When a pin cannot be removed.
pub fn take_off(found: &Installed) -> Result<Vec<String>> {
    let link = kernel::open_pin(&found.dir.join(LINK), false).ok();
    let foreign = pindir::remove(&found.dir)?;
    if let Some(link) = link {
        kernel::detach_link(link.as_fd()).context("failed to take the program off")?;
    }
    Ok(foreign)
}
