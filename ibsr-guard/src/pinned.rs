// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of the guard that is attached: who may be trusted with them, its maps, its links.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ibsr_cli::pindir::{Strictness, check_component, is_pin_root, lock, names_in};
use ibsr_guard::dns;
use ibsr_guard::install::{CONTROL, Maps};
use ibsr_proto::pins::LINK_PREFIX;
use libbpf_rs::query::LinkTypeInfo;
use libbpf_rs::{Link, MapCore as _, MapFlags, MapHandle, Object, Program};
use tracing::warn;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The guard's folder below the pin root.
pub const DIR: &str = "guard";
/// Where its pins are made, to appear under their name in one step.
pub const NEXT: &str = "next-guard";
/// What denials to peers have cost.
pub const SPENT: &str = "ibsr_g_spent";
/// What the guard was armed with.
pub const EVIDENCE: &str = "ibsr_g_evidence";

/// Another `apply` or `arm` takes seconds with the largest policy; a renewal must not wait for
/// longer than its timer does.
const LOCK_WAIT: Duration = Duration::from_secs(10);

/// The maps of the guard that is pinned.
#[derive(Debug)]
pub struct Pinned(pub PathBuf);

impl Maps for Pinned {
    fn map(&self, name: &str) -> Result<MapHandle> {
        let path = self.0.join(name);
        MapHandle::from_pinned_path(&path)
            .with_context(|| format!("failed to open `{}`", path.display()))
    }
}

/// Whether a guard is pinned below `root`, in a directory that can be trusted.
///
/// # Errors
/// When somebody else could have put there what is there.
pub fn is_attached(root: &Path) -> Result<bool> {
    Ok(is_pin_root(root)?
        && check_component(&root.join(DIR), Strictness::Ours)?
        && root.join(DIR).join(CONTROL).exists())
}

/// The guard that is attached, locked against others that would change it.
///
/// # Errors
/// When there is none, somebody else could have put it there, or it is being changed for long.
pub fn open_attached(root: &Path) -> Result<(Pinned, File)> {
    if !is_attached(root)? {
        bail!(
            "no guard is attached\nhint: `ibsr-guard rehearse POLICY --cgroup PATH` attaches one"
        );
    }
    let dir = root.join(DIR);
    let lock = lock(&dir, LOCK_WAIT)?;
    Ok((Pinned(dir), lock))
}

/// The one entry of a map.
///
/// # Errors
/// When it cannot be read or is of another version.
pub fn only<T: FromBytes>(pinned: &Pinned, name: &str) -> Result<T> {
    let bytes = pinned.map(name)?.lookup(&0_u32.to_ne_bytes(), MapFlags::ANY)?;
    let bytes = bytes.with_context(|| format!("`{name}` has no entry"))?;
    T::read_from_bytes(&bytes).ok().with_context(|| format!("`{name}` is of another version"))
}

/// Writes the one entry of a map.
///
/// # Errors
/// When the kernel refuses.
pub fn write(pinned: &Pinned, name: &str, value: &(impl IntoBytes + Immutable)) -> Result<()> {
    pinned
        .map(name)?
        .update(&0_u32.to_ne_bytes(), value.as_bytes(), MapFlags::ANY)
        .with_context(|| format!("failed to write `{name}`"))
}

/// Id of the cgroup that the guard is attached to.
///
/// # Errors
/// When the links do not say, or say two.
pub fn cgroup_id(pinned: &Pinned) -> Result<u64> {
    let mut ids = Vec::new();
    for (_, path) in link_pins(&pinned.0)? {
        let what = || format!("failed to look at `{}`", path.display());
        let info = Link::open(&path).and_then(|link| link.info()).with_context(what)?;
        if let LinkTypeInfo::Cgroup(cgroup) = info.info {
            ids.push(cgroup.cgroup_id);
        }
    }
    ids.dedup();
    match ids[..] {
        [0] => bail!("the cgroup of the guard was removed\nhint: `ibsr-guard disarm`"),
        [id] => Ok(id),
        _ => bail!("the guard is attached to {} cgroups", ids.len()),
    }
}

/// Takes every link off its hook, now.
///
/// # Errors
/// The first one that cannot be; the others are taken off all the same.
pub fn detach(pinned: &Pinned) -> Result<()> {
    let take_off = |(_, path): &(String, PathBuf)| {
        Link::open(path)
            .and_then(|link| link.detach())
            .with_context(|| format!("failed to detach `{}`", path.display()))
    };
    let all: Vec<Result<()>> = link_pins(&pinned.0)?.iter().map(take_off).collect();
    all.into_iter().collect()
}

/// Name behind the prefix and path of each link.
fn link_pins(dir: &Path) -> Result<Vec<(String, PathBuf)>> {
    let names = names_in(dir)?;
    let links = names.iter().filter_map(|name| name.strip_prefix(LINK_PREFIX));
    Ok(links.map(|rest| (rest.to_owned(), dir.join(format!("{LINK_PREFIX}{rest}")))).collect())
}

/// Each link with the program of `object` that is to go behind it. One whose interface is gone
/// is on nothing and takes no other program: it is left out.
///
/// # Errors
/// When a link has none, or cannot be opened.
pub fn links<'object>(
    dir: &Path,
    object: &'object Object,
) -> Result<Vec<(Link, Program<'object>)>> {
    let mut all = Vec::new();
    for (rest, path) in link_pins(dir)? {
        let is_its = |name: &str| {
            // One program may have several links, `NAME-WHERE`.
            rest.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        let program = object.progs().find(|program| is_its(&program.name().to_string_lossy()));
        let program = program.with_context(|| {
            format!(
                "`{}` is no link of this version\nhint: `ibsr-guard disarm`, then rehearse again",
                path.display()
            )
        })?;
        if !dns::is_there(&path)? {
            warn!(link = rest, "its interface is gone: no query is judged there");
            continue;
        }
        let link =
            Link::open(&path).with_context(|| format!("failed to open `{}`", path.display()))?;
        all.push((link, program));
    }
    ensure!(!all.is_empty(), "the guard has no links\nhint: `ibsr-guard disarm`");
    Ok(all)
}
