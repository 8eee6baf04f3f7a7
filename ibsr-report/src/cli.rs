// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line as plain data, and the checks that need no I/O.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ibsr_cli::{Format, Generate, LogArgs, parse_duration};
use ibsr_s3::S3Args;
use jiff::Timestamp;

use crate::compact::CompactArgs;
use ibsr_replay::v1::fold::rule::SynRule;
use ibsr_replay::v1::fold::stream::Settings;

const AFTER_HELP: &str = "\
Examples:
  ibsr-report run /var/lib/ibsr/spool
  ibsr-report sources /var/lib/ibsr/spool --top 20 --by handshakes

Exit codes: 0 done; 1 done, but there was no data, some of it could not be used, or the
conservation law is broken; 2 error or usage.";

const AFTER_RUN: &str = "\
Examples:
  ibsr-report run /var/lib/ibsr/spool
  ibsr-report run /var/lib/ibsr/spool --out /tmp/report --syn-rate 50 --format json";

const AFTER_SOURCES: &str = "\
Examples:
  ibsr-report sources /var/lib/ibsr/spool
  ibsr-report sources /var/lib/ibsr/spool --top 3 --by bytes --format json";

const AFTER_COMPACT: &str = "\
Examples:
  ibsr-report compact /var/lib/ibsr/spool --out /tmp/parquet
  ibsr-report compact s3://BUCKET/ibsr --out /srv/ibsr/parquet --threads 4";

/// Reads segments and says who sent what, and what a rule would have done
#[derive(Debug, Parser)]
#[command(name = "ibsr-report", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Print the report, and write it to a directory
    ///
    /// Reads every segment twice: once to check it against its own footer, once to fold its
    /// rows. Memory is proportional to the number of sources.
    #[command(after_help = AFTER_RUN)]
    Run(RunArgs),
    /// Print the busiest sources
    #[command(after_help = AFTER_SOURCES)]
    Sources(SourcesArgs),
    /// Pack segments into Parquet, for queries and for the archive
    ///
    /// What is packed is read again by every command here, byte for byte as it was sealed.
    #[command(after_help = AFTER_COMPACT)]
    Compact(CompactArgs),
    /// For packagers.
    #[command(flatten)]
    Generate(Generate),
}

/// What to read.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// Segment file, directory with such files, or s3://BUCKET/PREFIX
    ///
    /// A directory is searched for *.jsonl, *.jsonl.gz, *.jsonl.zst and *.parquet, in any
    /// layout: a spool, a copy of a bucket, what `compact` made. Order and packing make no
    /// difference. Objects are copied to the directory for temporary files (TMPDIR) first.
    #[arg(value_name = "INPUT", required = true)]
    pub inputs: Vec<PathBuf>,

    /// Threads that read and fold; the result is the same for any number
    ///
    /// Default: one for each CPU. One stream (host, scope, boot, epoch) is folded by one.
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Which S3.
    #[command(flatten)]
    pub s3: S3Args,
}

/// How to show it.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Sources to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,

    /// What to print on stdout
    ///
    /// JSON has a `schema` and is stable; text is for people and is not.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// Time that the report says it was made at, RFC 3339
    ///
    /// Default: the wall clock. With it the same inputs give the same bytes.
    #[arg(long, value_name = "RFC3339")]
    pub now: Option<Timestamp>,
}

/// Flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Directory for report.txt and report.json, made if it is missing
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Length of a window, from 1s to 1h
    ///
    /// Rates are compared over whole windows of the boot clock. A sweep that does not end on
    /// a window's edge is spread over the windows that it covers.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_window)]
    pub window: Duration,

    /// SYN per second and source at which the replayed rule counts a window
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    pub syn_rate: u64,

    /// Windows in a row that must count before the rule acts
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub windows: u32,
}

/// Flags of `sources`.
#[derive(Debug, Clone, Args)]
pub struct SourcesArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,

    /// What makes a source busy
    #[arg(long, value_name = "COUNTER", value_enum, default_value_t = By::Syn)]
    pub by: By,
}

/// Order of sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum By {
    /// SYN without ACK
    Syn,
    /// Frames
    Packets,
    /// Frame bytes
    Bytes,
    /// Completed handshakes
    Handshakes,
}

impl From<By> for ibsr_replay::v1::assemble::By {
    fn from(by: By) -> Self {
        match by {
            By::Syn => Self::Syn,
            By::Packets => Self::Packets,
            By::Bytes => Self::Bytes,
            By::Handshakes => Self::Handshakes,
        }
    }
}

/// Time that the replayed rule acts on a source.
const TTL: Duration = Duration::from_secs(300);

impl RunArgs {
    /// What the fold needs to know of these flags.
    #[must_use]
    pub fn settings(&self) -> Settings {
        settings(self.window, self.syn_rate, self.windows)
    }
}

impl SourcesArgs {
    /// The rule is replayed with its defaults; only peaks are shown.
    #[must_use]
    pub fn settings() -> Settings {
        settings(Duration::from_secs(10), 100, 3)
    }
}

fn settings(window: Duration, syn_ps: u64, windows: u32) -> Settings {
    let ns = |time: Duration| u64::try_from(time.as_nanos()).expect("at most an hour");
    let window_ns = ns(window);
    let ttl_windows = ns(TTL).div_ceil(window_ns);
    Settings { window_ns, rule: SynRule { syn_ps, windows, ttl_windows } }
}

fn parse_window(text: &str) -> Result<Duration, String> {
    let window = parse_duration(text).map_err(|error| error.to_string())?;
    let is_usable = (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(&window);
    is_usable.then_some(window).ok_or_else(|| format!("`{text}` is not between 1s and 1h"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_window_has_bounds() {
        assert!(parse_window("999ms").is_err());
        assert!(parse_window("2h").is_err());
        assert_eq!(parse_window("1h"), Ok(Duration::from_secs(3600)));
    }

    #[test]
    fn the_action_lasts_whole_windows() {
        assert_eq!(settings(Duration::from_secs(7), 1, 1).rule.ttl_windows, 43);
    }
}
