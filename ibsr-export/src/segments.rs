// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spool as the exporter sees it: which sealed segments lie there, and how one is opened.
//!
//! Whoever can write the spool must not be able to make the exporter read another file, wait
//! on a FIFO or touch a device: names are checked, nothing is followed, and only regular
//! files with one link that belong to the spool's owner are opened. Nothing is written here.

use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ibsr_proto::pins::Scope;
use ibsr_proto::snapshot::SegmentName;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, openat, statat};
use rustix::io::Errno;

/// Warnings about things that are no segments, per process. What else lies there is counted.
const MAX_WARNINGS: usize = 100;
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Scope: the directory.
    pub scope: Arc<str>,
    /// File name, which [`SegmentName::parse`] accepts.
    pub name: Box<str>,
    /// Size.
    pub bytes: u64,
    /// When it was sealed, as far as the file system knows.
    pub modified_ms: u64,
    /// When anything about it changed.
    pub changed_ms: u64,
}

impl Found {
    /// The parts of the name.
    pub fn segment_name(&self) -> SegmentName {
        SegmentName::parse(&self.name, &self.scope).expect("checked when it was found")
    }

    /// Where it lies below the spool.
    pub fn path(&self) -> PathBuf {
        Path::new(&*self.scope).join(&*self.name)
    }
}

/// Why a name in the spool is not uploaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unfit {
    /// Not the name of a segment or of a scope.
    #[error("not a name of the reader's")]
    Name,
    /// A link, a FIFO, a device, a directory.
    #[error("not a regular file")]
    Kind,
    /// A hard link: someone else may hold the file open under another name.
    #[error("it has {0} links")]
    Links(u64),
    /// Not the reader's.
    #[error("it belongs to user {0}, the spool to user {1}")]
    Owner(u32, u32),
    /// Gone since it was listed.
    #[error("it is gone")]
    Vanished,
    /// It cannot be opened.
    #[error("failed to open it: {0}")]
    Open(Errno),
}

/// An opened spool.
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    dir: OwnedFd,
    owner: u32,
    warned: HashSet<String>,
}

impl Spool {
    /// Opens the directory; it must not be a link.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let (dir, owner) = open_root(path)?;
        Ok(Self { path: path.to_owned(), dir, owner, warned: HashSet::new() })
    }

    /// Every sealed segment, in no order. Opens the directory anew: one that was removed and
    /// made again, or mounted over, would otherwise look empty for ever.
    ///
    /// Cost: one `statx` per name; under 200 bytes of memory per segment.
    ///
    /// # Errors
    /// When the spool itself cannot be listed.
    pub fn scan(&mut self) -> Result<Vec<Found>, Errno> {
        (self.dir, self.owner) = open_root(&self.path)?;
        let mut found = Vec::new();
        for name in names(&self.dir)? {
            match self.scope_dir(&name) {
                Ok((scope, dir)) => self.scan_scope(&scope, &dir, &mut found)?,
                Err(unfit) => self.warn(&name, &unfit),
            }
        }
        Ok(found)
    }

    /// Opens a segment for reading. Never waits, never follows.
    ///
    /// # Errors
    /// [`Unfit`].
    pub fn open_segment(&self, found: &Found) -> Result<File, Unfit> {
        let (_, dir) = self.scope_dir(&found.scope)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = openat(&dir, &*found.name, flags, Mode::empty()).map_err(unfit)?;
        self.check(&fstat(&file).map_err(unfit)?)?;
        Ok(File::from(file))
    }

    /// Names of the scope directories as they are now, for the watcher.
    ///
    /// # Errors
    /// When the spool cannot be listed.
    pub fn scope_names(&self) -> Result<Vec<String>, Errno> {
        let (dir, _owner) = open_root(&self.path)?;
        Ok(names(&dir)?.into_iter().filter(|name| name.parse::<Scope>().is_ok()).collect())
    }

    fn scope_dir(&self, name: &str) -> Result<(Arc<str>, OwnedFd), Unfit> {
        let _scope: Scope = name.parse().map_err(|_| Unfit::Name)?;
        let dir = openat(&self.dir, name, DIRECTORY, Mode::empty()).map_err(unfit)?;
        let stat = fstat(&dir).map_err(unfit)?;
        if stat.st_uid != self.owner {
            return Err(Unfit::Owner(stat.st_uid, self.owner));
        }
        Ok((name.into(), dir))
    }

    fn scan_scope(
        &mut self,
        scope: &Arc<str>,
        dir: &OwnedFd,
        found: &mut Vec<Found>,
    ) -> Result<(), Errno> {
        for entry in Dir::read_from(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy();
            if name.starts_with('.') {
                continue;
            }
            match self.look_at(scope, dir, &name) {
                Ok(segment) => found.push(segment),
                Err(Unfit::Vanished) => {}
                Err(unfit) => self.warn(&format!("{scope}/{name}"), &unfit),
            }
        }
        Ok(())
    }

    fn look_at(&self, scope: &Arc<str>, dir: &OwnedFd, name: &str) -> Result<Found, Unfit> {
        SegmentName::parse(name, scope).ok_or(Unfit::Name)?;
        let stat = statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).map_err(unfit)?;
        self.check(&stat)?;
        Ok(Found {
            scope: Arc::clone(scope),
            name: name.into(),
            bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ms: millis(stat.st_mtime, stat.st_mtime_nsec),
            changed_ms: millis(stat.st_ctime, stat.st_ctime_nsec),
        })
    }

    fn check(&self, stat: &Stat) -> Result<(), Unfit> {
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Unfit::Kind);
        }
        if stat.st_nlink != 1 {
            return Err(if stat.st_nlink == 0 {
                Unfit::Vanished
            } else {
                Unfit::Links(stat.st_nlink)
            });
        }
        if stat.st_uid != self.owner {
            return Err(Unfit::Owner(stat.st_uid, self.owner));
        }
        Ok(())
    }

    /// Once per name: in `watch` the same thing lies there at every scan.
    fn warn(&mut self, name: &str, reason: &dyn Display) {
        if self.warned.len() < MAX_WARNINGS && self.warned.insert(name.to_owned()) {
            tracing::warn!(name = name.escape_debug().to_string(), %reason, "skipped in the spool");
        }
    }
}

fn open_root(path: &Path) -> Result<(OwnedFd, u32), Errno> {
    let dir = openat(CWD, path, DIRECTORY, Mode::empty())?;
    let owner = fstat(&dir)?.st_uid;
    Ok((dir, owner))
}

/// Names in a directory, without hidden ones, which are nobody's business.
fn names(dir: &OwnedFd) -> Result<Vec<String>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    Ok(names)
}

fn unfit(errno: Errno) -> Unfit {
    match errno {
        Errno::NOENT => Unfit::Vanished,
        Errno::LOOP | Errno::NOTDIR | Errno::NXIO => Unfit::Kind,
        errno => Unfit::Open(errno),
    }
}

/// Milliseconds since 1970; times before that count as 0.
fn millis(seconds: i64, nanos: impl TryInto<u64>) -> u64 {
    let millis = nanos.try_into().unwrap_or(0) / 1_000_000;
    u64::try_from(seconds).map_or(0, |seconds| seconds.saturating_mul(1000).saturating_add(millis))
}

#[cfg(test)]
mod tests;
