// SPDX-License-Identifier: MIT OR Apache-2.0
//! A pin root of the test's own on the real bpffs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

const BPFFS: &str = "/sys/fs/bpf";

/// A directory under bpffs that does not exist yet and is removed with all its pins on drop.
#[derive(Debug)]
pub struct PinRoot(PathBuf);

impl PinRoot {
    /// Reserves a name; mounts bpffs where the machine has none.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        mount_bpffs();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self(Path::new(BPFFS).join(format!("ibsr-test-{}-{number}", std::process::id())))
    }

    /// Its path, for `--pin-root`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for PinRoot {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for PinRoot {
    fn drop(&mut self) {
        // Unlinking a link's pin detaches it, so a failed test leaves no program behind.
        let _absent = fs::remove_dir_all(&self.0);
    }
}

fn mount_bpffs() {
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc is mounted");
    if mounts.lines().any(|line| line.contains(" /sys/fs/bpf bpf ")) {
        return;
    }
    let status = Command::new("mount").args(["-t", "bpf", "bpf", BPFFS]).status();
    assert!(status.is_ok_and(|status| status.success()), "failed to mount bpffs on `{BPFFS}`");
}
