// SPDX-License-Identifier: MIT OR Apache-2.0
//! The scope's directory: held open and locked, and every file in it is named relative to
//! that descriptor, so nothing that happens to the path above can lead us elsewhere.
//!
//! Nothing here knows what is in a file.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use ibsr_proto::pins::Scope;
use rustix::fs::{
    Access, AtFlags, CWD, Dir as Entries, FlockOperation, Mode, OFlags, RenameFlags, Stat,
    StatVfsMountFlags, Timespec, Timestamps,
};
use rustix::io::Errno;
use rustix::process::geteuid;

use super::error::{Doubt, SpoolError};
use super::guard::Facts;

const DIR_MODE: Mode = Mode::from_raw_mode(0o750);
const FILE_MODE: Mode = Mode::from_raw_mode(0o640);
const SAFE: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC);
/// Opening a planted FIFO must not wait for somebody at its other end.
const SAFE_FILE: OFlags = SAFE.union(OFlags::NONBLOCK);

/// A file of the directory, as `stat` described it.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) modified: Timespec,
    pub(super) facts: Facts,
}

/// The open and locked directory of one scope.
#[derive(Debug)]
pub(super) struct Dir {
    path: PathBuf,
    fd: OwnedFd,
    uid: u32,
}

impl Dir {
    /// Checks `root`, makes the scope's directory when it is absent, checks and locks it.
    pub(super) fn open(root: &Path, scope: &Scope) -> Result<Self, SpoolError> {
        // A trailing slash would make the kernel follow a symlink.
        let root: PathBuf = root.components().collect();
        let uid = geteuid().as_raw();
        let root_fd = open_directory(CWD, &root, &root, |facts| facts.check_root(uid))?;
        let path = root.join(scope.as_str());
        match rustix::fs::mkdirat(&root_fd, scope.as_str(), DIR_MODE) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::ROFS) => return Err(refused(&root, Doubt::ReadOnly)),
            Err(Errno::ACCESS) => return Err(refused(&root, Doubt::NotWritable { uid })),
            Err(errno) => return Err(failed("create", &path, errno)),
        }
        let name = Path::new(scope.as_str());
        let fd = open_directory(&root_fd, name, &path, |facts| facts.check_scope(uid))?;
        check_writable(&fd, &path, uid)?;
        lock(&fd, &path)?;
        Ok(Self { path, fd, uid })
    }

    /// Whether the path still leads to this directory: it may have been removed or moved.
    pub(super) fn is_current(&self) -> bool {
        let here = rustix::fs::fstat(&self.fd);
        let there = rustix::fs::statat(CWD, &self.path, AtFlags::SYMLINK_NOFOLLOW);
        matches!((here, there), (Ok(a), Ok(b)) if (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
    }

    /// The path of a file, for messages.
    pub(super) fn path_of(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// User that every file must belong to.
    pub(super) fn uid(&self) -> u32 {
        self.uid
    }

    /// A new file, for appending. `EEXIST` when anything has that name.
    pub(super) fn create(&self, name: &str) -> Result<File, Errno> {
        let flags = SAFE | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::APPEND;
        rustix::fs::openat(&self.fd, name, flags, FILE_MODE).map(File::from)
    }

    /// Opens a regular file of ours for reading.
    pub(super) fn open_file(&self, name: &str) -> Result<File, SpoolError> {
        self.open_checked(name, OFlags::RDONLY, |facts| facts.is_our_file(self.uid))
    }

    /// Opens a file that an earlier process left unfinished, for reading and appending.
    pub(super) fn open_part(&self, name: &str) -> Result<File, SpoolError> {
        let flags = OFlags::RDWR | OFlags::APPEND;
        self.open_checked(name, flags, |facts| facts.is_our_part(self.uid))
    }

    fn open_checked(
        &self,
        name: &str,
        flags: OFlags,
        is_good: impl Fn(&Facts) -> bool,
    ) -> Result<File, SpoolError> {
        let fd = rustix::fs::openat(&self.fd, name, SAFE_FILE | flags, Mode::empty())
            .map_err(|errno| self.failed("open", name, errno))?;
        let stat = rustix::fs::fstat(&fd).map_err(|errno| self.failed("stat", name, errno))?;
        if !is_good(&Facts::from(&stat)) {
            let foreign = io::Error::new(io::ErrorKind::InvalidInput, "not a file of ours");
            return Err(self.failed("open", name, foreign));
        }
        Ok(fd.into())
    }

    /// Makes `part` visible as `name` and makes that durable. Never replaces anything.
    ///
    /// Once it is visible somebody may have read it, so it stays sealed even when the name
    /// may not survive a power loss; then it is found as a part with its footer, or missed.
    pub(super) fn publish(&self, part: &str, name: &str) -> Result<(), SpoolError> {
        self.rename(part, name).map_err(|errno| self.failed("rename", part, errno))?;
        if let Err(error) = self.sync() {
            tracing::error!(name, %error, "segment sealed, but a power loss may undo its name");
        }
        Ok(())
    }

    /// Renames without replacing.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        rustix::fs::renameat_with(&self.fd, from, &self.fd, to, RenameFlags::NOREPLACE)
    }

    /// Makes renames and removals durable.
    pub(super) fn sync(&self) -> Result<(), SpoolError> {
        rustix::fs::fsync(&self.fd).map_err(|errno| failed("sync", &self.path, errno))
    }

    /// Removes a file; a directory is never removed.
    pub(super) fn remove(&self, name: &str) -> Result<(), SpoolError> {
        rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())
            .map_err(|errno| self.failed("remove", name, errno))
    }

    /// Sets the time of the last change.
    pub(super) fn set_modified(&self, name: &str, modified: Timespec) -> Result<(), SpoolError> {
        let times = Timestamps { last_access: modified, last_modification: modified };
        rustix::fs::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|errno| self.failed("set the time of", name, errno))
    }

    /// Everything in the directory whose name `is_wanted`. Order is the file system's.
    pub(super) fn list(&self, is_wanted: impl Fn(&str) -> bool) -> Result<Vec<Entry>, SpoolError> {
        let list_failed = |errno| failed("list", &self.path, errno);
        let mut found = Vec::new();
        for entry in Entries::read_from(&self.fd).map_err(list_failed)? {
            let entry = entry.map_err(list_failed)?;
            // Our names are ASCII; what is not UTF-8 is not ours.
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !is_wanted(name) {
                continue;
            }
            match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => found.push(entry_of(name, &stat)),
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(self.failed("stat", name, errno)),
            }
        }
        Ok(found)
    }

    /// The error of an operation on a file of this directory.
    pub(super) fn failed(
        &self,
        verb: &'static str,
        name: &str,
        cause: impl Into<io::Error>,
    ) -> SpoolError {
        failed(verb, &self.path.join(name), cause)
    }
}

