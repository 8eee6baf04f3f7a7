// SPDX-License-Identifier: MIT OR Apache-2.0
//! A new program behind the same link: prepare a whole second directory, switch the link
//! between two packets, swap the directories in one step, remove the old one.
//!
//! A loader that dies in between leaves two directories. The program that the link feeds says
//! which of them counts, and the next attach, detach or status goes by that.

use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_proto::abi::{Evidence, Table, XdpMode, hex};
use ibsr_proto::pins::{LINK, LINK_MODE, Scope};
use tracing::{info, warn};

use crate::attach::Attach;
use crate::hint::explain_bpf;
use crate::installed::{self, Installed};
use crate::kernel;
use crate::meta::Epoch;
use crate::object::{self, Maps, Prepared, Storage};
use crate::pindir::{self, PinRoot, Stage};
use crate::plan::{Course, Described, Leftover, Why, leftover};

/// Replaces the program, or does nothing when the running one is the same.
///
/// # Errors
/// When the new program cannot be made; the old one goes on then.
pub fn run(attach: &Attach, root: &PinRoot, found: &Installed, course: Course) -> Result<Answer> {
    let settings = &attach.wanted.settings;
    let described = found.current().described;
    let mut storage = Storage::uninit();
    if let Some(kept) = described.filter(|_| course == Course::SameMaps) {
        let maps = Maps::Kept(found.kept()?, kept.evidence);
        let prepared = object::prepare(&mut storage, settings, &maps)?;
        if kept.digest == prepared.proof().sha256 {
            let id = found.link.there().map_or(0, |link| link.id);
            attach.tell_done("already attached, nothing to do", kept.mode, kept.evidence, id);
            return Ok(Answer::Yes);
        }
        if kept.evidence < Evidence::Exclusive && settings.table == Table::Lru {
            return go(attach, root, found, prepared, Some(&kept), Course::SameMaps);
        }
    }
    let course = if course == Course::SameMaps { Course::NewMaps(Why::Bound) } else { course };
    let mut storage = Storage::uninit();
    let maps = Maps::New(attach.wanted.evidence);
    let prepared = object::prepare(&mut storage, settings, &maps)?;
    go(attach, root, found, prepared, None, course)
}

fn go(
    attach: &Attach,
    root: &PinRoot,
    found: &Installed,
    prepared: Prepared<'_>,
    kept: Option<&Described>,
    course: Course,
) -> Result<Answer> {
    if attach.is_dry_run() {
        let digest = hex(&prepared.proof().sha256);
        return attach.tell_plan(&match course {
            Course::NewMaps(why) => format!("switch to new maps ({why}) and program {digest}"),
            _ => format!("switch to program {digest}, same maps"),
        });
    }
    switch(attach, root, found, prepared, kept)?;
    Ok(Answer::Yes)
}

fn switch(
    attach: &Attach,
    root: &PinRoot,
    found: &Installed,
    prepared: Prepared<'_>,
    kept: Option<&Described>,
) -> Result<()> {
    let loaded = prepared.load()?;
    let evidence = loaded.bind();
    let meta = found.meta.as_deref();
    let (epoch, mode) = match (kept, meta) {
        (Some(described), Ok(meta)) => (Epoch::of(meta), described.mode),
        (_, Ok(meta)) => (Epoch::begin()?, mode_of(meta.xdp_mode)),
        (_, Err(_)) => (Epoch::begin()?, attached_mode(attach)?),
    };
    let mut stage = attach.stage(root, &loaded, epoch, mode, evidence)?;
    let link = kernel::open_pin(&found.dir.join(LINK), false)
        .with_context(|| format!("failed to open `{}`", found.dir.join(LINK).display()))?;
    stage.pin(LINK, link.as_fd(), LINK_MODE)?;
    kernel::update_link(link.as_fd(), loaded.prog())
        .context("failed to switch the link to the new program")
        .map_err(explain_bpf)?;
    install(&mut stage, &found.dir)?;
    stage.keep();
    let id = kernel::link_info(link.as_fd()).map_or(0, |link| link.id);
    let what = match kept {
        Some(_) => "program replaced, counters continue",
        None => "program and maps replaced, a new epoch begins",
    };
    attach.tell_done(what, mode, evidence, id);
    if evidence < Evidence::Frozen {
        warn!("the maps are not frozen: user space with rights could write them");
    }
    Ok(())
}

fn mode_of(xdp_mode: u32) -> XdpMode {
    XdpMode::from_abi(xdp_mode).unwrap_or(XdpMode::Native)
}

/// For a description that cannot be read: what the kernel says.
fn attached_mode(attach: &Attach) -> Result<XdpMode> {
    let state = kernel::query_xdp(attach.target.ifindex)?;
    Ok(if state.generic_id != 0 { XdpMode::Generic } else { XdpMode::Native })
}

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
    for name in pindir::names_in(old)?.iter().filter(|name| !pindir::is_ours(name)) {
        fs::rename(old.join(name), dir.join(name))
            .with_context(|| format!("failed to move `{}` along", old.join(name).display()))?;
    }
    pindir::remove(old)?;
    Ok(())
}

/// Finishes or undoes what an attach that died left in the prepared directory.
///
/// # Errors
/// When a directory is not ours or cannot be removed.
pub fn recover(root: &PinRoot, scope: &Scope) -> Result<()> {
    let (dir, next) = (scope.dir(root.path()), scope.next_dir(root.path()));
    let Some(prepared) = installed::read(&next)? else { return Ok(()) };
    let published = installed::read(&dir)?;
    prepared.check_ours(published.as_ref())?;
    let fed = published.as_ref().and_then(Installed::fed_prog_id);
    if leftover(fed, prepared.prog_id()) == Leftover::Swap {
        info!(%scope, "finishing an upgrade that was interrupted");
        pindir::exchange(&next, &dir)?;
    } else {
        info!(%scope, "removing what an interrupted attach left");
    }
    match published {
        Some(_) => remove_old(&next, &dir),
        None => pindir::remove(&next).map(drop).map_err(Into::into),
    }
}
