// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same for the many links of a cgroup. They are switched one after another, each between
//! two calls of its hook; until the last one is, both programs count, each packet in one place.

use std::os::fd::{AsFd as _, OwnedFd};

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_cli::hint::{explain_bpf, with_hint};
use ibsr_cli::pindir::{PinRoot, exchange};
use ibsr_proto::abi::{Evidence, hex};
use ibsr_proto::pins::{LINK_MODE, Scope};
use tracing::{info, warn};

use crate::attach::cgroup::Attach;
use crate::detach;
use crate::installed::cgroup::{self as installed, Installed, link_pin, prog_pin};
use crate::kernel;
use crate::meta::Epoch;
use crate::object::cgroup::{self as object, Kept, Knobs, Loaded, WALK};
use crate::object::{Storage, random};
use crate::plan::{Course, Why};
use crate::upgrade::{install as publish, remove_old};

/// Replaces the programs, or does nothing when the running ones are the same.
///
/// # Errors
/// When the new programs cannot be made; the old ones go on then.
pub fn run(attach: &Attach, root: &PinRoot, found: &Installed, course: Course) -> Result<Answer> {
    let (settings, meta) = (&attach.wanted.settings, found.meta.as_deref().ok());
    let mut course = course;
    if let (Course::SameMaps, Some(meta)) = (course, meta) {
        let knobs = Knobs { cgroup_id: attach.cgroup.id, seed: meta.seed };
        let mut storage = Storage::uninit();
        let maps = found.kept()?;
        let kept = Some((&maps, Evidence::Frozen));
        let prepared = object::prepare(&mut storage, settings, knobs, kept, meta.missing)?;
        if prepared.digest() == meta.program_sha256 {
            info!(scope = %attach.scope, "already attached, nothing to do");
            return Ok(Answer::Yes);
        }
        if prepared.state_hash() != meta.state_hash {
            course = Course::NewMaps(Why::Bound);
        }
    }
    let kept = match course {
        Course::SameMaps => Some(found.kept()?),
        _ => None,
    };
    let seed = match (&kept, meta) {
        (Some(_), Some(meta)) => meta.seed,
        _ => random()?,
    };
    let knobs = Knobs { cgroup_id: attach.cgroup.id, seed };
    if attach.is_dry_run() {
        return tell_plan(attach, knobs, course);
    }
    let level = found.current().described.map(|described| described.evidence);
    let kept: Option<(&Kept, _)> = kept.as_ref().zip(level);
    let mut storage = [(); 3].map(|()| Storage::uninit());
    let loaded = object::load_what_the_kernel_has(storage.each_mut(), |storage, without| {
        object::prepare(storage, settings, knobs, kept, without)
    })?;
    let (epoch, what) = match (kept, meta) {
        (Some(_), Some(meta)) => (Epoch::of_cgroup(meta), "programs replaced, counters continue"),
        _ => (Epoch::begin()?, "programs and maps replaced, a new epoch begins"),
    };
    install(attach, root, &loaded, knobs, epoch, Some(found))?;
    attach.tell_done(what, &loaded, loaded.missing());
    Ok(Answer::Yes)
}

fn tell_plan(attach: &Attach, knobs: Knobs, course: Course) -> Result<Answer> {
    let mut storage = Storage::uninit();
    let prepared = object::prepare(&mut storage, &attach.wanted.settings, knobs, None, 0)?;
    let digest = hex(&prepared.digest());
    attach.tell_plan(&match course {
        Course::NewMaps(why) => format!("switch to new maps ({why}) and programs {digest}"),
        _ => format!("switch to programs {digest}, same maps"),
    })
}

/// Everything from loaded programs to pins in their place, for a first attach and for an upgrade
/// of what was `found`.
///
/// # Errors
/// When the kernel refuses; what was attached before goes on then.
pub fn install(
    attach: &Attach,
    root: &PinRoot,
    loaded: &Loaded<'_>,
    knobs: Knobs,
    epoch: Epoch,
    found: Option<&Installed>,
) -> Result<()> {
    let mut stage = attach.stage(root, loaded, knobs, epoch)?;
    // New links feed the new programs at once; those that are there wait until all are pinned.
    let mut links: Vec<(String, OwnedFd, bool)> = Vec::new();
    loaded.for_each_prog(|hook, prog, kind| {
        if hook == WALK {
            return Ok(());
        }
        let running = found.and_then(|found| found.open_pin(&link_pin(hook)).ok());
        let is_running = running.is_some();
        let link = match running {
            Some(link) => link,
            None => kernel::link_cgroup(prog, attach.cgroup.as_fd(), kind)
                .with_context(|| format!("failed to attach `{hook}` to `/{}`", attach.cgroup.path))
                .map_err(|error| explain_link(error, &attach.cgroup.path))?,
        };
        stage.pin(&link_pin(hook), link.as_fd(), LINK_MODE)?;
        links.push((hook.to_owned(), link, is_running));
        Ok(())
    })?;
    if let Err(error) = switch(loaded, &links) {
        roll_back(&links, found);
        return Err(error);
    }
    loaded.for_each_prog(|hook, prog, _| {
        if hook == WALK {
            seed(prog);
        }
        Ok(())
    })?;
    publish(&mut stage, &attach.scope.dir(root.path()))?;
    stage.keep();
    Ok(())
}

