// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this machine calls executables, users and cgroups. Reads only.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use ibsr_policy::{Policy, Resolve};
use ibsr_proto::guard_abi::ExeKey;
use rustix::fs::{major, minor};

/// Bits of the minor number in the kernel's own device numbers, <linux/kdev_t.h>.
const MINOR_BITS: u32 = 20;

/// This machine.
#[derive(Debug, Clone, Copy)]
pub struct Machine;

impl Resolve for Machine {
    fn exe(&self, path: &str) -> Option<ExeKey> {
        let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let device = major(meta.dev()) << MINOR_BITS | minor(meta.dev());
        Some(ExeKey { inode: meta.ino(), device, pad: 0 })
    }

    fn user(&self, name: &str) -> Option<u32> {
        name.parse().ok().or_else(|| {
            let users = fs::read_to_string("/etc/passwd").ok()?;
            let mut lines = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
            lines.find(|fields| fields[0] == name)?.get(2)?.parse().ok()
        })
    }

    fn cgroup(&self, path: &str) -> Option<u64> {
        let dir = cgroup_mount()?.join(path.trim_start_matches('/'));
        fs::metadata(dir).ok().filter(fs::Metadata::is_dir).map(|meta| meta.ino())
    }
}

/// Where version 2 of cgroups is mounted.
pub fn cgroup_mount() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mounts").ok()?;
    let mut fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let fields = fields.find(|fields| fields.get(2) == Some(&"cgroup2"))?;
    // The kernel writes a space in a path as `\040`.
    Some(fields[1].replace("\\040", " ").into())
}

/// Reads a policy; lists are looked for beside it.
///
/// # Errors
/// When it cannot be read, or what is wrong in it.
pub fn read_policy(path: &Path) -> Result<Policy> {
    let shown = path.display().to_string();
    let text = fs::read_to_string(path).with_context(|| format!("failed to read `{shown}`"))?;
    let folder = path.parent().unwrap_or(Path::new(""));
    let list = |name: &str| fs::read_to_string(folder.join(name)).map_err(|e| e.to_string());
    Ok(ibsr_policy::parse(&shown, &text, &list)?)
}
