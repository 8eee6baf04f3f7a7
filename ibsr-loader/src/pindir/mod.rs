// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader's directories on bpffs: which are there, how a set of pins appears at once and
//! disappears in order. Who may be trusted with a directory is `ibsr_cli::pindir`'s.

use std::fs;
use std::path::Path;

use ibsr_cli::pindir::{Strictness, check_component, failed, names_in};
use ibsr_proto::pins::{LINK, PROG, Scope, XDP_MAPS, is_cgroup_pin};

mod stage;

pub use ibsr_cli::pindir::PinDirError;
pub use stage::Stage;

type Result<T> = std::result::Result<T, PinDirError>;

/// Every scope with a directory under `root`, without a lock.
///
/// # Errors
/// When the directory cannot be listed.
pub fn scopes(root: &Path) -> Result<Vec<Scope>> {
    let mut found: Vec<Scope> =
        names_in(root)?.iter().filter_map(|name| Scope::of_dir_name(name)).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether a pin of this name is one that the loader makes in the scope directory `dir`.
#[must_use]
pub fn is_ours(dir: &Path, name: &str) -> bool {
    let dir_name = dir.file_name().unwrap_or_default().to_string_lossy();
    match Scope::of_dir_name(&dir_name) {
        Some(scope) if scope.is_cgroup() => is_cgroup_pin(name),
        _ => [LINK, PROG].contains(&name) || XDP_MAPS.iter().any(|(pin, _)| *pin == name),
    }
}

/// Removes our pins, links first, then the directory unless something foreign is in it.
/// Returns the names of what is foreign. A directory that is not there is success.
///
/// # Errors
/// When the directory cannot be listed or a pin of ours cannot be removed.
pub fn remove(dir: &Path) -> Result<Vec<String>> {
    if !check_component(dir, Strictness::Ours)? {
        return Ok(Vec::new());
    }
    let (mut ours, foreign): (Vec<String>, Vec<String>) =
        names_in(dir)?.into_iter().partition(|name| is_ours(dir, name));
    ours.sort_by_key(|name| !name.starts_with(LINK));
    for name in ours {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    if foreign.is_empty() {
        fs::remove_dir(dir).map_err(failed("remove", dir))?;
    }
    Ok(foreign)
}
