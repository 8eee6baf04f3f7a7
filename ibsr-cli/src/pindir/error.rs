// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a directory on bpffs cannot be used, in words that name the path and its owner.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinDirError {
    /// The parent is no bpffs.
    #[error(
        "`{}` is not on a bpffs\nhint: mount one with `mount -t bpf bpf /sys/fs/bpf`", .path.display()
    )]
    NotBpffs {
        /// What was to hold pins.
        path: PathBuf,
    },
    /// A component is a symbolic link.
    #[error("`{}` is a symbolic link of uid {uid}: refused\nhint: name the real path with --pin-root", .path.display())]
    Symlink {
        /// The component.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A component is not a directory.
    #[error("`{}` (owner uid {uid}) is not a directory: refused", .path.display())]
    NotADirectory {
        /// The component.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// A component belongs to somebody else.
    #[error("`{}` belongs to uid {uid}, neither root nor the caller: refused\nhint: see who made it, then remove it or use another --pin-root", .path.display())]
    Owner {
        /// The component.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Others may write to it.
    #[error("`{}` (owner uid {uid}) has mode {mode:04o}, so others can change it: refused\nhint: `chmod go-w {}`", .path.display(), .path.display())]
    Writable {
        /// The component.
        path: PathBuf,
        /// Its owner.
        uid: u32,
        /// Its mode.
        mode: u32,
    },
    /// The mount is read-only.
    #[error("failed to {verb} `{}` (owner uid {uid}): the file system is read-only\nhint: `mount -o remount,rw /sys/fs/bpf`; in a unit leave off ProtectKernelTunables", .path.display())]
    ReadOnly {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Owner of the nearest directory that exists.
        uid: u32,
    },
    /// bpffs keeps names with a dot for itself.
    #[error("`{}` has a dot in its name, which bpffs refuses\nhint: use another --pin-root", .path.display())]
    Dot {
        /// The path.
        path: PathBuf,
    },
    /// Somebody holds the lock.
    #[error("`{}` is locked by another process since {waited_s} s\nhint: `fuser -v {}` names it", .path.display(), .path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// How long this process waited.
        waited_s: u64,
    },
    /// Anything else.
    #[error("failed to {verb} `{}`", .path.display())]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// What an error of the system means for `path`.
pub fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> PinDirError {
    let path = path.to_owned();
    move |source| {
        let has_dot = path.to_string_lossy().contains('.');
        match source.kind() {
            io::ErrorKind::ReadOnlyFilesystem => {
                let nearest = path.ancestors().find_map(|dir| fs::symlink_metadata(dir).ok());
                PinDirError::ReadOnly { verb, path, uid: nearest.map_or(0, |meta| meta.uid()) }
            }
            io::ErrorKind::PermissionDenied if has_dot => PinDirError::Dot { path },
            _ => PinDirError::Io { verb, path, source },
        }
    }
}
