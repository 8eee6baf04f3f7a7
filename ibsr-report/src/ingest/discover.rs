// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finds segment files below an input: a directory in spool or Hive layout, or a file.
//!
//! Only regular files with a known extension are taken; hidden ones are being written.
//! Links inside a directory are not followed, so a loop or a planted FIFO cannot hang a run.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

const EXTENSIONS: [&str; 3] = [".jsonl", ".jsonl.gz", ".jsonl.zst"];

/// A file that may be a segment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// Where it came from, for people: a path or an object's address.
    pub origin: String,
    /// Where it lies.
    pub path: PathBuf,
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
        Self { origin: path.display().to_string(), path, name }
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
