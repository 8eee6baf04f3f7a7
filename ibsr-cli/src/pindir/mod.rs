// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories on bpffs: who owns them and who holds the lock.
//!
//! bpffs is often mode 1777, so anybody may have put something where ours should be: every
//! component is checked before it is trusted. Nothing here knows what the pins mean.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FlockOperation, Gid, RenameFlags, flock, renameat_with, statfs};
use rustix::process::geteuid;
use tracing::{info, warn};

mod error;

pub use error::{PinDirError, failed};

/// `f_type` of bpffs, <linux/magic.h>.
const BPF_FS_MAGIC: u64 = 0xcafe_4a11;

type Result<T> = std::result::Result<T, PinDirError>;

/// Whoever changes pins holds the lock for well under a second.
const LOCK_WAIT: Duration = Duration::from_secs(60);
const LOCK_POLL: Duration = Duration::from_millis(50);

/// A directory of pins, locked against others that change it while this value lives.
#[derive(Debug)]
pub struct PinRoot {
    path: PathBuf,
    is_made_here: bool,
    _lock: File,
}

impl PinRoot {
    /// Checks, makes and locks the directory; a new one gets `mode` and `group`.
    ///
    /// # Errors
    /// [`PinDirError`] naming the first component that cannot be trusted or made.
    pub fn create(path: &Path, mode: u32, group: Gid) -> Result<Self> {
        loop {
            check_parents(path)?;
            let is_made_here = !check_component(path, Strictness::Ours)? && make(path, mode)?;
            // None: a `detach` removed it between the two steps.
            let Some(root) = Self::open(path)? else { continue };
            if is_made_here {
                give(path, mode, group);
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
            wait_for_lock(&lock, path, LOCK_WAIT)?;
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
fn make(path: &Path, mode: u32) -> Result<bool> {
    check_bpffs(path.parent().unwrap_or(path))?;
    match DirBuilder::new().mode(mode).create(path) {
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

/// Locks a directory for as long as the answer lives.
///
/// # Errors
/// When it cannot be opened, or somebody else held the lock for longer than `patience`.
pub fn lock(path: &Path, patience: Duration) -> Result<File> {
    let lock = File::open(path).map_err(failed("open", path))?;
    wait_for_lock(&lock, path, patience)?;
    Ok(lock)
}

/// Polls, because a reader of the directory may lock it too and nothing would ever end.
fn wait_for_lock(lock: &File, path: &Path, patience: Duration) -> Result<()> {
    let start = Instant::now();
    while flock(lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        if start.elapsed() < LOCK_POLL {
            info!(path = %path.display(), "waiting for another process");
        }
        if start.elapsed() >= patience {
            let waited_s = start.elapsed().as_secs();
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

/// Hands a file of ours to the group. Tells once when that is not allowed, and goes on.
pub fn give(path: &Path, mode: u32, group: Gid) {
    let is_given = fs::symlink_metadata(path).is_ok_and(|meta| meta.gid() == group.as_raw());
    if !is_given && std::os::unix::fs::chown(path, None, Some(group.as_raw())).is_err() {
        warn!(path = %path.display(), gid = group.as_raw(), "not allowed to hand the pin to the group: its members cannot read it");
    }
    if let Err(error) = fs::set_permissions(path, fs::Permissions::from_mode(mode)) {
        warn!(path = %path.display(), mode = format!("{mode:o}"), %error, "mode not set");
    }
}
