// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter's own directory: lock, ledger, temporary files, and two small notes that
//! save requests. Losing any of it costs requests, never a segment.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The state directory, held by one exporter at a time.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

impl StateDir {
    /// Opens or creates the directory and takes its lock. `None` when another exporter holds
    /// it. The lock goes with the process, however that ends.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn lock(path: &Path) -> anyhow::Result<Option<Self>> {
        let failed = || format!("failed to open the state directory `{}`", path.display());
        create_dir(path, 0o755).with_context(failed)?;
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .with_context(failed)?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            locked => locked.with_context(failed)?,
        }
        let state = Self { path: path.to_owned(), _lock: lock };
        state.empty_temp().with_context(failed)?;
        Ok(Some(state))
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where compressed copies lie while they are sent.
    pub fn temp(&self) -> PathBuf {
        self.path.join("tmp")
    }

    /// Where started multipart uploads are noted.
    pub fn multipart(&self) -> PathBuf {
        self.path.join("multipart")
    }

    /// What is known about servers.
    pub fn servers(&self) -> PathBuf {
        self.path.join("servers.json")
    }

    /// A killed exporter leaves its copies behind; nobody else writes here.
    fn empty_temp(&self) -> io::Result<()> {
        create_dir(&self.temp(), 0o700)?;
        create_dir(&self.multipart(), 0o700)?;
        for entry in fs::read_dir(self.temp())? {
            fs::remove_file(entry?.path())?;
        }
        Ok(())
    }
}

/// Replaces the file `path` so that a reader sees the old or the new text, never a part.
///
/// # Errors
/// Those of the file system.
pub fn replace_file(path: &Path, text: &[u8]) -> io::Result<()> {
    let dir = path.parent().expect("a file in a directory");
    let mut new = tempfile::NamedTempFile::new_in(dir)?;
    new.write_all(text)?;
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(dir)?.sync_all()
}

fn create_dir(path: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(mode).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E9: two exporters on one state directory.
    #[test]
    fn the_second_holder_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let first = StateDir::lock(dir.path()).expect("opens").expect("free");
        assert!(StateDir::lock(dir.path()).expect("opens").is_none());
        drop(first);
        assert!(StateDir::lock(dir.path()).expect("opens").is_some());
    }

    #[test]
    fn copies_of_a_killed_exporter_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let state = StateDir::lock(dir.path()).expect("opens").expect("free");
        let left = state.temp().join("left");
        fs::write(&left, "x").expect("writes");
        drop(state);
        let _state = StateDir::lock(dir.path()).expect("opens").expect("free");
        assert!(!left.exists());
    }
}