fn explain_link(error: anyhow::Error, path: &str) -> anyhow::Error {
    let errno = error.chain().find_map(|cause| cause.downcast_ref::<std::io::Error>());
    match errno.and_then(std::io::Error::raw_os_error) {
        Some(libc::EPERM) => with_hint(
            error,
            format!(
                "another program may have this hook for itself here or above: `bpftool cgroup tree`, `/{path}`"
            ),
        ),
        Some(libc::E2BIG) => with_hint(error, "this hook has the 64 programs that Linux allows"),
        _ => explain_bpf(error),
    }
}

fn switch(loaded: &Loaded<'_>, links: &[(String, OwnedFd, bool)]) -> Result<()> {
    loaded.for_each_prog(|hook, prog, _| {
        let link = links.iter().find(|(name, _, is_running)| name == hook && *is_running);
        let Some((_, link, _)) = link else { return Ok(()) };
        kernel::update_link(link.as_fd(), prog)
            .with_context(|| format!("failed to switch `{hook}` to the new program"))
            .map_err(explain_bpf)
    })
}

/// Gives the links back to the programs of the directory that stays.
fn roll_back(links: &[(String, OwnedFd, bool)], found: Option<&Installed>) {
    let Some(found) = found else { return };
    for (hook, link, _) in links.iter().filter(|(_, _, is_running)| *is_running) {
        let back = found.open_pin(&prog_pin(hook)).and_then(|prog| {
            kernel::update_link(link.as_fd(), prog.as_fd()).context("failed to switch back")
        });
        if let Err(error) = back {
            warn!(hook, error = format!("{error:#}"), "not switched back");
        }
    }
}

/// Takes over the sockets that are there already. Without it the sensor works, and knows less.
fn seed(prog: std::os::fd::BorrowedFd<'_>) {
    if let Err(error) = kernel::walk(prog) {
        warn!(%error, "sockets that are older than the attachment have no owner");
    }
}

/// Finishes or undoes what an attach that died left in the prepared directory.
///
/// # Errors
/// When a directory is not ours or cannot be removed.
pub fn recover(root: &PinRoot, scope: &Scope) -> Result<()> {
    let (dir, next) = (scope.dir(root.path()), scope.next_dir(root.path()));
    let Some(prepared) = installed::read(&next)? else { return Ok(()) };
    prepared.check_ours()?;
    let published = installed::read(&dir)?;
    match &published {
        Some(published) if published.feeds(&prepared) => {
            published.check_ours()?;
            info!(%scope, "finishing an upgrade that was interrupted");
            finish(&prepared)?;
            exchange(&next, &dir)?;
            remove_old(&next, &dir)
        }
        Some(_) => {
            info!(%scope, "removing what an interrupted attach left");
            remove_old(&next, &dir)
        }
        None => {
            info!(%scope, "removing what an interrupted attach left");
            detach::take_off(&next).map(drop)
        }
    }
}

/// Puts the prepared programs behind the links that are not switched yet.
fn finish(prepared: &Installed) -> Result<()> {
    for hook in &prepared.hooks {
        let (Some(link), Some(prog)) = (hook.link.there(), hook.prog.there()) else { continue };
        if link.prog_id != prog.id {
            let link = prepared.open_pin(&link_pin(hook.name))?;
            let prog = prepared.open_pin(&prog_pin(hook.name))?;
            kernel::update_link(link.as_fd(), prog.as_fd())
                .with_context(|| format!("failed to switch `{}` to the new program", hook.name))?;
        }
    }
    if let Ok(walk) = prepared.open_pin(&prog_pin(WALK)) {
        seed(walk.as_fd());
    }
    Ok(())
}
