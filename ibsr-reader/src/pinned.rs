// SPDX-License-Identifier: MIT OR Apache-2.0
//! The pins of one scope, opened and checked before anything is decoded: `meta`
//! first, then type, key size and value size of every map. Never opens the link, whose pin
//! may detach the program.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::{
    CpuTotals, Losses, Meta, MetaError, PORT_CELLS, PortLoss, Set, SourceCounts, SourceKey, Table,
};
use ibsr_proto::conservation::Totals;
use ibsr_proto::pins;
use ibsr_proto::snapshot::LossOfPort;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use rustix::fs::{Access, access};
use rustix::io::Errno;
use zerocopy::FromBytes as _;

use crate::sets::Sets;

/// How often an attach or upgrade that comes in between may make opening start over.
const OPEN_TRIES: u32 = 10;
/// How often totals are read again to catch a moment without a packet.
const TOTALS_TRIES: u32 = 8;
const ONLY_KEY: [u8; 4] = 0_u32.to_ne_bytes();

/// Why pins could not be opened or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// Nothing is pinned there, or not everything.
    #[error("`{}` is missing", path.display())]
    Absent {
        /// The pin.
        path: PathBuf,
    },
    /// The directory that this process sees is no longer the one with that name.
    #[error("`{}` was removed and will not come back here: start again", root.display())]
    RootRemoved {
        /// The pin root.
        root: PathBuf,
    },
    /// The kernel or the file mode refuses.
    #[error("failed to open `{}`: {source}{}", path.display(), hint(source))]
    Open {
        /// The pin.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A map of another layout.
    #[error(
        "`{}` is {found}, this program reads {expected}: use the loader and the reader of one release",
        path.display()
    )]
    Layout {
        /// The pin.
        path: PathBuf,
        /// What is there.
        found: Shape,
        /// What this build reads.
        expected: Shape,
    },
    /// Maps of another ABI.
    #[error("`{}`: {source}", path.display())]
    Meta {
        /// The pin.
        path: PathBuf,
        /// How it differs.
        source: MetaError,
    },
    /// Per-CPU values have another stride than they were written with.
    #[error("the maps were made for {made_for} possible CPUs, this machine has {here}")]
    Cpus {
        /// According to `meta`.
        made_for: u32,
        /// According to the kernel.
        here: usize,
    },
    /// The pins were replaced each time they were opened.
    #[error("`{}` was replaced {OPEN_TRIES} times while it was being opened", dir.display())]
    Unsettled {
        /// Directory of the scope.
        dir: PathBuf,
    },
    /// An open map could not be read.
    #[error("failed to read `{name}`: {source}")]
    Read {
        /// Name of the map.
        name: &'static str,
        /// What the kernel said.
        source: libbpf_rs::Error,
    },
}

fn hint(error: &io::Error) -> &'static str {
    match error.raw_os_error() {
        Some(libc::EACCES) => {
            "\nhint: run as a member of the group that owns the pins, `ibsr` by default"
        }
        Some(libc::EPERM) => {
            "\nhint: this kernel asks for CAP_BPF: enable the drop-in `10-cap-bpf.conf` of the unit"
        }
        _ => "",
    }
}

/// Type and sizes of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    map_type: MapType,
    key_bytes: usize,
    value_bytes: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map_type, key_bytes, value_bytes } = self;
        write!(f, "{map_type:?} with keys of {key_bytes} and values of {value_bytes} bytes")
    }
}

const SOURCES_SHAPE: Shape = Shape {
    map_type: MapType::LruHash,
    key_bytes: size_of::<SourceKey>(),
    value_bytes: size_of::<SourceCounts>(),
};
const SETS_SHAPE: Shape =
    Shape { map_type: MapType::Array, key_bytes: size_of::<u32>(), value_bytes: size_of::<Set>() };
const TOTALS_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<CpuTotals>(),
};

const LOSSES_SHAPE: Shape = Shape {
    map_type: MapType::PercpuArray,
    key_bytes: size_of::<u32>(),
    value_bytes: size_of::<Losses>(),
};

/// Which files the pins are. Changes with every attach, upgrade and detach. The link counts:
/// it is the last to be pinned and the first to go, so maps without it are not attached yet
/// or not any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity([(u64, u64); IDENTITY.len()]);

const IDENTITY: [&str; 7] =
    [pins::META, pins::PROVEN, pins::UNPROVEN, pins::SETS, pins::TOTALS, pins::LOSSES, pins::LINK];

