// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories on bpffs: who owns them, who holds the lock, how a set of pins appears at once
//! and disappears in order.
//!
//! bpffs is often mode 1777, so anybody may have put something where ours should be: every
//! component is checked before it is trusted. Nothing here knows what the pins mean.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ibsr_proto::pins::{DIR_MODE, LINK, PROG, Scope, XDP_MAPS, is_cgroup_pin};
use rustix::fs::{CWD, FlockOperation, Gid, RenameFlags, flock, renameat_with, statfs};
use rustix::process::geteuid;
use tracing::info;

mod error;
mod stage;

pub use error::PinDirError;
pub use stage::Stage;

use error::failed;
use stage::give;

/// `f_type` of bpffs, <linux/magic.h>.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

type Result<T> = std::result::Result<T, PinDirError>;

/// A loader holds the lock for well under a second.
const LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// The directory of all scopes, locked against other loaders while this value lives.
#[derive(Debug)]
pub struct PinRoot {
    path: PathBuf,
    is_made_here: bool,
    _lock: File,
}

impl PinRoot {
    /// Checks, makes and locks the directory; hands a new one to `group`.
    ///
    /// # Errors
    /// [`PinDirError`] naming the first component that cannot be trusted or made.
    pub fn create(path: &Path, group: Gid) -> Result<Self> {
        loop {
            check_parents(path)?;
            let is_made_here = !check_component(path, Strictness::Ours)? && make(path)?;
            // None: a `detach` removed it between the two steps.
            let Some(root) = Self::open(path)? else { continue };
            if is_made_here {
                give(path, DIR_MODE, group);
            }
            return Ok(Self { is_made_here, ..root });
        }
    }

    /// Checks and locks the directory; `None` when it does not exist.
    ///
    /// # Errors
    /// [`PinDirError`] naming the first component that cannot be trusted.
    pub fn open(path: &Path) -> Result<Option<Self>> {
        check_parents(path)?;
        loop {
            if !check_component(path, Strictness::Ours)? {
                return Ok(None);
            }
            check_bpffs(path)?;
            let lock = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(failed("open", path))?,
            };
            wait_for_lock(&lock, path)?;
            // Another loader may have removed the directory while this one waited.
            let locked = lock.metadata().map_err(failed("look at", path))?;
            if fs::symlink_metadata(path).is_ok_and(|now| now.ino() == locked.ino()) {
                return Ok(Some(Self { path: path.to_owned(), is_made_here: false, _lock: lock }));
            }
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Every scope that has a directory, prepared ones included, sorted.
    ///
    /// # Errors
    /// When the directory cannot be listed.
    pub fn scopes(&self) -> Result<Vec<Scope>> {
        scopes(&self.path)
    }

    /// Undoes [`Self::create`] when that made the directory and nothing else came into it.
    pub fn remove_if_made_here(&self) {
        if self.is_made_here {
            let _in_use = fs::remove_dir(&self.path);
        }
    }

    /// Removes the directory when it is empty; whether it is gone.
    #[must_use]
    pub fn remove_if_empty(&self) -> bool {
        fs::remove_dir(&self.path).is_ok()
    }
}

/// Makes the directory; false when another loader was faster.
fn make(path: &Path) -> Result<bool> {
    check_bpffs(path.parent().unwrap_or(path))?;
    match DirBuilder::new().mode(DIR_MODE).create(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(failed("create", path)(error)),
    }
}

/// Whether `path` is there, can be trusted and is on bpffs. Takes no lock.
///
/// # Errors
/// [`PinDirError`] naming the first component that cannot be trusted.
pub fn is_pin_root(path: &Path) -> Result<bool> {
    check_parents(path)?;
    let is_there = check_component(path, Strictness::Ours)?;
    // The directory may be a mount of its own; one that is to be made may not.
    check_bpffs(if is_there { path } else { path.parent().unwrap_or(path) })?;
    Ok(is_there)
}

/// Every scope with a directory under `root`, without a lock.
///
/// # Errors
/// When the directory cannot be listed.
pub fn scopes(root: &Path) -> Result<Vec<Scope>> {
    let mut found: Vec<Scope> =
        names_in(root)?.iter().filter_map(|name| Scope::of_dir_name(name)).collect();
    found.sort();
    found.dedup();
    Ok(found)
}

/// Names in a directory, sorted.
///
/// # Errors
/// When it cannot be listed.
pub fn names_in(dir: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(dir).map_err(failed("list", dir))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed("list", dir))?;
        names.push(entry.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether a pin of this name is one that the loader makes in the scope directory `dir`.
#[must_use]
pub fn is_ours(dir: &Path, name: &str) -> bool {
    let dir_name = dir.file_name().unwrap_or_default().to_string_lossy();
    match Scope::of_dir_name(&dir_name) {
        Some(scope) if scope.is_cgroup() => is_cgroup_pin(name),
        _ => [LINK, PROG].contains(&name) || XDP_MAPS.iter().any(|(pin, _)| *pin == name),
    }
}

/// Polls, because a reader of the directory may lock it too and nothing would ever end.
fn wait_for_lock(lock: &File, path: &Path) -> Result<()> {
    let start = Instant::now();
    while flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if start.elapsed() < LOCK_POLL {
            info!(path = %path.display(), "waiting for another loader");
        }
        let waited_s = start.elapsed().as_secs();
        if waited_s >= LOCK_WAIT.as_secs() {
            return Err(PinDirError::Locked { path: path.to_owned(), waited_s });
        }
        sleep(LOCK_POLL);
    }
    Ok(())
}

/// How much a component must be ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Others may write if the sticky bit keeps them from replacing what is not theirs.
    Shared,
    /// Nobody else may write.
    Ours,
}

