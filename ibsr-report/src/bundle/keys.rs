// SPDX-License-Identifier: MIT OR Apache-2.0
//! Keys as files. A secret one is made readable to its owner alone and never overwritten.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use clap::Args;
use ibsr_cli::Answer;
use ibsr_evidence::{PublicKey, SecretKey};
use tracing::info;

use crate::render;

/// Examples below the help.
pub const AFTER_KEYGEN: &str = "\
Examples:
  ibsr-report keygen --out /etc/ibsr/report
  ibsr-report keygen --out report && ibsr-report run /var/lib/ibsr/spool --bundle evidence --key report.key";

const SECRET_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;
/// Everyone who is neither owner nor group.
const OTHERS: u32 = 0o007;
/// A key is one line of some 100 bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// Flags of `keygen`.
#[derive(Debug, Clone, Args)]
pub struct KeygenArgs {
    /// Path without an ending: NAME.key is the secret key, NAME.pub the public one
    ///
    /// The secret key gets mode 0600. Neither file may exist: a key that is gone cannot be
    /// made again.
    #[arg(long, value_name = "NAME")]
    pub out: PathBuf,
}

/// Makes a pair of keys.
///
/// # Errors
/// When one of the files exists or cannot be written, or there are no random numbers.
pub fn keygen(args: &KeygenArgs) -> anyhow::Result<Answer> {
    let (secret, public) = (ending(&args.out, ".key"), ending(&args.out, ".pub"));
    ensure!(
        fs::symlink_metadata(&public).is_err(),
        "failed to make `{}`: it exists\nhint: name another path with `--out`",
        public.display()
    );
    let key = SecretKey::generate()?;
    create(&secret, SECRET_MODE, &key.to_text())?;
    create(&public, PUBLIC_MODE, &key.public().to_text())?;
    info!(secret = %secret.display(), public = %public.display(), "key made");
    render::print(&key.public().to_text()).context("failed to print the public key")?;
    Ok(Answer::Yes)
}

/// Reads the key to sign with.
///
/// # Errors
/// When it cannot be read, is none, or everyone can read it.
pub fn secret(path: &Path) -> anyhow::Result<SecretKey> {
    let metadata = fs::metadata(path)
        .with_context(|| format!("failed to open the key `{}`", path.display()))?;
    ensure!(
        metadata.mode() & OTHERS == 0,
        "failed to use the key `{0}`: everyone on this machine may open it\nhint: chmod 600 {0}",
        path.display()
    );
    SecretKey::parse(&read(path)?)
        .with_context(|| format!("failed to use the key `{}`", path.display()))
}

/// Reads a key to check with.
///
/// # Errors
/// When it cannot be read or is none.
pub fn public(path: &Path) -> anyhow::Result<PublicKey> {
    PublicKey::parse(&read(path)?)
        .with_context(|| format!("failed to use the key `{}`", path.display()))
}

fn read(path: &Path) -> anyhow::Result<String> {
    let what = || format!("failed to read the key `{}`", path.display());
    let file = File::open(path).with_context(what)?;
    let mut text = String::new();
    file.take(MAX_KEY_BYTES).read_to_string(&mut text).with_context(what)?;
    Ok(text)
}

fn ending(path: &Path, ending: &str) -> PathBuf {
    let mut whole = path.as_os_str().to_owned();
    whole.push(ending);
    whole.into()
}

fn create(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let what = || {
        format!("failed to make `{}`\nhint: `--out` names what is not there yet", path.display())
    };
    let mut file =
        OpenOptions::new().write(true).create_new(true).mode(mode).open(path).with_context(what)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(what)
}
