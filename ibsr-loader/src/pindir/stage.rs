// SPDX-License-Identifier: MIT OR Apache-2.0
//! A directory of pins in the making, which appears under its name in one step or not at all.

use std::fs::DirBuilder;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use ibsr_cli::pindir::{exchange, failed, give};
use ibsr_proto::pins::DIR_MODE;
use rustix::fs::{CWD, Gid, RenameFlags, renameat_with};
use tracing::warn;

use super::{Result, remove};
use crate::kernel;

/// A set of pins in the making. What is not published is removed again.
#[derive(Debug)]
pub struct Stage {
    dir: PathBuf,
    group: Gid,
    is_kept: bool,
}

impl Stage {
    /// Makes the directory, which must not exist.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(dir: PathBuf, group: Gid) -> Result<Self> {
        DirBuilder::new().mode(DIR_MODE).create(&dir).map_err(failed("create", &dir))?;
        give(&dir, DIR_MODE, group);
        Ok(Self { dir, group, is_kept: false })
    }

    /// Pins an object under a name.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn pin(&self, name: &str, fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
        let path = self.dir.join(name);
        kernel::pin(fd, &path).map_err(failed("pin", &path))?;
        give(&path, mode, self.group);
        Ok(())
    }

    /// Moves the directory to its name in one step. It is still removed on drop until
    /// [`Self::keep`].
    ///
    /// # Errors
    /// When the name is taken.
    pub fn publish(&mut self, to: &Path) -> Result<()> {
        renameat_with(CWD, &self.dir, CWD, to, RenameFlags::NOREPLACE)
            .map_err(|errno| failed("move into place", to)(errno.into()))?;
        to.clone_into(&mut self.dir);
        Ok(())
    }

    /// Swaps the directory with `with` in one step; returns where the old one is now. The
    /// new one is not removed any more.
    ///
    /// # Errors
    /// When either is gone.
    pub fn exchange(&mut self, with: &Path) -> Result<PathBuf> {
        exchange(&self.dir, with)?;
        self.is_kept = true;
        Ok(std::mem::replace(&mut self.dir, with.to_owned()))
    }

    /// Done: nothing is removed on drop.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !self.is_kept
            && let Err(error) = remove(&self.dir)
        {
            warn!(error = %error, "left behind");
        }
    }
}
