// SPDX-License-Identifier: MIT OR Apache-2.0
//! Opening pins, whatever they hold: `meta` first, then type, key size and value size of every
//! map, and again where an attach came in between. Never opens a link, whose pin may detach the
//! program.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use ibsr_proto::abi::MetaError;
use ibsr_proto::pins;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle, MapType};
use rustix::fs::{Access, access};
use rustix::io::Errno;

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
    /// Another reader holds the lock of the guard's ring.
    #[error(
        "another reader consumes the records of the guard, it holds the lock of `{}`\nhint: only one can, whatever its spool: stop it, or read its segments",
        path.display()
    )]
    Consumed {
        /// The directory.
        path: PathBuf,
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
    /// Type.
    pub map_type: MapType,
    /// Of a key.
    pub key_bytes: usize,
    /// Of a value; of one CPU's in a per-CPU map.
    pub value_bytes: usize,
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { map_type, key_bytes, value_bytes } = self;
        write!(f, "{map_type:?} with keys of {key_bytes} and values of {value_bytes} bytes")
    }
}

/// Which files the pins are. Changes with every attach, upgrade and detach. The links count:
/// they are the last to be pinned and the first to go, so maps without them are not attached
/// yet or not any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(Vec<(u64, u64)>);

impl Identity {
    /// Of the pins `names` under `dir`. Needs no right on the pins themselves.
    ///
    /// # Errors
    /// [`PinError::Absent`] with the first one missing, [`PinError::Open`] otherwise.
    pub fn of<'a>(dir: &Path, names: impl IntoIterator<Item = &'a str>) -> Result<Self, PinError> {
        let file = |name| {
            let path = dir.join(name);
            let status = fs::symlink_metadata(&path).map_err(|source| open_error(&path, source))?;
            Ok((status.dev(), status.ino()))
        };
        names.into_iter().map(file).collect::<Result<_, _>>().map(Self)
    }
}

/// Opens what `identity` identifies. An exchange of the directory in between is noticed, and
/// all of it is opened again.
///
/// # Errors
/// What the two closures return, and [`PinError::Unsettled`].
pub fn settled<T>(
    dir: &Path,
    identity: impl Fn() -> Result<Identity, PinError>,
    open: impl Fn(Identity) -> Result<T, PinError>,
) -> Result<T, PinError> {
    for _ in 0..OPEN_TRIES {
        let before = identity()?;
        let opened = open(before.clone());
        if identity().is_ok_and(|after| after == before) {
            return opened;
        }
    }
    Err(PinError::Unsettled { dir: dir.to_owned() })
}

/// The bytes of a `meta` entry, of any release and sensor.
///
/// # Errors
/// [`PinError`] when it is no array or cannot be read.
pub fn read_meta(path: &Path, value_bytes: usize) -> Result<Vec<u8>, PinError> {
    let map = open_pin(path, libbpf_sys::BPF_F_RDONLY)?;
    let found = shape(&map);
    let expected = Shape { map_type: MapType::Array, key_bytes: 4, value_bytes };
    // Maps of another release: say so in terms of versions, which the head of every
    // release's `meta` tells.
    if found.map_type != expected.map_type || found.key_bytes != expected.key_bytes {
        return Err(PinError::Layout { path: path.to_owned(), found, expected });
    }
    let bytes = map
        .lookup(&ONLY_KEY, MapFlags::ANY)
        .map_err(|source| PinError::Read { name: pins::META, source })?;
    Ok(bytes.expect("entry 0 of an array always exists"))
}

/// Per-CPU values have the stride that they were written with only on as many CPUs.
///
/// # Errors
/// [`PinError::Cpus`].
pub fn check_cpus(made_for: u32) -> Result<(), PinError> {
    let here = libbpf_rs::num_possible_cpus()
        .map_err(|source| PinError::Read { name: pins::TOTALS, source })?;
    if made_for as usize == here { Ok(()) } else { Err(PinError::Cpus { made_for, here }) }
}

/// Totals, and how much of `count` may have been between two of their counters while they
/// were read.
///
/// A CPU that counts while its value is copied gives counters of different moments. So the
/// totals are read until two reads in a row are equal; on a busy host the growth from one
/// read to the next bounds the difference.
///
/// # Errors
/// [`PinError::Read`].
pub fn at_rest<T: Copy + PartialEq>(
    read: impl Fn() -> Result<T, PinError>,
    count: impl Fn(&T) -> u64,
) -> Result<(T, u64), PinError> {
    let mut totals = read()?;
    let mut best = (totals, u64::MAX);
    for _ in 0..TOTALS_TRIES {
        let next = read()?;
        let growth = count(&next).saturating_sub(count(&totals));
        if growth <= best.1 {
            best = (totals, growth);
        }
        if totals == next {
            break;
        }
        totals = next;
    }
    Ok(best)
}

/// What the failure to open `path` is.
#[must_use]
pub fn open_error(path: &Path, source: io::Error) -> PinError {
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

/// The one value of a per-CPU array, CPU by CPU.
///
/// # Errors
/// [`PinError::Read`].
pub fn read_cpus(map: &MapHandle, name: &'static str) -> Result<Vec<Vec<u8>>, PinError> {
    let values = map
        .lookup_percpu(&ONLY_KEY, MapFlags::ANY)
        .map_err(|source| PinError::Read { name, source })?;
    Ok(values.expect("entry 0 of an array always exists"))
}

/// The kernel maps only what was opened for writing too, frozen or not.
pub const FOR_MAPPING: u32 = 0;

/// Opens a pin and checks what it is.
///
/// # Errors
/// [`PinError`].
pub fn open_map(path: &Path, expected: Shape, flags: u32) -> Result<MapHandle, PinError> {
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
