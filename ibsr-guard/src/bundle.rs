// SPDX-License-Identifier: MIT OR Apache-2.0
//! A bundle on disk: bytes of a stranger until the signature of a trusted key holds. Only a
//! directory is read, so that no unpacker runs with the guard's rights.

use std::fs::{self, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use ibsr_evidence::{
    Digest, GUARD_FILES, GuardManifest, Item, MAX_MANIFEST_BYTES, PublicKey, Signature,
    check_guard, compare,
};
use jiff::Timestamp;
use rustix::fs::OFlags;

/// The claims, in canonical JSON.
const MANIFEST: &str = "manifest.json";
/// One line: who signed the manifest, and the signature.
const SIGNATURE: &str = "manifest.sig";
/// A key and a signature are one line each.
const MAX_LINE_BYTES: usize = 4096;
/// Names in a directory that are looked at: more than twice those of any bundle.
const MAX_LISTED: usize = 16;

/// Evidence that a trusted key vouches for and whose files are those that it lists.
#[derive(Debug)]
pub struct Bundle {
    /// What it claims.
    pub manifest: GuardManifest,
    /// Digest of the manifest: the name of the evidence.
    pub manifest_sha256: Digest,
    /// Who signed it.
    pub key: PublicKey,
}

/// Reads the public keys of those who are trusted.
///
/// # Errors
/// When there is none, or one cannot be read or is none.
pub fn trusted(paths: &[PathBuf]) -> Result<Vec<PublicKey>> {
    ensure!(
        !paths.is_empty(),
        "nobody is trusted\nhint: name the public key of whoever makes evidence with `--trust`"
    );
    let key = |path: &PathBuf| {
        let text = read_text(path)?;
        PublicKey::parse(&text).with_context(|| format!("failed to use `{}`", path.display()))
    };
    paths.iter().map(key).collect()
}

/// Reads a bundle and checks all of it that is not about this machine.
///
/// # Errors
/// When it cannot be read, is not signed by one of the `trusted`, contradicts itself, is not
/// good at `now`, or its files are not those that were signed.
pub fn read(dir: &Path, trusted: &[PublicKey], now: Timestamp) -> Result<Bundle> {
    let names = list(dir)?;
    let bytes = read_file(&dir.join(MANIFEST), MAX_MANIFEST_BYTES)?;
    let signature = read_text(&dir.join(SIGNATURE))?;
    let manifest = check_guard(&bytes, &signature, trusted, now)
        .with_context(|| format!("failed to rely on `{}`", dir.display()))?;
    let found: Vec<Item> = names
        .iter()
        .filter(|name| ![MANIFEST, SIGNATURE].contains(&name.as_str()))
        .map(|name| Ok(Item::of(name, &read_file(&dir.join(name), MAX_MANIFEST_BYTES)?)))
        .collect::<Result<_>>()?;
    let wrong: Vec<String> =
        compare(&manifest.files, &found).iter().map(ToString::to_string).collect();
    ensure!(
        wrong.is_empty(),
        "failed to rely on `{}`: {}\nhint: take the bundle again from where it was made",
        dir.display(),
        wrong.join(", ")
    );
    let key = Signature::parse(&signature)?.public();
    Ok(Bundle { manifest, manifest_sha256: Digest::of(&bytes), key })
}

/// The names in the directory, all of which are those of a bundle.
fn list(dir: &Path) -> Result<Vec<String>> {
    let what = || {
        format!(
            "failed to open the bundle `{}`\nhint: it is a directory; `tar --zstd -xf` unpacks an archive",
            dir.display()
        )
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).with_context(what)?.take(MAX_LISTED) {
        let name = entry.with_context(what)?.file_name().to_string_lossy().into_owned();
        if ![MANIFEST, SIGNATURE].contains(&name.as_str()) && !GUARD_FILES.contains(&name.as_str())
        {
            bail!("failed to rely on `{}`: `{name}` is no file of a bundle", dir.display());
        }
        names.push(name);
    }
    names.sort();
    Ok(names)
}

fn read_text(path: &Path) -> Result<String> {
    let bytes = read_file(path, MAX_LINE_BYTES)?;
    String::from_utf8(bytes).ok().with_context(|| format!("`{}` is no text", path.display()))
}

/// The bytes of a regular file, never through a link and never waiting for a FIFO.
fn read_file(path: &Path, max_bytes: usize) -> Result<Vec<u8>> {
    let what = || format!("failed to read `{}`", path.display());
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).with_context(what)?;
    let is_file = file.metadata().with_context(what)?.is_file();
    ensure!(is_file, "failed to read `{}`: it is no regular file", path.display());
    let mut bytes = Vec::new();
    file.take(max_bytes as u64 + 1).read_to_end(&mut bytes).with_context(what)?;
    ensure!(bytes.len() <= max_bytes, "failed to read `{}`: it is too large", path.display());
    Ok(bytes)
}
