// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line as plain data, and the checks that need no I/O.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ibsr_cli::{Format, Generate, LogArgs, parse_duration, parse_size};
use ibsr_replay::judge::gather;
use ibsr_s3::S3Args;
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;

use crate::compact::CompactArgs;
use crate::ingest::remote::InputFormat;

const AFTER_HELP: &str = "\
Examples:
  ibsr-report run /var/lib/ibsr/spool --out /tmp/report
  ibsr-report sources /var/lib/ibsr/spool --top 20 --by handshakes

Exit codes: 0 done, and the verdict is READY or READY_CANARY where there is one; 1 done, with
another verdict, or some of the input could not be used, or the evidence is not valid; 2 error
or usage.";

const AFTER_RUN: &str = "\
Examples:
  ibsr-report run /var/lib/ibsr/spool
  ibsr-report run /var/lib/ibsr/spool --rules my.toml --allow 192.0.2.0/24 --out /tmp/report";

const AFTER_FOLD: &str = "\
Examples:
  ibsr-report fold /var/lib/ibsr/spool -o /tmp/host1.partial
  ibsr-report fold s3://BUCKET/ibsr/host=web1 --day 2026-11-21 -o /tmp/web1-21.partial";

const AFTER_MERGE: &str = "\
Examples:
  ibsr-report merge /tmp/host1.partial /tmp/host2.partial --out /tmp/report
  ibsr-report merge /tmp/host1.partial /tmp/host2.partial -o /tmp/both.partial";

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
    /// Say what rules would have done, to whom, and how sure that is
    ///
    /// Reads every segment twice: once to check it against its own footer, once to fold its
    /// rows. Memory is proportional to the sources of a day, and bounded by --memory.
    #[command(after_help = AFTER_RUN)]
    Run(RunArgs),
    /// Fold segments into a partial, to be merged with others
    ///
    /// A day of a stream is folded whole and by one process; days and hosts may be folded
    /// anywhere, in any order. Each day needs the segments of the three hours before it too.
    #[command(after_help = AFTER_FOLD)]
    Fold(FoldArgs),
    /// Merge partials into the report, or into one partial
    ///
    /// The report is the same, to the byte, as if one process had read all segments.
    #[command(after_help = AFTER_MERGE)]
    Merge(MergeArgs),
    /// Print the busiest sources
    #[command(after_help = AFTER_SOURCES)]
    Sources(SourcesArgs),
    /// Pack segments into Parquet, for queries and for the archive
    ///
    /// What is packed is read again by every command here, byte for byte as it was sealed.
    #[command(after_help = AFTER_COMPACT)]
    Compact(CompactArgs),
    /// Write down where executables went, for the sensor to tell what is new
    ///
    /// Reads segments of the cgroup scopes of one host. What was asked and never answered is
    /// left out: a scan does not make its targets known.
    #[command(after_help = crate::baseline::AFTER_HELP)]
    Baseline(crate::baseline::BaselineArgs),
    /// Say what a policy of the guard would have denied, to whom, and how sure that is
    ///
    /// Reads segments of the cgroup scope of one host, and judges each of their flows as the
    /// guard would have. Denies nothing and touches no cgroup.
    #[command(after_help = crate::egress::AFTER_HELP)]
    Egress(crate::egress::EgressArgs),
    /// Write a recording of a site that does not exist, with the truth about it
    ///
    /// For planning and for trying rules on known attacks. Times, sources and attacks are
    /// drawn from --seed; addresses are of ranges that nobody owns.
    #[command(after_help = crate::simulate::AFTER_HELP)]
    Simulate(crate::simulate::SimulateArgs),
    /// Make a key that signs evidence
    ///
    /// Draws a new one from the system's random numbers; prints its public line.
    #[command(after_help = crate::bundle::AFTER_KEYGEN)]
    Keygen(crate::bundle::KeygenArgs),
    /// Check a bundle of evidence, and with its inputs compute it again
    ///
    /// Without --inputs: the signature, the time, the hash of every file. With them: the hash
    /// of every segment too, and everything in the bundle once more, to the byte.
    #[command(after_help = crate::bundle::AFTER_VERIFY)]
    Verify(crate::bundle::VerifyArgs),
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

    /// What the inputs are
    ///
    /// Other formats than ours say less: what cannot be known from them is a gap.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = InputFormat::Auto)]
    pub input_format: InputFormat,

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

/// How to fold.
#[derive(Debug, Clone, Args)]
pub struct RuleArgs {
    /// Rules to replay, in TOML
    ///
    /// Default: the built-in family. docs/rules.md describes the language.
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,

    /// Sources that are legitimate by definition; may be repeated
    ///
    /// Added to the `allow` list of the rules. A rule that would act on one is never ready.
    #[arg(long, value_name = "PREFIX")]
    pub allow: Vec<IpNet>,

    /// Length of a window, from 1s to 5m
    ///
    /// Rates are compared over whole windows of the boot clock. A sweep that does not end on
    /// a window's edge is spread over the windows that it covers.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = parse_window)]
    pub window: Duration,