impl Identity {
    /// Of the pins under `dir`. Needs no right on the pins themselves.
    ///
    /// # Errors
    /// [`PinError::Absent`] with the first one missing, [`PinError::Open`] otherwise.
    pub fn of(dir: &Path) -> Result<Self, PinError> {
        let mut files = [(0, 0); IDENTITY.len()];
        for (file, name) in files.iter_mut().zip(IDENTITY) {
            let path = dir.join(name);
            let status = fs::symlink_metadata(&path).map_err(|source| open_error(&path, source))?;
            *file = (status.dev(), status.ino());
        }
        Ok(Self(files))
    }
}

fn open_error(path: &Path, source: io::Error) -> PinError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound => PinError::Absent { path },
        _ => PinError::Open { path, source },
    }
}

/// Whether `root` is a mount of a directory that was removed. Nothing can appear in it, and
/// a new directory of that name is out of reach of a process in a mount namespace.
///
/// # Errors
/// [`PinError::RootRemoved`].
pub fn check_root(root: &Path) -> Result<(), PinError> {
    match fs::metadata(root) {
        Ok(status) if status.nlink() == 0 => Err(PinError::RootRemoved { root: root.to_owned() }),
        _ => Ok(()),
    }
}

/// The open maps of one scope.
#[derive(Debug)]
pub struct Pinned {
    /// What the scope is.
    pub meta: Box<Meta>,
    /// Its sources.
    pub sources: Sources,
    totals: MapHandle,
    losses: MapHandle,
    identity: Identity,
}

/// Where the sources of a scope are.
#[derive(Debug)]
pub enum Sources {
    /// In two LRU hashes.
    Lru {
        /// Those with a proof.
        proven: MapHandle,
        /// Those without one.
        unproven: MapHandle,
    },
    /// In one set-associative table.
    Sets(Sets),
}

impl Sources {
    fn open(dir: &Path, meta: &Meta) -> Result<Self, PinError> {
        let open = |pin| open_map(&dir.join(pin), SOURCES_SHAPE, libbpf_sys::BPF_F_RDONLY);
        if meta.table != Table::Sets as u32 {
            return Ok(Self::Lru { proven: open(pins::PROVEN)?, unproven: open(pins::UNPROVEN)? });
        }
        let path = dir.join(pins::SETS);
        let map = open_map(&path, SETS_SHAPE, FOR_MAPPING)?;
        Sets::map(map).map(Self::Sets).map_err(|source| PinError::Open { path, source })
    }

    /// How many fit.
    #[must_use]
    pub fn max_entries(&self) -> u64 {
        match self {
            Self::Lru { proven, unproven } => {
                u64::from(proven.max_entries()) + u64::from(unproven.max_entries())
            }
            Self::Sets(sets) => sets.ways(),
        }
    }
}

impl Pinned {
    /// Opens and checks the pins under `dir`. An exchange of the directory in between is
    /// noticed, and all of them are opened again.
    ///
    /// # Errors
    /// [`PinError`]; nothing was decoded.
    pub fn open(dir: &Path) -> Result<Self, PinError> {
        for _ in 0..OPEN_TRIES {
            let identity = Identity::of(dir)?;
            let opened = Self::open_once(dir, identity);
            if Identity::of(dir).is_ok_and(|after| after == identity) {
                return opened;
            }
        }
        Err(PinError::Unsettled { dir: dir.to_owned() })
    }

    fn open_once(dir: &Path, identity: Identity) -> Result<Self, PinError> {
        let meta = open_meta(&dir.join(pins::META))?;
        let open = |pin, shape| open_map(&dir.join(pin), shape, libbpf_sys::BPF_F_RDONLY);
        Ok(Self {
            sources: Sources::open(dir, &meta)?,
            meta,
            totals: open(pins::TOTALS, TOTALS_SHAPE)?,
            losses: open(pins::LOSSES, LOSSES_SHAPE)?,
            identity,
        })
    }

    /// Which files these maps were opened from.
    #[must_use]
    pub const fn identity(&self) -> Identity {
        self.identity
    }

    /// The sum over CPUs, and how many frames may have been between two of its counters
    /// while it was read.
    ///
    /// A CPU that counts while its value is copied gives counters of different moments. So
    /// the totals are read until two reads in a row are equal; on a busy interface the growth
    /// from one read to the next bounds the difference. And each CPU may be halted in the
    /// middle of a frame (a virtual one for long enough that two reads are equal).
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn totals(&self) -> Result<(Totals, u64), PinError> {
        let mut totals = self.totals_once()?;
        let mut best = (totals, u64::MAX);
        for _ in 0..TOTALS_TRIES {
            let next = self.totals_once()?;
            let growth = next.received.saturating_sub(totals.received);
            if growth <= best.1 {
                best = (totals, growth);
            }
            if totals == next {
                break;
            }
            totals = next;
        }
        Ok((best.0, best.1.saturating_add(u64::from(self.meta.ncpu))))
    }

