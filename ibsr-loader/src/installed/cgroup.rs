// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of a cgroup.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_cli::pindir::{Strictness, check_component, names_in};
use ibsr_proto::abi::Evidence;
use ibsr_proto::cgroup_abi::{CgroupMeta, CgroupTotals, Flow, Owner};
use ibsr_proto::pins::{
    CGROUP_MAPS, CGROUP_PROGS, FLOWS, LINK_PREFIX, META, OWNERS, PROG_PREFIX, Scope, TOTALS,
};

use crate::installed::{Pin, Undescribed, open, read_map, read_meta};
use crate::kernel::{self, LinkInfo, MapInfo, ProgInfo};
use crate::object::cgroup::{Kept, Limits, PROGRAM_PREFIX, Settings, WALK, kept_pins};
use crate::pindir;
use crate::plan::{Current, Described, LinkState};

/// One program and its attachment.
#[derive(Debug)]
pub struct Hook {
    /// Name of the program without its prefix.
    pub name: &'static str,
    /// The attachment.
    pub link: Pin<LinkInfo>,
    /// The program.
    pub prog: Pin<ProgInfo>,
}

/// A scope directory as it was found.
#[derive(Debug)]
pub struct Installed {
    /// The directory.
    pub dir: PathBuf,
    /// The programs, in the order of [`CGROUP_PROGS`].
    pub hooks: Vec<Hook>,
    /// The maps, in the order of [`CGROUP_MAPS`].
    pub maps: Vec<(&'static str, Pin<MapInfo>)>,
    /// The description, or why it cannot be read.
    pub meta: Result<Box<CgroupMeta>, Undescribed>,
    /// Names that the loader never makes.
    pub foreign: Vec<String>,
}

/// Pin of the link of a hook.
#[must_use]
pub fn link_pin(hook: &str) -> String {
    format!("{LINK_PREFIX}{hook}")
}

/// Pin of the program of a hook.
#[must_use]
pub fn prog_pin(hook: &str) -> String {
    format!("{PROG_PREFIX}{hook}")
}

/// Looks at one directory; `None` when it is not there.
///
/// # Errors
/// When the directory belongs to somebody else or cannot be listed.
pub fn read(dir: &Path) -> Result<Option<Installed>> {
    if !check_component(dir, Strictness::Ours)? {
        return Ok(None);
    }
    let names = names_in(dir)?;
    let hook = |name: &'static str| Hook {
        name,
        link: open(&dir.join(link_pin(name)), "bpf-link", false, |fd| {
            kernel::link_info(fd.as_fd())
        }),
        prog: open(&dir.join(prog_pin(name)), "bpf-prog", false, |fd| {
            kernel::prog_info(fd.as_fd())
        }),
    };
    let map = |(pin, name): (&'static str, &str)| (pin, read_map(&dir.join(pin), name));
    Ok(Some(Installed {
        dir: dir.to_owned(),
        hooks: CGROUP_PROGS.into_iter().map(hook).collect(),
        maps: CGROUP_MAPS.into_iter().map(map).collect(),
        meta: read_meta(&dir.join(META), CgroupMeta::from_abi),
        foreign: names.into_iter().filter(|name| !pindir::is_ours(dir, name)).collect(),
    }))
}

impl Installed {
    /// Links that are there, with the names of their hooks.
    pub fn links(&self) -> impl Iterator<Item = (&'static str, &LinkInfo)> {
        self.hooks.iter().filter_map(|hook| Some((hook.name, hook.link.there()?)))
    }

    /// Whether the caller may not look at links.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.hooks.iter().any(|hook| hook.link == Pin::Denied)
    }

    /// For [`crate::plan::choose`].
    #[must_use]
    pub fn current(&self) -> Current<Settings> {
        let link = self.links().next().map(|(_, link)| *link);
        let is_gone = self.links().any(|(_, link)| link.cgroup_id == Some(0));
        let link = match link {
            _ if is_gone => LinkState::Gone,
            Some(LinkInfo { id, cgroup_id: Some(target), .. }) => LinkState::Live { id, target },
            _ => LinkState::Missing,
        };
        let described = self.meta.as_deref().ok().and_then(|meta| {
            Some(Described {
                settings: settings_of(meta),
                mode: None,
                boot_id: meta.boot_id,
                digest: meta.program_sha256,
                evidence: Evidence::from_abi(meta.evidence)?,
                is_whole: self.is_whole(meta),
            })
        });
        Current { link, described }
    }

    /// Whether every pin is what its name says and as large as the description says.
    fn is_whole(&self, meta: &CgroupMeta) -> bool {
        let fits = |pin: &str, info: &MapInfo| match pin {
            FLOWS => {
                info.max_entries == meta.max_flows && info.value_size as usize == size_of::<Flow>()
            }
            OWNERS => {
                info.max_entries == meta.max_owners
                    && info.value_size as usize == size_of::<Owner>()
            }
            TOTALS => info.value_size as usize == size_of::<CgroupTotals>(),
            _ => true,
        };
        let maps = self.maps.iter().all(|(pin, map)| map.there().is_some_and(|i| fits(pin, i)));
        maps && self.hooks.iter().all(Hook::is_whole)
    }

