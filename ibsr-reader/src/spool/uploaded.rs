// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which segments the exporter's ledger calls uploaded. Read as a stream: a ledger of any
//! length needs no memory here. A segment counts only with the size that was uploaded.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

use ibsr_proto::ledger::{self, Event};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::plan::Stored;
use super::scan::next_line;

/// Marks what the ledger at `path` says is uploaded. A ledger that does not exist yet says
/// nothing.
pub(super) fn mark_uploaded(path: &Path, scope: &str, stored: &mut [Stored]) -> io::Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    let places: HashMap<String, usize> =
        stored.iter().enumerate().map(|(place, it)| (it.name.to_string(), place)).collect();
    let mut input = BufReader::new(file);
    let mut line = Vec::new();
    while next_line(&mut input, &mut line)? {
        let text = std::str::from_utf8(&line).unwrap_or_default();
        let uploaded = ledger::entries(text)
            .filter(|entry| entry.event == Event::Uploaded && entry.scope == scope);
        for entry in uploaded {
            if let Some(it) = places.get(&entry.name).and_then(|place| stored.get_mut(*place))
                && it.bytes == entry.bytes
            {
                it.uploaded_unix_ms = Some(entry.unix_ms);
            }
        }
    }
    Ok(())
}

fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => File::from(fd),
        Err(Errno::NOENT) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let is_regular =
        FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::RegularFile;
    if is_regular { Ok(Some(file)) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
