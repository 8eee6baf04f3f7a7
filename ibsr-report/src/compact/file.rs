// SPDX-License-Identifier: MIT OR Apache-2.0
//! One Parquet file on the disk: hidden, whole, read back, synchronised, then renamed.

use std::collections::HashSet;
use std::fs::{self, File, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use tempfile::NamedTempFile;

use super::day::Day;
use crate::ingest::parquet::{Table, Unfit, Writer, index};
use crate::ingest::scan::{Scanned, Segment, scan};

/// Others read the files; what they hold came from files of the same kind.
const MODE: u32 = 0o644;

/// What became of a day.
#[derive(Debug, Default)]
pub struct Done {
    /// The file, if there is one.
    pub path: Option<PathBuf>,
    /// Segments that are in no file, and why.
    pub left_out: Vec<(String, String)>,
    /// Bytes of the segments in it.
    pub bytes: u64,
    /// Bytes of the file.
    pub packed_bytes: u64,
}

/// Writes the file of `day` below `out`.
///
/// # Errors
/// When the file cannot be written, or does not read back as what was written.
pub fn write(out: &Path, day: &Day) -> anyhow::Result<Done> {
    let path = out.join(&day.path);
    let failed = || format!("failed to write `{}`", path.display());
    let missing = missing(&path, day);
    if let Some(reason) = missing {
        let left_out = day.segments.iter().map(|s| (s.name.clone(), reason.clone())).collect();
        return Ok(Done { left_out, ..Done::default() });
    }
    let dir = path.parent().expect("a file lies in the directory of its day");
    fs::create_dir_all(dir).with_context(failed)?;
    let (file, packed, left_out) = pack(dir, day).with_context(failed)?;
    if packed.is_empty() {
        return Ok(Done { left_out, ..Done::default() });
    }
    check(file.path(), &packed).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    let packed_bytes = file.as_file().metadata().with_context(failed)?.len();
    file.persist(&path).with_context(failed)?;
    File::open(dir).and_then(|dir| dir.sync_all()).with_context(failed)?;
    let bytes = packed.iter().map(|segment| segment.contents.bytes).sum();
    Ok(Done { path: Some(path), left_out, bytes, packed_bytes })
}

/// Why the file that is there may not be replaced: it holds what the inputs do not.
fn missing(path: &Path, day: &Day) -> Option<String> {
    let kept = match index(path) {
        Ok(kept) => kept,
        Err(error) if error.kind() == ErrorKind::NotFound => return None,
        Err(error) => return Some(format!("`{}` is in the way: {error}", path.display())),
    };
    let given: HashSet<&str> = day.segments.iter().map(|segment| &*segment.name).collect();
    let lost = kept.iter().find(|part| !given.contains(part.name()))?;
    Some(format!(
        "`{}` is in the way: it holds `{}`, which is not in the inputs\nhint: name that file as an input too",
        path.display(),
        lost.name()
    ))
}

type Packed<'a> = (NamedTempFile, Vec<&'a Segment>, Vec<(String, String)>);

fn pack<'a>(dir: &Path, day: &'a Day) -> anyhow::Result<Packed<'a>> {
    let file = tempfile::Builder::new()
        .prefix(".compact-")
        .suffix(".part")
        .permissions(Permissions::from_mode(MODE))
        .tempfile_in(dir)?;
    let mut writer = Writer::new(file)?;
    let (mut packed, mut left_out) = (Vec::new(), Vec::new());
    for segment in &day.segments {
        match segment.place.open().map_err(Unfit::from).and_then(Table::of) {
            Ok(table) => {
                writer.add(&segment.name, &segment.contents.header, &table)?;
                packed.push(segment);
            }
            Err(unfit) => left_out.push((segment.name.clone(), unfit.to_string())),
        }
    }
    Ok((writer.finish()?, packed, left_out))
}

/// Every segment comes out of the file as it went in, to the byte, or there is no file.
fn check(path: &Path, packed: &[&Segment]) -> anyhow::Result<()> {
    let parts = index(path)?;
    ensure!(parts.len() == packed.len(), "it does not hold what was written");
    for (part, segment) in parts.iter().zip(packed) {
        let scanned = scan(part.open(path)?)?;
        let is_same = part.name() == segment.name
            && matches!(scanned, Scanned::Sources(contents) if *contents == segment.contents);
        ensure!(is_same, "`{}` does not read back as it was", segment.name);
    }
    Ok(())
}
