// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what is pinned for a scope, without changing it.
//!
//! Works with whatever rights there are: maps need the group, links and programs the owner.
//! What could not be looked at is said to be so, never guessed.

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_proto::abi::{
    Evidence, Losses, Meta, MetaError, ProofKind, Set, SourceCounts, SourceKey, Table, XdpMode,
};
use ibsr_proto::pins::{
    DOOR, LINK, LOSSES, META, PENDING, PROG, PROVEN, SETS, Scope, TAGS, TOTALS, UNPROVEN, XDP_MAPS,
};
use ibsr_proto::ports::PortSet;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};

use crate::kernel::{self, LinkInfo, MapInfo, ProgInfo};
use crate::object::{Maps, Settings};
use crate::pindir::{self, Strictness};
use crate::plan::{Current, Described, LinkState};

/// Kernel name of the sensor's program.
pub const PROGRAM_NAME: &str = "ibsr_observe";

/// What stands under one pin name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pin<T> {
    /// Nothing.
    Missing,
    /// Something that the caller may not open.
    Denied,
    /// Something else than the name says; what it is.
    Alien(String),
    /// What the name says.
    There(T),
}

impl<T> Pin<T> {
    /// What is there, when it is what the name says.
    pub const fn there(&self) -> Option<&T> {
        match self {
            Self::There(it) => Some(it),
            _ => None,
        }
    }
}

/// A scope directory as it was found.
#[derive(Debug)]
pub struct Installed {
    /// The directory.
    pub dir: PathBuf,
    /// The attachment.
    pub link: Pin<LinkInfo>,
    /// The program.
    pub prog: Pin<ProgInfo>,
    /// The maps, in the order of [`XDP_MAPS`].
    pub maps: Vec<(&'static str, Pin<MapInfo>)>,
    /// The description, or why it cannot be read.
    pub meta: Result<Box<Meta>, Undescribed>,
    /// Names that the loader never makes.
    pub foreign: Vec<String>,
}

/// Why a scope has no description.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Undescribed {
    /// No `meta`, or it cannot be opened.
    #[error("`meta` is missing or not readable")]
    Unreadable,
    /// Another release wrote it.
    #[error(transparent)]
    Abi(#[from] MetaError),
}

/// Looks at one directory; `None` when it is not there.
///
/// # Errors
/// When the directory belongs to somebody else or cannot be listed.
pub fn read(dir: &Path) -> Result<Option<Installed>> {
    if !pindir::check_component(dir, Strictness::Ours)? {
        return Ok(None);
    }
    let names = pindir::names_in(dir)?;
    let maps = XDP_MAPS.map(|(pin, kernel_name)| (pin, read_map(&dir.join(pin), kernel_name)));
    Ok(Some(Installed {
        dir: dir.to_owned(),
        link: open(&dir.join(LINK), "bpf-link", false, |fd| kernel::link_info(fd.as_fd())),
        prog: open(&dir.join(PROG), "bpf-prog", false, |fd| kernel::prog_info(fd.as_fd())),
        maps: maps.into(),
        meta: read_meta(&dir.join(META)),
        foreign: names.into_iter().filter(|name| !pindir::is_ours(name)).collect(),
    }))
}

/// Opens a pin and describes it, if it is of the `kind` that the kernel calls so.
fn open<T>(
    path: &Path,
    kind: &str,
    read_only: bool,
    describe: impl FnOnce(&OwnedFd) -> io::Result<T>,
) -> Pin<T> {
    let fd = match kernel::open_pin(path, read_only) {
        Ok(fd) => fd,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Pin::Missing,
        Err(error) if error.raw_os_error() == Some(libc::EACCES) => return Pin::Denied,
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Pin::Denied,
        Err(_) => return Pin::Alien("not a BPF object".to_owned()),
    };
    let found = kind_of(&fd);
    if found != kind {
        return Pin::Alien(found);
    }
    describe(&fd).map_or_else(|error| Pin::Alien(error.to_string()), Pin::There)
}

/// `bpf-map`, `bpf-prog` or `bpf-link` (some kernels write `bpf_link`). Asking for information of the wrong kind would read
/// one struct as another.
fn kind_of(fd: &OwnedFd) -> String {
    let target = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap_or_default();
    target
        .to_string_lossy()
        .trim_start_matches("anon_inode:")
        .trim_matches(['[', ']'])
        .replace('_', "-")
}

fn read_map(path: &Path, kernel_name: &str) -> Pin<MapInfo> {
    match open(path, "bpf-map", true, |fd| kernel::map_info(fd.as_fd())) {
        Pin::There(info) if info.name != kernel_name => {
            Pin::Alien(format!("a map named `{}`", info.name))
        }
        pin => pin,
    }
}

fn read_meta(path: &Path) -> Result<Box<Meta>, Undescribed> {
    let value = MapHandle::from_pinned_path_with_file_flags(path, libbpf_sys::BPF_F_RDONLY)
        .ok()
        .filter(|map| map.key_size() == 4)
        .and_then(|map| map.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok().flatten())
        .ok_or(Undescribed::Unreadable)?;
    Ok(Box::new(Meta::from_abi(&value)?))
}

impl Installed {
    /// For [`crate::plan::choose`].
    #[must_use]
    pub fn current(&self) -> Current {
        let link = match self.link {
            Pin::There(LinkInfo { ifindex: 0, .. }) => LinkState::Gone,
            Pin::There(LinkInfo { id, ifindex, .. }) => LinkState::Live { id, ifindex },
            _ => LinkState::Missing,
        };
        let described = self.meta.as_deref().ok().and_then(|meta| {
            Some(Described {
                settings: settings_of(meta),
                mode: XdpMode::from_abi(meta.xdp_mode)?,
                boot_id: meta.boot_id,
                digest: meta.program_sha256,
                evidence: Evidence::from_abi(meta.evidence)?,
                is_whole: self.is_whole(meta),
            })
        });
        Current { link, described }
    }

