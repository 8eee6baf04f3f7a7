// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes a bundle. It appears whole under its name or not at all, and never over another.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ibsr_evidence::{FILES, GuardManifest, Item, SecretKey};
use ibsr_replay::judge::report::Wanted;
use ibsr_replay::model::{self, Report};
use jiff::Timestamp;
use tracing::info;

use super::archive::{self, Files};
use super::claims::{Basis, manifest};
use super::{MANIFEST, MAX_FILE_BYTES, NAMES, SIGNATURE, keys};
use crate::cli::JudgeArgs;
use crate::outputs;

const DIR_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// A key and a place that a bundle can be written to.
#[derive(Debug)]
pub struct Sealer {
    key: SecretKey,
    dir: PathBuf,
    archive: PathBuf,
}

impl Sealer {
    /// The one that was asked for, if any.
    ///
    /// # Errors
    /// When the key cannot be used, or the bundle exists already.
    pub fn open(args: &JudgeArgs) -> anyhow::Result<Option<Self>> {
        match (&args.bundle, &args.key) {
            (Some(dir), Some(key)) => Self::new(dir, key).map(Some),
            _ => Ok(None),
        }
    }

    /// One that signs with the key of that file and writes to `dir`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn new(dir: &Path, key: &Path) -> anyhow::Result<Self> {
        let name = dir.file_name();
        let name = name.with_context(|| format!("`{}` is no name for a bundle", dir.display()))?;
        let mut packed = name.to_owned();
        packed.push(".tar.zst");
        let archive = dir.with_file_name(packed);
        for path in [dir, archive.as_path()] {
            ensure!(
                fs::symlink_metadata(path).is_err(),
                "failed to make the bundle `{}`: it exists\nhint: evidence is never overwritten, name another directory",
                path.display()
            );
        }
        Ok(Self { key: keys::secret(key)?, dir: dir.to_owned(), archive })
    }

    /// Signs the report and writes the bundle.
    ///
    /// # Errors
    /// When the claims contradict each other or something cannot be written.
    pub fn seal(&self, report: &Report, wanted: &Wanted, basis: Basis) -> anyhow::Result<()> {
        let files = of_report(report);
        let items = files.iter().map(|(name, bytes)| Item::of(*name, bytes)).collect();
        let manifest = manifest(report, wanted, basis, items)?;
        let (bytes, signature) =
            ibsr_evidence::seal(&manifest, &self.key).context("failed to seal the report")?;
        self.finish(files, (bytes, signature), manifest.created_at)?;
        self.say(report.decision.verdict);
        Ok(())
    }

    /// Signs the claims of a report about a policy and writes the bundle.
    ///
    /// # Errors
    /// As [`Self::seal`].
    pub fn seal_guard(
        &self,
        manifest: &GuardManifest,
        files: Files,
        verdict: model::Verdict,
    ) -> anyhow::Result<()> {
        let sealed =
            ibsr_evidence::seal_guard(manifest, &self.key).context("failed to seal the report")?;
        self.finish(files, sealed, manifest.created_at)?;
        self.say(verdict);
        Ok(())
    }

    fn finish(
        &self,
        mut files: Files,
        (bytes, signature): (Vec<u8>, String),
        created_at: Timestamp,
    ) -> anyhow::Result<()> {
        files.insert(MANIFEST, bytes);
        files.insert(SIGNATURE, signature.into_bytes());
        for (name, bytes) in &files {
            ensure!(bytes.len() as u64 <= MAX_FILE_BYTES, "failed to seal `{name}`: too large");
        }
        let tar = archive::tar(&files, created_at).context("failed to pack the bundle")?;
        let packed = archive::pack(&tar).context("failed to pack the bundle")?;
        self.write(&files, &packed)
            .with_context(|| format!("failed to write the bundle `{}`", self.dir.display()))
    }

    fn say(&self, verdict: model::Verdict) {
        let (bundle, key) = (self.dir.display(), self.key.public().id());
        info!(%bundle, %key, %verdict, "evidence sealed");
    }

    fn write(&self, files: &Files, packed: &[u8]) -> anyhow::Result<()> {
        let parent = self.dir.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let made = tempfile::Builder::new().prefix(".ibsr-bundle-").tempdir_in(parent)?;
        for (name, bytes) in files {
            let mut file = File::create_new(made.path().join(name))?;
            file.write_all(bytes)?;
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
            file.sync_all()?;
        }
        fs::set_permissions(made.path(), Permissions::from_mode(DIR_MODE))?;
        File::open(made.path())?.sync_all()?;
        let mut archive = tempfile::Builder::new().prefix(".ibsr-bundle-").tempfile_in(parent)?;
        archive.write_all(packed)?;
        archive.as_file().set_permissions(Permissions::from_mode(FILE_MODE))?;
        archive.as_file().sync_all()?;
        archive.persist_noclobber(&self.archive)?;
        // A directory that appeared meanwhile and is not empty makes this fail.
        fs::rename(made.path(), &self.dir)?;
        let _renamed = made.keep();
        File::open(parent)?.sync_all()?;
        Ok(())
    }
}

/// Those files of a report that a bundle holds.
pub fn of_report(report: &Report) -> Files {
    let all = outputs::files(report).into_iter();
    let own = all.filter(|(name, _)| FILES.contains(name));
    own.filter_map(|(name, text)| {
        let name = NAMES.iter().find(|own| **own == name)?;
        Some((*name, text.into_bytes()))
    })
    .collect()
}
