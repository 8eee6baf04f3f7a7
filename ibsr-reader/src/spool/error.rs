// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why the spool refuses to start or has lost a file.

use std::io;
use std::path::PathBuf;

use rustix::process::geteuid;

/// What can go wrong with the spool.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// A system call failed. While a segment is open, that segment is lost.
    #[error("failed to {verb} `{path}`: {cause}")]
    Io {
        /// What was tried.
        verb: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not. Part of the text, so that a log line without the chain has it.
        cause: io::Error,
    },
    /// The root of the spool does not exist; it is never made by the reader.
    #[error(
        "spool `{path}` does not exist\nhint: install -d -m 0750 -o {} {path}",
        geteuid().as_raw()
    )]
    Missing {
        /// The root.
        path: PathBuf,
    },
    /// A directory of the spool is not one that can be trusted.
    #[error("spool directory `{path}` {doubt}")]
    Refused {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        doubt: Doubt,
    },
    /// Another process holds the lock.
    #[error("another reader writes to `{path}`\nhint: one reader a scope; see `fuser -v {path}`")]
    Locked {
        /// The scope's directory.
        path: PathBuf,
    },
    /// A sweep arrived before the header of what it is about.
    #[error("no header was given before the first sweep")]
    NoHeader,
}

impl SpoolError {
    /// Whether the kernel may have thrown away what was written: the file may read well now
    /// and not be on the disk, so it must never be sealed.
    pub(super) fn is_doubtful(&self) -> bool {
        matches!(self, Self::Io { verb: "sync" | "close", .. })
    }
}

/// What is wrong with a directory. Reads on after its path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Doubt {
    /// Whoever owns the link could move the spool.
    #[error("is a symlink\nhint: give the directory itself")]
    Symlink,
    /// Not a directory.
    #[error("is not a directory")]
    NotADirectory,
    /// Its owner could replace any file in it.
    #[error("belongs to uid {owner}, not to uid {expected}\nhint: run as its owner, or chown it")]
    Owner {
        /// Who owns it.
        owner: u32,
        /// Who this process is.
        expected: u32,
    },
    /// Anybody could plant files in it.
    #[error("is writable by everybody (mode {mode:04o})\nhint: chmod o-w")]
    WorldWritable {
        /// Its permission bits.
        mode: u32,
    },
    /// The file system is mounted read-only.
    #[error("is on a read-only file system\nhint: mount it read-write, or choose another --spool")]
    ReadOnly,
    /// No right to write.
    #[error("is not writable by uid {uid}\nhint: chown it to the reader's user")]
    NotWritable {
        /// Who this process is.
        uid: u32,
    },
}
