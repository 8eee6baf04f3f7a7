// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of an interface.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_cli::pindir::{Strictness, check_component, names_in};
use ibsr_proto::abi::{
    Evidence, Losses, Meta, ProofKind, Set, SourceCounts, SourceKey, Table, XdpMode,
};
use ibsr_proto::pins::{
    DOOR, LINK, LOSSES, META, PENDING, PROG, PROVEN, SETS, Scope, TAGS, TOTALS, UNPROVEN, XDP_MAPS,
};
use ibsr_proto::ports::PortSet;

use crate::installed::{Pin, Undescribed, open, read_map, read_meta};
use crate::kernel::{self, LinkInfo, MapInfo, ProgInfo};
use crate::object::xdp::{Maps, Settings};
use crate::pindir;
use crate::plan::{Current, Described, LinkState};

/// Kernel name of the sensor's program.
pub const PROGRAM_NAME: &str = "ibsr_observe";

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

/// Looks at one directory; `None` when it is not there.
///
/// # Errors
/// When the directory belongs to somebody else or cannot be listed.
pub fn read(dir: &Path) -> Result<Option<Installed>> {
    if !check_component(dir, Strictness::Ours)? {
        return Ok(None);
    }
    let names = names_in(dir)?;
    let maps = XDP_MAPS.map(|(pin, kernel_name)| (pin, read_map(&dir.join(pin), kernel_name)));
    Ok(Some(Installed {
        dir: dir.to_owned(),
        link: open(&dir.join(LINK), "bpf-link", false, |fd| kernel::link_info(fd.as_fd())),
        prog: open(&dir.join(PROG), "bpf-prog", false, |fd| kernel::prog_info(fd.as_fd())),
        maps: maps.into(),
        meta: read_meta(&dir.join(META), Meta::from_abi),
        foreign: names.into_iter().filter(|name| !pindir::is_ours(dir, name)).collect(),
    }))
}

impl Installed {
    /// For [`crate::plan::choose`].
    #[must_use]
    pub fn current(&self) -> Current<Settings> {
        let link = match self.link {
            Pin::There(LinkInfo { ifindex: 0, .. }) => LinkState::Gone,
            Pin::There(LinkInfo { id, ifindex, .. }) => {
                LinkState::Live { id, target: ifindex.into() }
            }
            _ => LinkState::Missing,
        };
        let described = self.meta.as_deref().ok().and_then(|meta| {
            Some(Described {
                settings: settings_of(meta),
                mode: Some(XdpMode::from_abi(meta.xdp_mode)?),
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
