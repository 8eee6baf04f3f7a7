// SPDX-License-Identifier: MIT OR Apache-2.0
//! The ledger file: appended by the exporter, read by the reader to know what it may prune.
//!
//! In memory only the last word on each segment for one destination is kept. A lost or torn
//! ledger costs requests: the bucket answers "exists already", and its hash decides.

use std::collections::{HashMap, HashSet};
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use ibsr_proto::ledger::{Entry, Event, FILE_NAME, entries};

/// Longest line that is taken for an entry; real ones are below 2 KiB.
const MAX_LINE_BYTES: u64 = 64 << 10;
/// Lines beyond twice the live ones that are tolerated before the file is rewritten.
const SLACK_LINES: usize = 10_000;

/// The last word on a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// Size of the segment then.
    pub bytes: u64,
    /// First half of its SHA-256: enough to tell two versions of one file apart.
    pub sha256_head: u128,
    /// When.
    pub unix_ms: u64,
}

impl Record {
    fn of(entry: &Entry) -> Self {
        let Entry { event, bytes, unix_ms, .. } = *entry;
        Self { event, bytes, sha256_head: head(&entry.sha256), unix_ms }
    }

    /// Whether this segment, of this content, was sent before without a known result.
    pub fn was_attempted(&self, sha256: &str) -> bool {
        self.event == Event::Attempted && self.sha256_head == head(sha256)
    }
}

fn head(sha256: &str) -> u128 {
    sha256.get(..32).and_then(|digits| u128::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Which entries count: those for one bucket and key root, or all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Bucket; `None` for any.
    pub bucket: Option<String>,
    /// What keys start with.
    pub key_root: String,
}

impl Filter {
    fn takes(&self, entry: &Entry) -> bool {
        let is_bucket = self.bucket.as_ref().is_none_or(|bucket| *bucket == entry.bucket);
        is_bucket && entry.key.starts_with(&self.key_root)
    }
}

/// What is known about segments.
#[derive(Debug, Default)]
pub struct Records {
    by_path: HashMap<Box<str>, Record>,
    lines: usize,
}

impl Records {
    /// Reads the ledger in `dir`; a missing one is empty.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn load(dir: &Path, filter: &Filter) -> io::Result<Self> {
        let mut records = Self::default();
        each_line(&dir.join(FILE_NAME), |_, entry, _| {
            records.lines += 1;
            if let Some(entry) = entry.filter(|entry| filter.takes(entry)) {
                records.note(&entry);
            }
            Ok(())
        })?;
        Ok(records)
    }

    /// The last word on a segment.
    pub fn get(&self, scope: &str, name: &str) -> Option<&Record> {
        self.by_path.get(path(scope, name).as_str())
    }

    fn note(&mut self, entry: &Entry) {
        self.by_path.insert(path(&entry.scope, &entry.name).into(), Record::of(entry));
    }
}

fn path(scope: &str, name: &str) -> String {
    format!("{scope}/{name}")
}

/// The open ledger.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    file: File,
    records: Records,
}

impl Ledger {
    /// Opens or creates the ledger in `dir`, readable by all: the reader runs as another user.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn open(dir: &Path, filter: &Filter) -> io::Result<Self> {
        let path = dir.join(FILE_NAME);
        let file = open_append(&path)?;
        end_torn_line(&file)?;
        Ok(Self { records: Records::load(dir, filter)?, path, file })
    }

    /// What is known.
    pub fn records(&self) -> &Records {
        &self.records
    }

    /// Appends one entry. Survives our death at once, that of the machine only if `is_durable`.
    ///
    /// # Errors
    /// Those of the file system; the entry may then stand torn, which readers pass over.
    pub fn append(&mut self, entry: &Entry, is_durable: bool) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        if is_durable {
            self.file.sync_data()?;
        }
        self.records.lines += 1;
        self.records.note(entry);
        Ok(())
    }

    /// Makes everything appended so far durable.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Whether most of the ledger speaks of segments that are gone or were spoken of since.
    pub fn is_bloated(&self, live: usize) -> bool {
        self.records.lines > 2 * live + SLACK_LINES
    }

    /// Rewrites the ledger with only the last word on segments in `live`, which holds
    /// `scope/name`.
    ///
    /// # Errors
    /// Those of the file system; the old ledger then stays.
    pub fn compact(&mut self, live: &HashSet<String>) -> io::Result<()> {
        let kept = rewrite(&self.path, live)?;
        tracing::debug!(before = self.records.lines, after = kept, "ledger compacted");
        self.file = open_append(&self.path)?;
        self.records.by_path.retain(|path, _| live.contains(&**path));
        self.records.lines = kept;
        Ok(())
    }
}

fn open_append(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o644).open(path)
}

/// A crash can leave half a line; the next entry must not continue it.
fn end_torn_line(mut file: &File) -> io::Result<()> {
    if file.metadata()?.len() == 0 {
        return Ok(());
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    if last == *b"\n" { Ok(()) } else { file.write_all(b"\n") }
}

/// Calls `visit` with the number, the entry (if it is one) and the text of each line.
fn each_line(
    path: &Path,
    mut visit: impl FnMut(usize, Option<Entry>, &[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut reader = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        if reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let entry = std::str::from_utf8(&line).ok().and_then(|text| entries(text).next());
        visit(number, entry, &line)?;
    }
    Ok(())
}

/// Writes the last line of each live segment and bucket to a new file in place of the old.
fn rewrite(path: &Path, live: &HashSet<String>) -> io::Result<usize> {
    let mut last: HashMap<String, usize> = HashMap::new();
    let slot = |entry: &Entry| {
        let segment = self::path(&entry.scope, &entry.name);
        live.contains(&segment).then(|| format!("{} {segment}", entry.bucket))
    };
    each_line(path, |number, entry, _| {
        if let Some(slot) = entry.as_ref().and_then(&slot) {
            last.insert(slot, number);
        }
        Ok(())
    })?;
    let dir = path.parent().expect("a file in a directory");
    let new = tempfile::Builder::new().permissions(mode(0o644)).tempfile_in(dir)?;
    let mut out = BufWriter::new(new.as_file());
    each_line(path, |number, entry, line| match entry.as_ref().and_then(&slot) {
        Some(slot) if last.get(&slot) == Some(&number) => out.write_all(line),
        _ => Ok(()),
    })?;
    out.flush()?;
    drop(out);
    new.as_file().sync_all()?;
    new.persist(path)?;
    File::open(dir)?.sync_all()?;
    Ok(last.len())
}

fn mode(bits: u32) -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits)
}

#[cfg(test)]
mod tests;