    /// Memory for sources, all threads together
    ///
    /// A day with more sources than fit is read several times, a share of them at a time.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_memory)]
    pub memory: u64,
}

/// How to judge.
#[derive(Debug, Clone, Args)]
pub struct JudgeArgs {
    /// Directory for report.html, .md, .json, .txt, rules.toml and evidence.csv
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Which look at the same stream of evidence it is, from 1
    ///
    /// Each look spends a part of the error that all looks together may make: who looks until
    /// the answer pleases will see it by chance.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub look: u32,

    /// Largest share of legitimate source clusters that may be affected
    #[arg(long, value_name = "PERCENT", default_value = "0.1%", value_parser = parse_percent)]
    pub limit: u64,

    /// Largest share of completed connections that may be affected
    #[arg(long, value_name = "PERCENT", default_value = "0.01%", value_parser = parse_percent)]
    pub connection_limit: u64,

    /// Directory for signed evidence, packed as DIR.tar.zst too
    ///
    /// Neither may exist. Holds the report, its rules, the hash of every segment and all that
    /// it takes to compute the same again. docs/evidence.md says what a signature is worth.
    #[arg(long, value_name = "DIR", requires = "key")]
    pub bundle: Option<PathBuf>,

    /// Secret key that signs it, made by `keygen`
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub key: Option<PathBuf>,
}

/// Flags of `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// How to fold it.
    #[command(flatten)]
    pub rules: RuleArgs,
    /// How to judge it.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,
}

/// Flags of `fold`.
#[derive(Debug, Clone, Args)]
pub struct FoldArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,
    /// How to fold it.
    #[command(flatten)]
    pub rules: RuleArgs,

    /// Only this day, UTC; may be repeated
    ///
    /// Earlier segments are read as far as the day needs them.
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub day: Vec<Date>,

    /// File for the partial
    #[arg(short, long, value_name = "PARTIAL")]
    pub output: PathBuf,
}

/// Flags of `merge`.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = true, args = ["output_partial", "out", "bundle"])]
pub struct MergeArgs {
    /// What `fold` and `merge` wrote
    #[arg(value_name = "PARTIAL", required = true)]
    pub partials: Vec<PathBuf>,

    /// File for one partial instead of the report
    #[arg(short = 'o', long = "output", value_name = "PARTIAL", conflicts_with_all = ["out", "bundle"])]
    pub output_partial: Option<PathBuf>,

    /// How to judge.
    #[command(flatten)]
    pub judge: JudgeArgs,
    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,
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

impl From<By> for gather::By {
    fn from(by: By) -> Self {
        match by {
            By::Syn => Self::Syn,
            By::Packets => Self::Packets,
            By::Bytes => Self::Bytes,
            By::Handshakes => Self::Handshakes,
        }
    }
}

/// Longest window: the hours before a day in which a fold begins hold several of them.
const MAX_WINDOW: Duration = Duration::from_secs(300);
/// Least memory that makes sense.
const MIN_MEMORY_BYTES: u64 = 1 << 20;

fn parse_window(text: &str) -> Result<Duration, String> {
    let window = parse_duration(text).map_err(|error| error.to_string())?;
    let is_usable = (Duration::from_secs(1)..=MAX_WINDOW).contains(&window);
    is_usable.then_some(window).ok_or_else(|| format!("`{text}` is not between 1s and 5m"))
}

/// An amount of memory.
pub(crate) fn parse_memory(text: &str) -> Result<u64, String> {
    let bytes = parse_size(text).map_err(|error| error.to_string())?;
    let is_usable = bytes >= MIN_MEMORY_BYTES;
    is_usable.then_some(bytes).ok_or_else(|| format!("`{text}` is less than 1MiB"))
}

/// A percentage with up to seven decimals, as parts per thousand million.
pub(crate) fn parse_percent(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no percentage between 0% and 100%, for example `0.1%`");
    let number = text.strip_suffix('%').ok_or_else(wrong)?;
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty()
        || whole.len() > 3
        || part.len() > 7
        || !is_digits(whole)
        || !is_digits(part)
    {
        return Err(wrong());
    }
    let ppb: u64 = format!("{whole}{part:0<7}").parse().map_err(|_| wrong())?;
    let is_usable = (1..=1_000_000_000).contains(&ppb);
    is_usable.then_some(ppb).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use ibsr_replay::judge::report::{CONNECTION_LIMIT_PPB, LIMIT_PPB};

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_window_has_bounds() {
        assert!(parse_window("999ms").is_err());
        assert!(parse_window("6m").is_err());
        assert_eq!(parse_window("5m"), Ok(MAX_WINDOW));
    }

    #[test]
    fn a_limit_is_a_percentage() {
        assert_eq!(parse_percent("0.1%"), Ok(LIMIT_PPB));
        assert_eq!(parse_percent("0.01%"), Ok(CONNECTION_LIMIT_PPB));
        assert_eq!(parse_percent("100%"), Ok(1_000_000_000));
        for wrong in ["0%", "101%", "0.1", "-1%", "%", "1e-3%", "0.00000001%", "1.%x"] {
            assert!(parse_percent(wrong).is_err(), "{wrong}");
        }
    }
}
