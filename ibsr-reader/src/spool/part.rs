// SPDX-License-Identifier: MIT OR Apache-2.0
//! One segment while it is written: `.<name>.part`.
//!
//! Rows are buffered, hashed and appended. After each whole sweep the extent is remembered,
//! so a sweep can be taken back. No call is repeated on a descriptor that has failed: after
//! an error the kernel may have thrown the pages away and would report success.

use std::fs::File;
use std::io::{self, Write as _};

use ibsr_proto::snapshot::{Footer, RowRef, SegmentName};

use super::digest::Extent;
use super::dir::Dir;
use super::error::SpoolError;
use super::rows::Line;

/// Bytes gathered before they are written: about 300 rows a system call.
const BUFFER_BYTES: usize = 64 * 1024;

/// The open file.
#[derive(Debug)]
pub(super) struct Part {
    name: SegmentName,
    part_name: String,
    file: File,
    buffer: Vec<u8>,
    buffered_lines: u64,
    /// What has been written.
    written: Extent,
    /// What of it ends with a whole sweep.
    whole: Extent,
}

impl Part {
    /// Creates the file, which must not exist.
    pub(super) fn create(dir: &Dir, name: SegmentName) -> Result<Self, SpoolError> {
        let part_name = name.part_name();
        let file =
            dir.create(&part_name).map_err(|errno| dir.failed("create", &part_name, errno))?;
        Ok(Self::resume(name, file, Extent::default()))
    }

    /// Goes on with a file of which only `whole` is to be kept.
    pub(super) fn resume(name: SegmentName, file: File, whole: Extent) -> Self {
        let part_name = name.part_name();
        let buffer = Vec::with_capacity(BUFFER_BYTES);
        let written = whole.clone();
        Self { name, part_name, file, buffer, buffered_lines: 0, written, whole }
    }

    /// Name of the hidden file.
    pub(super) fn part_name(&self) -> &str {
        &self.part_name
    }

    /// Bytes of all whole sweeps.
    pub(super) fn whole_bytes(&self) -> u64 {
        self.whole.bytes
    }

    /// Adds a row.
    pub(super) fn row(&mut self, row: impl Line) -> io::Result<()> {
        row.write_to(&mut self.buffer);
        self.added()
    }

    /// Adds a line as it is, with its line feed.
    pub(super) fn line(&mut self, line: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(line);
        self.added()
    }

    fn added(&mut self) -> io::Result<()> {
        self.buffered_lines += 1;
        if self.buffer.len() < BUFFER_BYTES { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.write_all(&self.buffer)?;
        self.written.add(&self.buffer, self.buffered_lines);
        self.buffer.clear();
        self.buffered_lines = 0;
        Ok(())
    }

    /// Writes everything and remembers it as whole.
    pub(super) fn commit(&mut self) -> io::Result<()> {
        self.flush()?;
        self.whole = self.written.clone();
        Ok(())
    }

    /// Takes back everything since the last [`Self::commit`].
    pub(super) fn roll_back(&mut self) -> io::Result<()> {
        self.buffer.clear();
        self.buffered_lines = 0;
        // Also when nothing of ours was written: a recovered file has a torn tail.
        self.file.set_len(self.whole.bytes)?;
        self.written = self.whole.clone();
        Ok(())
    }

    /// Ends the file with its footer, makes it durable and gives it its name.
    ///
    /// `before_publish` runs when the file is complete and still hidden.
    pub(super) fn seal(
        mut self,
        dir: &Dir,
        recovered: bool,
        before_publish: impl FnOnce(&str) -> Result<(), SpoolError>,
    ) -> Result<SegmentName, SpoolError> {
        let footer = Footer { lines: self.whole.lines, sha256: self.whole.sha256(), recovered };
        self.row(RowRef::Footer(&footer))
            .and_then(|()| self.flush())
            .map_err(|error| dir.failed("write", &self.part_name, error))?;
        self.publish(dir, before_publish)
    }

    /// Gives a file that already has its footer its name.
    pub(super) fn publish(
        self,
        dir: &Dir,
        before_publish: impl FnOnce(&str) -> Result<(), SpoolError>,
    ) -> Result<SegmentName, SpoolError> {
        let Self { name, part_name, file, .. } = self;
        file.sync_all().map_err(|error| dir.failed("sync", &part_name, error))?;
        // Dropping would hide the error, which some file systems report only here.
        nix::unistd::close(file).map_err(|errno| dir.failed("close", &part_name, errno))?;
        before_publish(&part_name)?;
        dir.publish(&part_name, &name.to_string())?;
        Ok(name)
    }
}
