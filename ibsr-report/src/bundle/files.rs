// SPDX-License-Identifier: MIT OR Apache-2.0
//! What lies where a bundle should be: a directory or an archive. It is taken apart without
//! following a link, writing a file or holding more than the largest bundle has.

use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;

use super::archive::{self, Files};
use super::kind::Kind;
use super::{ALL_NAMES, Fault, MAX_FILE_BYTES};

/// Names in a directory that are looked at.
const MAX_LISTED: usize = 1000;

/// A bundle as it was found.
#[derive(Debug, Default)]
pub struct Found {
    /// The files of a bundle that are there.
    pub files: Files,
    /// The archive that they came from, unpacked.
    pub tar: Option<Vec<u8>>,
    /// What is missing, too much, or no file.
    pub faults: Vec<Fault>,
}

/// Reads a bundle.
///
/// # Errors
/// When there is nothing at `path`, or it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Found> {
    let what = || format!("failed to open the bundle `{}`", path.display());
    let is_dir = fs::metadata(path).with_context(what)?.is_dir();
    let mut found = if is_dir { read_dir(path)? } else { read_archive(path)? };
    // A file of which something else is said already is not missing too.
    let is_named = |name: &str| found.faults.iter().any(|fault| fault.name == name);
    let needs = Kind::of(&found.files).needs();
    let missing = needs.iter().filter(|name| !found.files.contains_key(*name) && !is_named(name));
    let missing: Vec<Fault> = missing.map(|name| Fault::new(*name, "it is missing")).collect();
    found.faults.extend(missing);
    Ok(found)
}

fn read_archive(path: &Path) -> anyhow::Result<Found> {
    let what = || format!("failed to open the bundle `{}`", path.display());
    let file = File::open(path).with_context(what)?;
    let tar = match archive::unpack(file) {
        Ok(tar) => tar,
        Err(error) => {
            let reason = format!("failed to unpack it: {error}");
            return Ok(Found {
                faults: vec![Fault::new("the archive", reason)],
                ..Found::default()
            });
        }
    };
    let (files, faults) = archive::list(&tar);
    Ok(Found { files, tar: Some(tar), faults })
}

fn read_dir(dir: &Path) -> anyhow::Result<Found> {
    let what = || format!("failed to list the bundle `{}`", dir.display());
    let mut found = Found::default();
    for entry in fs::read_dir(dir).with_context(what)?.take(MAX_LISTED) {
        let entry = entry.with_context(what)?;
        let own = entry.file_name();
        let Some(name) = ALL_NAMES.iter().copied().find(|name| own == **name) else {
            found.faults.push(Fault::new(own.to_string_lossy(), "it is no file of a bundle"));
            continue;
        };
        if !entry.file_type().with_context(what)?.is_file() {
            found.faults.push(Fault::new(name, "it is no regular file"));
            continue;
        }
        match read_file(&entry.path())? {
            Some(bytes) => drop(found.files.insert(name, bytes)),
            None => {
                found.faults.push(Fault::new(name, "it is larger than any file of a bundle"));
            }
        }
    }
    found.faults.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// None when it is too large.
fn read_file(path: &Path) -> anyhow::Result<Option<Vec<u8>>> {
    let what = || format!("failed to read `{}`", path.display());
    let file = File::open(path).with_context(what)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).with_context(what)?;
    Ok((bytes.len() as u64 <= MAX_FILE_BYTES).then_some(bytes))
}