    /// Hooks whose program is pinned and whose link is not, or feeds another program.
    pub fn torn_hooks(&self) -> impl Iterator<Item = &'static str> {
        self.hooks.iter().filter(|hook| !hook.is_whole()).map(|hook| hook.name)
    }

    /// Whether a link of `self` feeds a program that `other` pins.
    #[must_use]
    pub fn feeds(&self, other: &Self) -> bool {
        self.links()
            .any(|(_, link)| other.hooks.iter().any(|hook| hook.prog_id() == Some(link.prog_id)))
    }

    /// Refuses when a pin under one of our names is not ours.
    ///
    /// # Errors
    /// Naming the pin and what it is.
    pub fn check_ours(&self) -> Result<()> {
        let Some((pin, found)) = self.alien_pins().into_iter().next() else { return Ok(()) };
        anyhow::bail!(
            "`{}` is not ours: it is {found}\nhint: look at it with `bpftool`, and move it away if it is yours",
            self.dir.join(pin).display()
        );
    }

    /// Pins under our names that are something else, with what they are.
    #[must_use]
    pub fn alien_pins(&self) -> Vec<(String, String)> {
        let mut alien = Vec::new();
        for hook in &self.hooks {
            match &hook.link {
                Pin::Alien(found) => alien.push((link_pin(hook.name), found.clone())),
                Pin::There(link) if link.cgroup_id.is_none() => {
                    alien.push((link_pin(hook.name), "a link to another hook".to_owned()));
                }
                _ => {}
            }
            match &hook.prog {
                Pin::Alien(found) => alien.push((prog_pin(hook.name), found.clone())),
                Pin::There(prog) if prog.name != format!("{PROGRAM_PREFIX}{}", hook.name) => {
                    alien.push((prog_pin(hook.name), format!("the program `{}`", prog.name)));
                }
                _ => {}
            }
        }
        for (pin, map) in &self.maps {
            if let Pin::Alien(found) = map {
                alien.push(((*pin).to_owned(), found.clone()));
            }
        }
        alien
    }

    /// Opens the maps that new programs of the same layout go on filling.
    ///
    /// # Errors
    /// When a pin cannot be opened for writing.
    pub fn kept(&self) -> Result<Kept> {
        let open = |pin: &&'static str| Ok((*pin, self.open_pin(pin)?));
        kept_pins().iter().map(open).collect()
    }

    /// Opens one of the pins for everything.
    ///
    /// # Errors
    /// When it is not there or not the caller's.
    pub fn open_pin(&self, pin: &str) -> Result<OwnedFd> {
        let path = self.dir.join(pin);
        kernel::open_pin(&path, false)
            .with_context(|| format!("failed to open `{}`", path.display()))
    }
}

impl Hook {
    /// Number of the pinned program.
    #[must_use]
    pub fn prog_id(&self) -> Option<u32> {
        self.prog.there().map(|prog| prog.id)
    }

    /// Whether the link feeds the program, or neither is there. The walk has no link.
    fn is_whole(&self) -> bool {
        let fed = self.link.there().map(|link| link.prog_id);
        self.link != Pin::Denied && (self.name == WALK || fed == self.prog_id())
    }
}

/// What the operator chose, from the description.
#[must_use]
pub fn settings_of(meta: &CgroupMeta) -> Settings {
    Settings {
        max_flows: meta.max_flows,
        max_owners: meta.max_owners,
        max_names: meta.max_names,
        dns_ports: meta.dns_ports,
        resolvers: meta.resolvers().collect(),
        limits: Limits {
            window_ns: meta.window_ns,
            volume_out_bytes: meta.volume_out_bytes,
            failed_connects: meta.failed_connects,
            zone_name_bytes: meta.zone_name_bytes,
            regular_cv_percent: meta.regular_cv_percent,
            regular_count: meta.regular_count,
            internal_peer_bits: meta.internal_peer_bits,
            zone_name_bits: meta.zone_name_bits,
            nxdomain_zone_bits: meta.nxdomain_zone_bits,
        },
        baseline_hash: meta.baseline_hash,
        baseline_entries: meta.baseline_entries,
    }
}

/// The scope under `root`, other than `own`, with a live link to the cgroup of that id.
#[must_use]
pub fn scope_of(root: &Path, cgroup_id: u64, own: &Scope) -> Option<Scope> {
    let mut scopes = pindir::scopes(root).ok()?.into_iter();
    scopes.find(|scope| {
        let is_other = scope.is_cgroup() && scope != own;
        let found = || read(&scope.dir(root)).ok().flatten();
        is_other
            && found().is_some_and(|found| {
                found.links().any(|(_, link)| link.cgroup_id == Some(cgroup_id))
            })
    })
}
