// SPDX-License-Identifier: MIT OR Apache-2.0
//! Directories of cgroup v2: which one is meant, and what it is called. Reads only.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_cli::hint::with_hint;
use ibsr_proto::pins::Scope;
use rustix::fs::fstatfs;

/// `f_type` of version 2, <linux/magic.h>.
const CGROUP2_MAGIC: u64 = 0x6367_7270;
/// `f_type` of version 1.
const CGROUP_MAGIC: u64 = 0x0027_e0eb;

/// An open cgroup.
#[derive(Debug)]
pub struct Cgroup {
    dir: File,
    /// Its id: the inode of its directory.
    pub id: u64,
    /// Path below the mount point, empty for the topmost one.
    pub path: String,
}

impl AsFd for Cgroup {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.dir.as_fd()
    }
}

impl Cgroup {
    /// Opens the directory of a cgroup.
    ///
    /// # Errors
    /// When it is not there or is none of version 2; the message names it and what is.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mount = mount_point(&mounts);
        let refuse = |error: anyhow::Error| with_hint(error, hint(mount.as_deref(), path));
        let dir = File::open(path)
            .with_context(|| format!("failed to open the cgroup `{shown}`"))
            .map_err(refuse)?;
        let stat = fstatfs(&dir).with_context(|| format!("failed to look at `{shown}`"))?;
        let meta = dir.metadata().with_context(|| format!("failed to look at `{shown}`"))?;
        #[expect(clippy::cast_sign_loss, reason = "a magic number, signed on some architectures")]
        let magic = stat.f_type as u64 & 0xffff_ffff;
        if magic == CGROUP_MAGIC {
            return Err(refuse(anyhow::anyhow!("`{shown}` is a cgroup of version 1")));
        }
        if magic != CGROUP2_MAGIC || !meta.is_dir() {
            return Err(refuse(anyhow::anyhow!("`{shown}` is not the directory of a cgroup")));
        }
        let full =
            fs::canonicalize(path).with_context(|| format!("failed to look at `{shown}`"))?;
        let below = mount.as_deref().and_then(|mount| full.strip_prefix(mount).ok());
        let path = below.unwrap_or(&full).to_string_lossy().into_owned();
        Ok(Self { dir, id: meta.ino(), path })
    }

    /// The scope that its own name gives, or `name`.
    ///
    /// # Errors
    /// When the topmost one is not given a name, or the name cannot be that of a directory of ours.
    pub fn scope(&self, name: Option<&str>) -> Result<Scope> {
        let own = || Path::new(&self.path).file_name().and_then(|name| name.to_str());
        let Some(name) = name.or_else(own) else {
            let error = anyhow::anyhow!("the topmost cgroup has no name");
            return Err(with_hint(error, "give the scope one with --name"));
        };
        Scope::cgroup(name)
            .map_err(|error| with_hint(error.into(), "give the scope a name with --name"))
    }
}

/// Whether the cgroup of that path below the mount point still is the one with that id; `None`
/// when it cannot be looked at.
#[must_use]
pub fn is_there(path: &str, id: u64) -> Option<bool> {
    match fs::metadata(full_path(path)?) {
        Ok(meta) => Some(meta.ino() == id),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(false),
        Err(_) => None,
    }
}

/// The directory of a path below the mount point.
#[must_use]
pub fn full_path(path: &str) -> Option<String> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    Some(mount_point(&mounts)?.join(path).display().to_string())
}

/// Where version 2 is mounted, in the text of /proc/self/mounts.
fn mount_point(mounts: &str) -> Option<PathBuf> {
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let line = lines.find(|fields| fields.get(2) == Some(&"cgroup2"))?;
    // The kernel writes a space in a path as `\040`.
    Some(line.get(1)?.replace("\\040", " ").into())
}

fn hint(mount: Option<&Path>, path: &Path) -> String {
    let Some(mount) = mount else {
        return "cgroup v2 is not mounted: `mount -t cgroup2 none /sys/fs/cgroup`".to_owned();
    };
    let below = path.strip_prefix("/sys/fs/cgroup").unwrap_or(path);
    let below = mount.join(below.strip_prefix("/").unwrap_or(below));
    if below != path && below.is_dir() {
        return format!(
            "cgroup v2 is mounted at `{}`: name `{}`",
            mount.display(),
            below.display()
        );
    }
    format!("name a directory under `{}`, where cgroup v2 is mounted", mount.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_is_found_beside_version_1() {
        let mounts = "cgroup /sys/fs/cgroup/pids cgroup rw 0 0\n\
                      none /sys/fs/cgroup/uni\\040fied cgroup2 rw 0 0\n";
        assert_eq!(mount_point(mounts), Some("/sys/fs/cgroup/uni fied".into()));
        assert_eq!(mount_point("proc /proc proc rw 0 0\n"), None);
        assert!(hint(None, Path::new("/x")).contains("mount -t cgroup2"));
    }
}
