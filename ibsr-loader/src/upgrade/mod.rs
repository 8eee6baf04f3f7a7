// SPDX-License-Identifier: MIT OR Apache-2.0
//! New programs behind the same links: prepare a whole second directory, switch each link
//! between two packets, swap the directories in one step, remove the old one.
//!
//! A loader that dies in between leaves two directories. The programs that the links feed say
//! which of them counts, and the next attach, detach or status goes by that.

pub mod cgroup;
pub mod xdp;

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::pindir::names_in;

use crate::pindir::{self, Stage};

/// Puts a prepared directory in its place: by a rename where nothing is, by a swap otherwise,
/// and then removes the old one. Files of others move along to the same path.
///
/// # Errors
/// When the directories cannot be renamed.
pub fn install(stage: &mut Stage, dir: &Path) -> Result<()> {
    if !fs::exists(dir).with_context(|| format!("failed to look at `{}`", dir.display()))? {
        return Ok(stage.publish(dir)?);
    }
    let old = stage.exchange(dir)?;
    remove_old(&old, dir)
}

fn remove_old(old: &Path, dir: &Path) -> Result<()> {
    for name in names_in(old)?.iter().filter(|name| !pindir::is_ours(old, name)) {
        fs::rename(old.join(name), dir.join(name))
            .with_context(|| format!("failed to move `{}` along", old.join(name).display()))?;
    }
    pindir::remove(old)?;
    Ok(())
}
