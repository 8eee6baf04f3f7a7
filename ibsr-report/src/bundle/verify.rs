// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report verify`: is this evidence, and does it follow from its inputs?

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use ibsr_cli::{Answer, Format};
use ibsr_evidence::PublicKey;
use jiff::Timestamp;
use tracing::warn;

use super::again::{AgainArgs, again};
use super::inspect::inspect;
use super::show::{self, Checked};
use super::{files, keys};
use crate::{clock, render};

/// Examples below the help.
pub const AFTER_VERIFY: &str = "\
Examples:
  ibsr-report verify evidence.tar.zst --trust report.pub
  ibsr-report verify evidence --trust report.pub --inputs /var/lib/ibsr/spool

Exit codes: 0 valid; 1 not valid, each thing that is wrong is named; 2 error or usage.";

/// Flags of `verify`.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// Directory or archive that `--bundle` wrote
    #[arg(value_name = "BUNDLE")]
    pub bundle: PathBuf,

    /// Public key of someone whose evidence counts; may be repeated
    ///
    /// Without it the key in the bundle is taken: that shows that nothing was changed since
    /// somebody signed it, and nothing about who that was.
    #[arg(long, value_name = "FILE")]
    pub trust: Vec<PathBuf>,

    /// Time at which it has to be good, RFC 3339
    ///
    /// Default: the wall clock. Evidence is good for 14 days.
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<Timestamp>,

    /// What to print on stdout
    ///
    /// JSON has a `schema` and is stable; text is for people and is not.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Computing it again.
    #[command(flatten)]
    pub again: AgainArgs,
}

/// Checks a bundle and says what is wrong with it.
///
/// # Errors
/// When the bundle, a key or an input cannot be read, or this version cannot compute it.
pub fn verify(args: &VerifyArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let trusted: Vec<PublicKey> =
        args.trust.iter().map(|path| keys::public(path)).collect::<anyhow::Result<_>>()?;
    let now = args.now.unwrap_or_else(clock::now);
    let mut inspected = inspect(files::read(&args.bundle)?, &trusted, now);
    let again = match &inspected.manifest {
        Some(manifest) if !args.again.inputs.is_empty() => {
            Some(again(manifest, &inspected.files, &args.again, is_quiet)?)
        }
        _ => None,
    };
    inspected.faults.extend(again.iter().flat_map(|again| again.faults.clone()));
    if let (Some(key), false) = (inspected.key, inspected.is_key_trusted) {
        warn!(
            %key,
            "nobody vouches for the key: anyone could have signed this; \
             name the public key of its maker with --trust"
        );
    }
    let checked = Checked { bundle: &args.bundle, inspected: &inspected, again: again.as_ref() };
    let text = match args.format {
        Format::Text => show::text(&checked),
        Format::Json => show::json(&checked),
    };
    render::print(&text).context("failed to write the answer")?;
    Ok(if inspected.faults.is_empty() { Answer::Yes } else { Answer::No })
}