    /// Whether every pin is what its name says and as large as the description says.
    fn is_whole(&self, meta: &Meta) -> bool {
        let settings = settings_of(meta);
        let fits = |pin: &str, info: &MapInfo| match pin {
            SETS => {
                info.max_entries == settings.sets() && info.value_size as usize == size_of::<Set>()
            }
            PROVEN | UNPROVEN => {
                info.max_entries == settings.lru_entries()
                    && info.key_size as usize == size_of::<SourceKey>()
                    && info.value_size as usize == size_of::<SourceCounts>()
            }
            TAGS => info.max_entries == settings.sets(),
            TOTALS => info.value_size as usize == ibsr_proto::abi::CpuTotals::LAYOUT.size,
            LOSSES => info.value_size as usize == size_of::<Losses>(),
            META | PENDING | DOOR => true,
            _ => false,
        };
        let feeds = |link: &LinkInfo| self.prog.there().is_some_and(|prog| prog.id == link.prog_id);
        self.maps.iter().all(|(pin, map)| map.there().is_some_and(|info| fits(pin, info)))
            && self.link.there().is_some_and(feeds)
    }

    /// Number of the program that the pinned link feeds.
    #[must_use]
    pub fn fed_prog_id(&self) -> Option<u32> {
        self.link.there().map(|link| link.prog_id)
    }

    /// Number of the pinned program.
    #[must_use]
    pub fn prog_id(&self) -> Option<u32> {
        self.prog.there().map(|prog| prog.id)
    }

    /// Refuses when a pin under one of our names is not ours: a link to another program, a
    /// map or program that another tool made. `prepared` is the directory beside this one,
    /// whose program an unfinished upgrade may have put behind the link.
    ///
    /// # Errors
    /// Naming the pin and what it is.
    pub fn check_ours(&self, prepared: Option<&Self>) -> Result<()> {
        let path = |pin: &str| self.dir.join(pin).display().to_string();
        if let Some((pin, found)) = self.alien_pins().first() {
            anyhow::bail!(
                "`{}` is not ours: it is {found}\nhint: look at it with `bpftool`, and move it away if it is yours",
                path(pin)
            );
        }
        let Some(link) = self.link.there() else { return Ok(()) };
        let is_pinned_here =
            |scope: &Self| scope.prog.there().is_some_and(|prog| prog.id == link.prog_id);
        if is_pinned_here(self) || prepared.is_some_and(is_pinned_here) {
            return Ok(());
        }
        // No pin of ours holds that program. Only CAP_SYS_ADMIN may ask for one by its number.
        let prog = kernel::prog_by_id(link.prog_id).and_then(|fd| kernel::prog_info(fd.as_fd()));
        let name = match prog {
            Ok(prog) if is_sensor(&prog) => return Ok(()),
            Ok(prog) => format!("`{}`", prog.name),
            Err(_) => "which only CAP_SYS_ADMIN may look at".to_owned(),
        };
        anyhow::bail!(
            "`{}` attaches program {}, {name}, which is not ours: refused\nhint: `bpftool prog show id {}`",
            path(LINK),
            link.prog_id,
            link.prog_id
        );
    }

    /// Pins under our names that are something else, with what they are.
    #[must_use]
    pub fn alien_pins(&self) -> Vec<(&'static str, String)> {
        let mut alien = Vec::new();
        match &self.link {
            Pin::Alien(found) => alien.push((LINK, found.clone())),
            Pin::There(link) if !link.is_xdp => {
                alien.push((LINK, "a link to another hook".to_owned()))
            }
            _ => {}
        }
        match &self.prog {
            Pin::Alien(found) => alien.push((PROG, found.clone())),
            Pin::There(prog) if !is_sensor(prog) => {
                alien.push((PROG, format!("the program `{}`", prog.name)));
            }
            _ => {}
        }
        for (pin, map) in &self.maps {
            if let Pin::Alien(found) = map {
                alien.push((pin, found.clone()));
            }
        }
        alien
    }

    /// Opens the maps that a new program of the same layout goes on filling.
    ///
    /// # Errors
    /// When a pin cannot be opened for writing.
    pub fn kept(&self) -> Result<Vec<(&'static str, OwnedFd)>> {
        let open = |pin: &&'static str| {
            let path = self.dir.join(pin);
            let fd = kernel::open_pin(&path, false)
                .with_context(|| format!("failed to open `{}`", path.display()))?;
            Ok((*pin, fd))
        };
        Maps::kept_pins().iter().map(open).collect()
    }
}

/// Whether a program is the sensor's, by type and name.
#[must_use]
pub fn is_sensor(prog: &ProgInfo) -> bool {
    prog.is_xdp && prog.name == PROGRAM_NAME
}

/// What the operator chose, from the description.
#[must_use]
pub fn settings_of(meta: &Meta) -> Settings {
    Settings {
        ports: PortSet::from_bitmap(meta.dst_ports),
        table: Table::from_abi(meta.table).unwrap_or(Table::Lru),
        max_sources: meta.max_sources,
        proof: ProofKind::from_abi(meta.proof).unwrap_or(ProofKind::Socket),
        admits_first: meta.admits_first != 0,
    }
}

/// The scope under `root` whose link feeds program `prog_id`.
#[must_use]
pub fn scope_of(root: &Path, prog_id: u32) -> Option<Scope> {
    pindir::scopes(root).ok()?.into_iter().find(|scope| {
        [scope.dir(root), scope.next_dir(root)]
            .iter()
            .filter_map(|dir| read(dir).ok().flatten())
            .any(|found| found.fed_prog_id() == Some(prog_id))
    })
}
