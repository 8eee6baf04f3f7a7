// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments as the reader leaves them: hidden while they are written, renamed when whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use ibsr_proto::abi::hex;
use ibsr_proto::snapshot::{Footer, Header, RowRef, SegmentName};
use ibsr_replay::site::Swept;
use sha2::{Digest as _, Sha256};

/// An open segment. Dropped without [`Self::seal`] it stays hidden, and no segment to
/// anyone.
#[derive(Debug)]
pub struct Writer {
    file: BufWriter<File>,
    part: PathBuf,
    sealed: PathBuf,
    hash: Sha256,
    lines: u64,
    bytes: u64,
    text: Vec<u8>,
}

impl Writer {
    /// Begins the segment whose first sweep is `first_seq`, in `<spool>/<scope>/`.
    pub fn create(spool: &Path, header: &Header, first_seq: u64) -> io::Result<Self> {
        let name = SegmentName {
            host: header.host.clone(),
            scope: header.scope.clone(),
            boot8: header.boot_id.chars().take(8).collect(),
            first_seq,
            merged_to: None,
        };
        let dir = spool.join(&header.scope);
        fs::create_dir_all(&dir)?;
        let part = dir.join(name.part_name());
        let mut writer = Self {
            file: BufWriter::new(File::create_new(&part)?),
            part,
            sealed: dir.join(name.to_string()),
            hash: Sha256::new(),
            lines: 0,
            bytes: 0,
            text: Vec::new(),
        };
        RowRef::Header(header).write_to(&mut writer.text);
        writer.lines = 1;
        writer.flush()?;
        Ok(writer)
    }

    /// Adds a sweep with its rows.
    pub fn sweep(&mut self, swept: &Swept<'_>) -> io::Result<()> {
        for source in swept.sources {
            RowRef::Source(source).write_to(&mut self.text);
        }
        RowRef::Sweep(&swept.close).write_to(&mut self.text);
        self.lines += swept.sources.len() as u64 + 1;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.text);
        self.file.write_all(&self.text)?;
        self.bytes += self.text.len() as u64;
        self.text.clear();
        Ok(())
    }

    /// Bytes so far.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the segment and gives it its name.
    pub fn seal(mut self) -> io::Result<()> {
        let sha256 = hex(&self.hash.finalize_reset());
        let footer = Footer { lines: self.lines, sha256, recovered: false };
        RowRef::Footer(&footer).write_to(&mut self.text);
        self.file.write_all(&self.text)?;
        self.file.flush()?;
        fs::rename(&self.part, &self.sealed)
    }
}