fn check_parents(path: &Path) -> Result<()> {
    let parent = path.parent().unwrap_or(path);
    let mut above: Vec<&Path> = parent.ancestors().collect();
    above.reverse();
    for dir in above.into_iter().filter(|dir| !dir.as_os_str().is_empty()) {
        if !check_component(dir, Strictness::Shared)? {
            let missing = io::Error::from(io::ErrorKind::NotFound);
            return match dir == Path::new("/sys/fs/bpf") {
                true => Err(PinDirError::NotBpffs { path: dir.to_owned() }),
                false => Err(failed("open", dir)(missing)),
            };
        }
    }
    Ok(())
}

fn check_bpffs(dir: &Path) -> Result<()> {
    let stat = statfs(dir).map_err(|errno| failed("look at", dir)(errno.into()))?;
    #[expect(clippy::cast_sign_loss, reason = "a magic number, signed on some architectures")]
    if stat.f_type as u64 & 0xffff_ffff == BPF_FS_MAGIC {
        return Ok(());
    }
    Err(PinDirError::NotBpffs { path: dir.to_owned() })
}

/// Checks type, owner and mode without following a link; false when nothing is there.
///
/// # Errors
/// [`PinDirError`] with what is wrong and whose it is.
pub fn check_component(path: &Path, strictness: Strictness) -> Result<bool> {
    const STICKY: u32 = 0o1000;
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        meta => meta.map_err(failed("look at", path))?,
    };
    let (path, uid, mode) = (path.to_owned(), meta.uid(), meta.mode() & 0o7777);
    let is_shared = strictness == Strictness::Shared && mode & STICKY != 0;
    if meta.is_symlink() {
        Err(PinDirError::Symlink { path, uid })
    } else if !meta.is_dir() {
        Err(PinDirError::NotADirectory { path, uid })
    } else if uid != 0 && uid != geteuid().as_raw() {
        Err(PinDirError::Owner { path, uid })
    } else if mode & 0o022 != 0 && !is_shared {
        Err(PinDirError::Writable { path, uid, mode })
    } else {
        Ok(true)
    }
}

/// Swaps two directories in one step (Linux 5.17 on bpffs; our program needs 5.18).
///
/// # Errors
/// When either is gone.
pub fn exchange(a: &Path, b: &Path) -> Result<()> {
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE)
        .map_err(|errno| failed("swap into place", b)(errno.into()))
}

/// Removes our pins, links first, then the directory unless something foreign is in it.
/// Returns the names of what is foreign. A directory that is not there is success.
///
/// # Errors
/// When the directory cannot be listed or a pin of ours cannot be removed.
pub fn remove(dir: &Path) -> Result<Vec<String>> {
    if !check_component(dir, Strictness::Ours)? {
        return Ok(Vec::new());
    }
    let (mut ours, foreign): (Vec<String>, Vec<String>) =
        names_in(dir)?.into_iter().partition(|name| is_ours(dir, name));
    ours.sort_by_key(|name| !name.starts_with(LINK));
    for name in ours {
        let path = dir.join(name);
        fs::remove_file(&path).map_err(failed("remove", &path))?;
    }
    if foreign.is_empty() {
        fs::remove_dir(dir).map_err(failed("remove", dir))?;
    }
    Ok(foreign)
}
