// SPDX-License-Identifier: MIT OR Apache-2.0
//! The same for the one link of an interface.

use std::os::fd::AsFd as _;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_cli::hint::explain_bpf;
use ibsr_cli::pindir::{PinRoot, exchange};
use ibsr_proto::abi::{Evidence, Table, XdpMode, hex};
use ibsr_proto::pins::{LINK, LINK_MODE, Scope};
use tracing::{info, warn};

use crate::attach::xdp::Attach;
use crate::installed::xdp::{self as installed, Installed};
use crate::kernel;
use crate::meta::Epoch;
use crate::object::Storage;
use crate::object::xdp::{self as object, Maps, Prepared, Settings};
use crate::pindir;
use crate::plan::{Course, Described, Leftover, Why, leftover};
use crate::upgrade::{install, remove_old};

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
            attach.tell_done("already attached, nothing to do", mode_of(&kept), kept.evidence, id);
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
    kept: Option<&Described<Settings>>,
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
    kept: Option<&Described<Settings>>,
) -> Result<()> {
    let loaded = prepared.load()?;
    let evidence = loaded.bind();
    let meta = found.meta.as_deref();
    let (epoch, mode) = match (kept, meta) {
        (Some(described), Ok(meta)) => (Epoch::of(meta), mode_of(described)),
        (_, Ok(meta)) => {
            (Epoch::begin()?, XdpMode::from_abi(meta.xdp_mode).unwrap_or(XdpMode::Native))
        }
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

fn mode_of(described: &Described<Settings>) -> XdpMode {
    described.mode.unwrap_or(XdpMode::Native)
}

/// For a description that cannot be read: what the kernel says.
fn attached_mode(attach: &Attach) -> Result<XdpMode> {
    let state = kernel::query_xdp(attach.target.ifindex)?;
    Ok(if state.generic_id != 0 { XdpMode::Generic } else { XdpMode::Native })
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
        exchange(&next, &dir)?;
    } else {
        info!(%scope, "removing what an interrupted attach left");
    }
    match published {
        Some(_) => remove_old(&next, &dir),
        None => pindir::remove(&next).map(drop).map_err(Into::into),
    }
}
