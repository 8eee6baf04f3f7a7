// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report compact`: verified segments as Parquet, one file for each stream and day.
//!
//! A file appears under its name whole or not at all, and only after every segment in it was
//! read back and matched its own footer: the next thing people do is delete the originals.
//! Memory is that of one segment for each thread.

mod day;
mod file;

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;
use ibsr_cli::Answer;
use tracing::{info, warn};

use crate::cli::InputArgs;
use crate::ingest::remote::gather;
use crate::ingest::verify::verify;
use crate::{parallel, render};

/// Flags of `compact`.
#[derive(Debug, Clone, Args)]
pub struct CompactArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Directory for the files, made if it is missing
    ///
    /// Files lie in DIR/host=H/date=YYYY-MM-DD, which Athena, Spark and DuckDB read as two
    /// columns. A file that is there already is replaced if all that is in it is in the inputs.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// Writes the files; their paths go to stdout. The answer is no when something of the inputs
/// is in none of them.
///
/// # Errors
/// When the inputs cannot be read, or a file cannot be written.
pub fn compact(args: &CompactArgs) -> anyhow::Result<Answer> {
    let threads = args
        .input
        .threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let gathered = gather(&args.input.inputs, &args.input.s3, args.input.input_format)?;
    let verified = verify(&gathered.files, threads);
    verified.check_sensor()?;
    let days = day::split(verified.segments);
    let mut names = HashSet::new();
    if let Some(day) = days.iter().find(|day| !names.insert(&day.path)) {
        bail!("two recordings would be one file, `{}`", day.path.display());
    }
    let mut is_whole = verified.refused.is_empty() && !days.is_empty();
    let mut paths = String::new();
    for done in parallel::map(&days, threads, |day| file::write(&args.out, day)) {
        let file::Done { path, left_out, bytes, packed_bytes } = done?;
        for (segment, reason) in &left_out {
            warn!(segment, reason, "segment left out");
        }
        is_whole &= left_out.is_empty();
        if let Some(path) = path {
            info!(path = %path.display(), bytes, packed_bytes, "segments packed");
            paths += &format!("{}\n", path.display());
        }
    }
    render::print(&paths).context("failed to write the paths")?;
    Ok(if is_whole { Answer::Yes } else { Answer::No })
}
