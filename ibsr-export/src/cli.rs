// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line. Plain data; [`crate::config::Config`] checks it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ibsr_cli::{Format, Generate, LogArgs, parse_duration};
use ibsr_s3::S3Args;

use crate::compression::Compression;

const EXAMPLES: &str = "\
Examples:
  ibsr-export s3 run --bucket my-bucket --prefix ibsr --dry-run
  ibsr-export s3 watch --bucket my-bucket --prefix ibsr";
const RUN_EXAMPLES: &str = "\
Exit codes: 0 everything is uploaded, 1 segments are left over and wait for the next run,
2 error, 3 a key in the bucket holds other content than the segment of that name.

Examples:
  ibsr-export s3 run --bucket my-bucket --prefix ibsr --sse aws:kms
  ibsr-export s3 run --bucket ibsr --endpoint-url http://127.0.0.1:9000 --force-path-style";
const WATCH_EXAMPLES: &str = "\
Examples:
  ibsr-export s3 watch --bucket my-bucket --prefix ibsr
  ibsr-export s3 watch --bucket my-bucket --rescan 1m --storage-class STANDARD_IA";
const STATUS_EXAMPLES: &str = "\
Exit codes: 0 nothing waits, 1 segments wait, 2 error, 3 conflicts or damaged segments.

Examples:
  ibsr-export s3 status
  ibsr-export s3 status --format json | jq .waiting.oldest_age_s";

/// Uploads sealed segments to S3, each exactly once
#[derive(Debug, Parser)]
#[command(name = "ibsr-export", version, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log flags.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where to.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, on the stack of main")]
pub enum Command {
    /// Upload to an S3 bucket
    #[command(after_help = EXAMPLES)]
    S3 {
        /// What to do.
        #[command(subcommand)]
        command: S3Command,
    },
    /// For packagers.
    #[command(flatten)]
    Generate(Generate),
}

/// What to do with the bucket.
#[derive(Debug, Subcommand)]
pub enum S3Command {
    /// Upload what is sealed now, then exit
    #[command(after_help = RUN_EXAMPLES)]
    Run(RunArgs),
    /// Upload each segment soon after it is sealed, until SIGTERM
    #[command(after_help = WATCH_EXAMPLES)]
    Watch(WatchArgs),
    /// Say what is waiting, uploaded, in conflict or damaged; no network
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArgs),
}

/// Flags of `s3 run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Print what would be uploaded and exit
    ///
    /// Reads the spool and the ledger; writes nothing and opens no connection.
    #[arg(long)]
    pub dry_run: bool,

    /// From where to where.
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// Flags of `s3 watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Look at the whole spool this often even if nothing seems to happen
    ///
    /// Notifications can be lost; this cannot. Also how soon what was left over is tried
    /// again. Cost: one directory listing.
    #[arg(
        long,
        value_name = "DURATION",
        env = "IBSR_RESCAN",
        default_value = "2m",
        value_parser = parse_duration
    )]
    pub rescan: Duration,

    /// From where to where.
    #[command(flatten)]
    pub transfer: TransferArgs,
}

/// Flags of `s3 status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Where segments lie and what is known of them.
    #[command(flatten)]
    pub local: LocalArgs,

    /// Count only uploads to this bucket; default: any
    #[arg(long, value_name = "BUCKET", env = "IBSR_BUCKET")]
    pub bucket: Option<String>,

    /// Count only uploads under this prefix; default: any
    #[arg(long, value_name = "PREFIX", env = "IBSR_PREFIX")]
    pub prefix: Option<String>,

    /// How to print it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// The two directories.
#[derive(Debug, Clone, Args)]
pub struct LocalArgs {
    /// Spool of the reader; only read, never written
    #[arg(long, value_name = "DIR", env = "IBSR_SPOOL", default_value = "/var/lib/ibsr/spool")]
    pub spool: PathBuf,

    /// Directory for the ledger, the lock and one compressed segment per upload
    ///
    /// The reader prunes uploaded segments by this ledger. Lost, it is found again in the
    /// bucket. Use one directory per destination.
    #[arg(
        long,
        value_name = "DIR",
        env = "IBSR_EXPORT_STATE",
        default_value = "/var/lib/ibsr-export"
    )]
    pub state: PathBuf,
}

/// From where to where, and how.
#[derive(Debug, Args)]
pub struct TransferArgs {
    /// Where segments lie and what is known of them.
    #[command(flatten)]
    pub local: LocalArgs,

    /// Bucket to upload to
    #[arg(long, value_name = "BUCKET", env = "IBSR_BUCKET")]
    pub bucket: String,

    /// Start of every key
    ///
    /// Keys are PREFIX/host=H/scope=S/date=YYYY-MM-DD/hour=HH/NAME.jsonl.zst; date and hour
    /// are those of the segment's last sweep, UTC. Default: none.
    #[arg(long, value_name = "PREFIX", env = "IBSR_PREFIX", default_value = "")]
    pub prefix: String,

    /// How objects are compressed
    ///
    /// zstd makes segments about ten times smaller for little CPU.
    #[arg(long, value_enum, env = "IBSR_COMPRESSION", default_value_t = Compression::Zstd)]
    pub compression: Compression,

    /// Encryption at rest that the bucket shall use: AES256 or aws:kms
    ///
    /// Default: what the bucket does by itself.
    #[arg(long, value_name = "KIND", env = "IBSR_SSE", value_parser = ["AES256", "aws:kms", "aws:kms:dsse"])]
    pub sse: Option<String>,

    /// KMS key for --sse aws:kms; default: the account's key for S3
    #[arg(long, value_name = "KEY", env = "IBSR_SSE_KMS_KEY_ID", requires = "sse")]
    pub sse_kms_key_id: Option<String>,

    /// Storage class of the objects, for example STANDARD_IA
    ///
    /// Default: what the bucket does by itself.
    #[arg(long, value_name = "CLASS", env = "IBSR_STORAGE_CLASS")]
    pub storage_class: Option<String>,

    /// Which S3.
    #[command(flatten)]
    pub s3: S3Args,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
