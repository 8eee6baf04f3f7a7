// SPDX-License-Identifier: MIT OR Apache-2.0
//! Attaches, changes and detaches. The pins are `guard/` below the pin root: links first to go,
//! because removing a link detaches at once.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use ibsr_cli::Answer;
use ibsr_cli::pindir::{PinRoot, Strictness, check_component, is_pin_root};
use ibsr_guard::dns::{self, Interface};
use ibsr_guard::install::{CONTROL, Maps as _, install, read_control, write_control};
use ibsr_policy::{Compiled, Policy, compile};
use ibsr_proto::guard_control::Control;
use ibsr_proto::pins::{DIR_MODE, LINK_PREFIX};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::getegid;
use tracing::{debug, info};

use crate::generation;
use crate::machine::{Machine, read_policy};
use crate::object::{Loaded, attach, pin_maps, with_rehearsal};
use crate::pinned::{self, DIR, NEXT, Pinned, SPENT, open_attached};
use crate::subject;

fn read(path: &Path) -> Result<(Policy, Compiled)> {
    let policy = read_policy(path)?;
    let compiled = compile(&policy, &Machine)?;
    Ok((policy, compiled))
}

/// Attaches the guard to a cgroup, without the means to deny.
///
/// # Errors
/// When the policy is wrong, a guard is there already, or the kernel refuses; then nothing of
/// this attempt is left.
pub fn rehearse(
    path: &Path,
    cgroup: &Path,
    dns_interfaces: &[String],
    root: &Path,
    dry_run: bool,
) -> Result<Answer> {
    let (policy, compiled) = read(path)?;
    let interfaces = dns::find(dns_interfaces)?;
    let shown = cgroup.display();
    let target = File::open(cgroup).with_context(|| format!("failed to open `{shown}`"))?;
    let seed = subject::seed()?;
    let dir = root.join(DIR);
    if is_pin_root(root)? && dir.exists() {
        bail!(
            "a guard is there already, `{}`\nhint: give it the policy with `ibsr-guard apply`, or remove it with `ibsr-guard disarm`",
            dir.display()
        );
    }
    if dry_run {
        info!(cgroup = %shown, rules = policy.rules.len(), "would attach");
        return Ok(Answer::Yes);
    }
    let _locked = PinRoot::create(root, DIR_MODE, getegid())?;
    // What one that died left behind is attached and under no name.
    let next = root.join(NEXT);
    remove(&next)?;
    let attached =
        prepare(&next, &target, &interfaces, (&policy, &compiled), seed).and_then(|generation| {
            renameat_with(CWD, &next, CWD, &dir, RenameFlags::NOREPLACE)
                .with_context(|| format!("failed to move the pins to `{}`", dir.display()))?;
            Ok(generation)
        });
    if attached.is_err() {
        remove(&next)?;
    }
    info!(cgroup = %shown, generation = attached?, rules = policy.rules.len(), "rehearsing");
    Ok(Answer::Yes)
}

/// Attaches and pins below `dir`; the policy's generation.
fn prepare(
    dir: &Path,
    target: &File,
    interfaces: &[Interface],
    (policy, compiled): (&Policy, &Compiled),
    seed: u32,
) -> Result<u64> {
    DirBuilder::new()
        .mode(DIR_MODE)
        .create(dir)
        .with_context(|| format!("failed to make `{}`", dir.display()))?;
    with_rehearsal(|object| {
        let maps = Loaded(object);
        // From here on only the program says what was spent.
        maps.map(SPENT)?.freeze().context("failed to freeze the budget")?;
        write_control(&maps.map(CONTROL)?, &Control { seed, ..Control::default() })?;
        let number = install(&maps, compiled, &policy.protected)?;
        pin_maps(object, dir)?;
        attach(object, target, dir, LINK_PREFIX)?;
        dns::attach(object, dir, interfaces)?;
        let cgroup = target.metadata().context("failed to look at the cgroup")?;
        generation::say(&Loaded(object), number, policy, cgroup.ino())?;
        Ok(number)
    })
}

/// Gives the guard another policy.
///
/// # Errors
/// When the policy is wrong, no guard is there or it is armed, or the kernel refuses; the
/// policy in use stays.
pub fn apply(path: &Path, root: &Path, dry_run: bool) -> Result<Answer> {
    let (policy, compiled) = read(path)?;
    // Two that apply at once would write the same slot.
    let (pinned, _lock) = open_attached(root)?;
    if read_control(&pinned.map(CONTROL)?)?.is_enforced != 0 {
        bail!(
            "the guard is armed, and its evidence is about the policy that it has\nhint: `ibsr-guard arm` with evidence of the other policy, or `disarm` and rehearse it"
        );
    }
    if dry_run {
        info!(rules = policy.rules.len(), "would apply");
        return Ok(Answer::Yes);
    }
    let number = install(&pinned, &compiled, &policy.protected)?;
    generation::say(&pinned, number, &policy, pinned::cgroup_id(&pinned)?)?;
    info!(generation = number, rules = policy.rules.len(), "applied");
    Ok(Answer::Yes)
}

/// Detaches and removes every pin of the guard. Waits for no lock: the way out is always open.
///
/// # Errors
/// When one cannot be removed, or the directory is not ours.
pub fn disarm(root: &Path, dry_run: bool) -> Result<Answer> {
    for dir in [root.join(DIR), root.join(NEXT)] {
        let is_there = check_component(&dir, Strictness::Ours)?;
        if dry_run {
            info!(dir = %dir.display(), is_there, "would remove");
        } else if is_there {
            stop(&Pinned(dir.clone()));
            remove(&dir)?;
        }
    }
    if !dry_run {
        info!("disarmed");
    }
    Ok(Answer::Yes)
}

/// Ends denials and detaches at once: the kernel lets go of a link whose pin was removed only
/// some moments later. What fails here is done by removing the pins then.
fn stop(pinned: &Pinned) {
    let ended = pinned.map(CONTROL).and_then(|map| write_control(&map, &Control::default()));
    let detached = pinned::detach(pinned);
    for error in [ended, detached].into_iter().filter_map(Result::err) {
        debug!(error = format!("{error:#}"), "the guard ends when its pins are gone");
    }
}

fn remove(dir: &Path) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.with_context(|| format!("failed to list `{}`", dir.display()))?,
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_link = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(LINK_PREFIX))
    };
    paths.sort_by_key(|path| !is_link(path));
    for path in paths {
        dns::release(&path)?;
        let is_dir = path.is_dir();
        let removed = if is_dir { fs::remove_dir(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("failed to remove `{}`", path.display()))?;
    }
    fs::remove_dir(dir).with_context(|| format!("failed to remove `{}`", dir.display()))
}