fn entry_of(name: &str, stat: &Stat) -> Entry {
    Entry {
        name: name.to_owned(),
        bytes: u64::try_from(stat.st_size).unwrap_or(0),
        modified: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: i64::try_from(stat.st_mtime_nsec).unwrap_or(0),
        },
        facts: Facts::from(stat),
    }
}

fn open_directory(
    at: impl std::os::fd::AsFd,
    name: &Path,
    path: &Path,
    check: impl Fn(&Facts) -> Result<(), Doubt>,
) -> Result<OwnedFd, SpoolError> {
    let judge = |stat: &Stat| check(&Facts::from(stat)).map_err(|doubt| refused(path, doubt));
    let flags = SAFE | OFlags::RDONLY | OFlags::DIRECTORY;
    match rustix::fs::openat(&at, name, flags, Mode::empty()) {
        Ok(fd) => {
            judge(&rustix::fs::fstat(&fd).map_err(|errno| failed("stat", path, errno))?)?;
            Ok(fd)
        }
        Err(Errno::NOENT) => Err(SpoolError::Missing { path: path.to_owned() }),
        Err(errno) => {
            // The kernel says ENOTDIR of a symlink too; `stat` knows which it is.
            if let Ok(stat) = rustix::fs::statat(&at, name, AtFlags::SYMLINK_NOFOLLOW) {
                judge(&stat)?;
            }
            Err(failed("open", path, errno))
        }
    }
}

fn check_writable(fd: &OwnedFd, path: &Path, uid: u32) -> Result<(), SpoolError> {
    let fs = rustix::fs::fstatvfs(fd).map_err(|errno| failed("stat", path, errno))?;
    if fs.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Err(refused(path, Doubt::ReadOnly));
    }
    rustix::fs::accessat(fd, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::empty())
        .map_err(|_| refused(path, Doubt::NotWritable { uid }))
}

fn lock(fd: &OwnedFd, path: &Path) -> Result<(), SpoolError> {
    match rustix::fs::flock(fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(SpoolError::Locked { path: path.to_owned() }),
        Err(errno) => Err(failed("lock", path, errno)),
    }
}

fn refused(path: &Path, doubt: Doubt) -> SpoolError {
    SpoolError::Refused { path: path.to_owned(), doubt }
}

fn failed(verb: &'static str, path: &Path, cause: impl Into<io::Error>) -> SpoolError {
    SpoolError::Io { verb, path: path.to_owned(), cause: cause.into() }
}
