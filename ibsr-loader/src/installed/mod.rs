// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads what is pinned for a scope, without changing it.
//!
//! Works with whatever rights there are: maps need the group, links and programs the owner.
//! What could not be looked at is said to be so, never guessed.

pub mod cgroup;
pub mod xdp;

use std::fs;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::Path;

use ibsr_proto::abi::MetaError;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};

use crate::kernel::{self, MapInfo};

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

/// Reads and checks the description with the reader's own `check`.
fn read_meta<M>(
    path: &Path,
    check: impl FnOnce(&[u8]) -> Result<M, MetaError>,
) -> Result<Box<M>, Undescribed> {
    let value = MapHandle::from_pinned_path_with_file_flags(path, libbpf_sys::BPF_F_RDONLY)
        .ok()
        .filter(|map| map.key_size() == 4)
        .and_then(|map| map.lookup(&0u32.to_ne_bytes(), MapFlags::ANY).ok().flatten())
        .ok_or(Undescribed::Unreadable)?;
    Ok(Box::new(check(&value)?))
}
