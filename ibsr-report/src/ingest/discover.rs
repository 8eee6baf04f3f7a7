// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds segment files below an input: a directory in spool or Hive layout, or a file.
//!
//! Only regular files with a known extension are taken; hidden ones are being written.
//! Links inside a directory are not followed, so a loop or a planted FIFO cannot hang a run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};

use super::open::{Part, Place};
use super::parquet;

const PARQUET: &str = ".parquet";
const EXTENSIONS: [&str; 4] = [".jsonl", ".jsonl.gz", ".jsonl.zst", PARQUET];

/// What may be a segment.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it came from, for people: a path or an object's address.
    pub origin: String,
    /// Where it lies.
    pub place: Place,
    /// Its name in the report.
    pub name: String,
}

/// Segment files of all inputs, each once, sorted by path.
///
/// # Errors
/// When an input does not exist, is neither file nor directory, or cannot be listed.
pub fn discover(inputs: &[PathBuf]) -> anyhow::Result<Vec<Found>> {
    let mut found = Vec::new();
    for input in inputs {
        let metadata = fs::metadata(input)
            .with_context(|| format!("failed to open the input `{}`", input.display()))?;
        if metadata.is_dir() {
            walk(input, &mut found)?;
        } else if metadata.is_file() {
            found.push(input.clone());
        } else {
            bail!("the input `{}` is neither a file nor a directory", input.display());
        }
    }
    found.sort();
    found.dedup();
    Ok(found.into_iter().map(Found::from).collect())
}

impl From<PathBuf> for Found {
    fn from(path: PathBuf) -> Self {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let name = segment_name(&name).to_owned();
        Self { origin: path.display().to_string(), place: path.into(), name }
    }
}

/// The segments of each Parquet file in its place, other files as they are. A Parquet file
/// that cannot be used stays one file, with the reason.
#[must_use]
pub fn unfold(files: Vec<Found>) -> Vec<Found> {
    files.into_iter().flat_map(unfold_one).collect()
}

fn unfold_one(file: Found) -> Vec<Found> {
    if !file.name.ends_with(PARQUET) {
        return vec![file];
    }
    let Found { origin, place: Place { path, .. }, name } = file;
    let place = |part| Place { path: path.clone(), part };
    match parquet::index(&path) {
        Ok(parts) => parts
            .into_iter()
            .map(|part| Found {
                origin: format!("{origin}: {}", part.name()),
                name: part.name().to_owned(),
                place: place(Part::Parquet(Arc::new(part))),
            })
            .collect(),
        Err(error) => vec![Found { origin, place: place(Part::Refused(error.to_string())), name }],
    }
}

/// Whether a file of this name may be a segment.
#[must_use]
pub fn is_segment(name: &str) -> bool {
    !name.starts_with('.') && EXTENSIONS.iter().any(|extension| name.ends_with(extension))
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let listing = || format!("failed to list `{}`", dir.display());
    for entry in fs::read_dir(dir).with_context(listing)? {
        let entry = entry.with_context(listing)?;
        let kind = entry.file_type().with_context(listing)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if kind.is_dir() && !name.starts_with('.') {
            walk(&entry.path(), found)?;
        } else if kind.is_file() && is_segment(&name) {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Name of a segment in the report: its file name without the extension of its packing, so
/// the same recording gives the same report from a spool and from a bucket.
#[must_use]
pub fn segment_name(file_name: &str) -> &str {
    let plain = file_name.strip_suffix(".zst").or_else(|| file_name.strip_suffix(".gz"));
    plain.unwrap_or(file_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sealed_segments_are_found_in_any_layout() {
        let dir = tempfile::tempdir().expect("a directory");
        let hive = dir.path().join("host=a/scope=x/date=2026-11-22/hour=00");
        fs::create_dir_all(&hive).expect("made");
        for name in ["b.jsonl.zst", "a.jsonl", "c.jsonl.gz", ".d.jsonl.part", ".e.jsonl", "f.json"]
        {
            fs::write(hive.join(name), "").expect("written");
        }
        std::os::unix::fs::symlink(dir.path(), hive.join("loop.jsonl")).expect("linked");
        let found = discover(&[hive.join("a.jsonl"), dir.path().to_owned()]).expect("listed");
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a.jsonl", "b.jsonl", "c.jsonl"]);
    }

    #[test]
    fn a_missing_input_is_named() {
        let error = discover(&["/nonexistent/x".into()]).expect_err("missing");
        assert!(format!("{error:#}").contains("`/nonexistent/x`"));
    }
}