    /// What no source is charged with, by port, the nameless rest first.
    ///
    /// # Errors
    /// [`PinError::Read`].
    pub fn losses(&self) -> Result<Vec<LossOfPort>, PinError> {
        let mut sum = BTreeMap::new();
        for cpu in read_cpus(&self.losses, pins::LOSSES)? {
            let cells = <Losses>::ref_from_bytes(&cpu).expect("the size was checked");
            for (at, cell) in cells.iter().enumerate().filter(|(_, cell)| cell.is_used != 0) {
                let port = u16::try_from(cell.port).ok().filter(|_| at < PORT_CELLS);
                add_cell(sum.entry(port).or_default(), port, cell);
            }
        }
        Ok(sum.into_values().collect())
    }

    fn totals_once(&self) -> Result<Totals, PinError> {
        let cpus: Vec<CpuTotals> = read_cpus(&self.totals, pins::TOTALS)?
            .iter()
            .map(|value| CpuTotals::read_from_bytes(value).expect("the size was checked"))
            .collect();
        Ok(Totals::from_cpus(&cpus))
    }
}

/// The one value of a per-CPU array, CPU by CPU.
fn read_cpus(map: &MapHandle, name: &'static str) -> Result<Vec<Vec<u8>>, PinError> {
    let values = map
        .lookup_percpu(&ONLY_KEY, MapFlags::ANY)
        .map_err(|source| PinError::Read { name, source })?;
    Ok(values.expect("entry 0 of an array always exists"))
}

fn add_cell(sum: &mut LossOfPort, dst_port: Option<u16>, of: &PortLoss) {
    sum.dst_port = dst_port;
    sum.syn += of.syn;
    sum.ack += of.ack;
    sum.other += of.other;
    sum.bytes += of.bytes;
}

fn open_meta(path: &Path) -> Result<Box<Meta>, PinError> {
    let map = open_pin(path, libbpf_sys::BPF_F_RDONLY)?;
    let found = shape(&map);
    let expected = Shape { map_type: MapType::Array, key_bytes: 4, value_bytes: size_of::<Meta>() };
    // Maps of another release: say so in terms of versions, which the head of every
    // release's `meta` tells.
    if found.map_type != expected.map_type || found.key_bytes != expected.key_bytes {
        return Err(PinError::Layout { path: path.to_owned(), found, expected });
    }
    let bytes = map
        .lookup(&ONLY_KEY, MapFlags::ANY)
        .map_err(|source| PinError::Read { name: pins::META, source })?
        .expect("entry 0 of an array always exists");
    let meta = Meta::from_abi(&bytes)
        .map_err(|source| PinError::Meta { path: path.to_owned(), source })?;
    let here = libbpf_rs::num_possible_cpus()
        .map_err(|source| PinError::Read { name: pins::TOTALS, source })?;
    if meta.ncpu as usize != here {
        return Err(PinError::Cpus { made_for: meta.ncpu, here });
    }
    Ok(Box::new(meta))
}

/// The kernel maps only what was opened for writing too, frozen or not.
const FOR_MAPPING: u32 = 0;

fn open_map(path: &Path, expected: Shape, flags: u32) -> Result<MapHandle, PinError> {
    let map = open_pin(path, flags)?;
    let found = shape(&map);
    if found == expected {
        Ok(map)
    } else {
        Err(PinError::Layout { path: path.to_owned(), found, expected })
    }
}

fn open_pin(path: &Path, flags: u32) -> Result<MapHandle, PinError> {
    MapHandle::from_pinned_path_with_file_flags(path, flags)
        .map_err(|error| open_error(path, refusal(path, flags, &error)))
}

/// libbpf-rs keeps the error number to itself and has one word for two refusals: the file
/// mode's, which the group mends, and the kernel's, which a capability mends.
fn refusal(path: &Path, flags: u32, error: &libbpf_rs::Error) -> io::Error {
    let wanted =
        if flags == FOR_MAPPING { Access::READ_OK | Access::WRITE_OK } else { Access::READ_OK };
    match error.kind() {
        libbpf_rs::ErrorKind::NotFound => io::ErrorKind::NotFound.into(),
        libbpf_rs::ErrorKind::PermissionDenied => match access(path, wanted) {
            Err(mode) => mode.into(),
            Ok(()) => Errno::PERM.into(),
        },
        _ => io::Error::other(error.to_string()),
    }
}

fn shape(map: &MapHandle) -> Shape {
    Shape {
        map_type: map.map_type(),
        key_bytes: map.key_size() as usize,
        value_bytes: map.value_size() as usize,
    }
}
