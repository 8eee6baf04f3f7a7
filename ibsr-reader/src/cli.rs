// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line: what may be typed, and what it means. No I/O but the host's name.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ibsr_cli::{Generate, LogArgs, parse_duration, parse_size};
use ibsr_proto::pins::{PIN_ROOT, Scope};
use ibsr_proto::snapshot::name::host_label;

use crate::settings::Settings;
use crate::spool::Limits;
use crate::xdp::walk::Pass;

/// Reads the sensor's pinned maps and seals JSON Lines segments
///
/// Needs no capability on Linux 5.19 and later, only membership of the group that owns the
/// pins. Never writes to a map, an interface or a link. Exit codes: 0 done, 2 error or usage.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  \
        ibsr-reader run --scope xdp-eth0 --spool /var/lib/ibsr/spool --period 10s\n  \
        ibsr-reader once --scope xdp-eth0 --spool /tmp/spool"
)]
pub struct Cli {
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Sweep every period until stopped
    ///
    /// Waits while nothing is attached, follows an attach or an upgrade without a restart,
    /// and on SIGTERM sweeps once more, seals the open segment and ends with 0. The kernel
    /// keeps counting while this does not run: no count is lost.
    #[command(after_help = "Examples:\n  \
        ibsr-reader run --scope xdp-eth0 --spool /var/lib/ibsr/spool\n  \
        ibsr-reader run --scope xdp-eth0 --spool /tmp/spool --period 1s --segment-age 10s")]
    Run(RunArgs),
    /// Write one full sweep as one sealed segment and print its path
    ///
    /// Ends with 2 when nothing is attached. Removes no other segment.
    #[command(after_help = "Examples:\n  \
        ibsr-reader once --scope xdp-eth0 --spool /tmp/spool\n  \
        jq -c 'select(.type==\"source\")' \"$(ibsr-reader once --scope xdp-eth0 --spool /tmp/spool)\"")]
    Once(OnceArgs),
    /// Time the ways through the source table, in CPU time, as JSON
    #[command(hide = true)]
    Walk(WalkArgs),
    /// Time the ways to write the source rows of a segment, in CPU time, as JSON
    #[command(hide = true)]
    Rewrite {
        /// A sealed segment
        segment: PathBuf,
    },
    /// For packagers.
    #[command(flatten)]
    Generate(Generate),
}

/// Where the maps are.
#[derive(Debug, Clone, Args)]
pub struct PinArgs {
    /// What to read: `xdp-<ifname>` or `cg-<name>`
    #[arg(long, value_name = "SCOPE", env = "IBSR_SCOPE")]
    pub scope: Scope,

    /// Directory under which the loader pinned
    #[arg(long, value_name = "DIR", env = "IBSR_PIN_ROOT", default_value = PIN_ROOT)]
    pub pin_root: PathBuf,
}

/// Where the segments go.
#[derive(Debug, Clone, Args)]
pub struct OutputArgs {
    /// Directory of the spool
    ///
    /// Segments lie in a directory below it, named after the scope. It must belong to the
    /// user that runs this and must not be writable by everybody.
    #[arg(long, value_name = "DIR", env = "IBSR_SPOOL")]
    pub spool: PathBuf,

    /// Name of this host in segments and file names
    ///
    /// Lower-case letters, digits, `.` and `-`; anything else becomes `-`. Default: the
    /// kernel's node name.
    #[arg(long, value_name = "NAME", env = "IBSR_HOST")]
    pub host: Option<String>,

    /// Directory of the interface in sysfs
    ///
    /// For its index and its receive counter. Default: `/sys/class/net/<ifname>`. The unit
    /// sets it, because a private network hides the host's interfaces.
    #[arg(long, value_name = "DIR", env = "IBSR_NET_DIR")]
    pub net_dir: Option<PathBuf>,
}

/// `run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// Where the maps are.
    #[command(flatten)]
    pub pins: PinArgs,
    /// Where the segments go.
    #[command(flatten)]
    pub output: OutputArgs,

    /// Time between two sweeps
    ///
    /// Measured on the boot clock. A sweep lists the sources seen since the one before.
    /// Cost: about 0.3 us of CPU an entry in the table and 0.3 us a listed row.
    #[arg(long, value_name = "TIME", env = "IBSR_PERIOD", default_value = "10s",
        value_parser = parse_duration)]
    pub period: Duration,

    /// Seal a segment when its first sweep is this old
    #[arg(long, value_name = "TIME", env = "IBSR_SEGMENT_AGE", default_value = "5m",
        value_parser = parse_duration)]
    pub segment_age: Duration,

    /// Seal a segment when it holds this much
    #[arg(long, value_name = "SIZE", env = "IBSR_SEGMENT_BYTES", default_value = "64MiB",
        value_parser = parse_size)]
    pub segment_bytes: u64,

    /// List every source again this often, seen or not
    ///
    /// A full sweep makes every later segment readable without the ones before it.
    #[arg(long, value_name = "TIME", env = "IBSR_FULL_EVERY", default_value = "1h",
        value_parser = parse_duration)]
    pub full_every: Duration,

    /// Keep at most this much in the spool
    ///
    /// When it is full, uploaded segments go first, then sweeps are merged into coarser
    /// ones, then the oldest segment goes, and a gap row tells so.
    #[arg(long, value_name = "SIZE", env = "IBSR_SPOOL_BYTES", default_value = "2GiB",
        value_parser = parse_size)]
    pub spool_bytes: u64,

    /// Keep no segment longer than this
    #[arg(long, value_name = "TIME", env = "IBSR_SPOOL_AGE", default_value = "7d",
        value_parser = parse_duration)]
    pub spool_age: Duration,

    /// Keep a segment this long after its upload
    #[arg(long, value_name = "TIME", env = "IBSR_KEEP_UPLOADED", default_value = "24h",
        value_parser = parse_duration)]
    pub keep_uploaded: Duration,

    /// The exporter's ledger
    ///
    /// Read only, to know which segments the bucket holds. Default: none, and nothing counts
    /// as uploaded.
    #[arg(long, value_name = "FILE", env = "IBSR_LEDGER")]
    pub ledger: Option<PathBuf>,
}

/// `walk`.
#[derive(Debug, Clone, Args)]
pub struct WalkArgs {
    /// Where the maps are.
    #[command(flatten)]
    pub pins: PinArgs,

    /// Sweep without a pause until standard input ends, instead
    #[arg(long, value_name = "PASS")]
    pub until_eof: Option<Pass>,
}

/// `once`.
#[derive(Debug, Clone, Args)]
pub struct OnceArgs {
    /// Where the maps are.
    #[command(flatten)]
    pub pins: PinArgs,
    /// Where the segment goes.
    #[command(flatten)]
    pub output: OutputArgs,
}

impl RunArgs {
    /// What these flags mean.
    #[must_use]
    pub fn settings(self) -> Settings {
        let limits = Limits {
            segment_bytes: self.segment_bytes,
            segment_age: self.segment_age,
            spool_bytes: self.spool_bytes,
            spool_age: self.spool_age,
            keep_uploaded: self.keep_uploaded,
        };
        Settings {
            ledger: self.ledger,
            period_ns: nanoseconds(self.period),
            full_every_ns: nanoseconds(self.full_every),
            ..settings(self.pins, self.output, limits)
        }
    }
}

impl OnceArgs {
    /// What these flags mean: no limit, so that nothing but the new segment changes.
    #[must_use]
    pub fn settings(self) -> Settings {
        let limits = Limits {
            segment_bytes: u64::MAX,
            segment_age: Duration::MAX,
            spool_bytes: u64::MAX,
            spool_age: Duration::MAX,
            keep_uploaded: Duration::MAX,
        };
        settings(self.pins, self.output, limits)
    }
}

fn settings(pins: PinArgs, output: OutputArgs, limits: Limits) -> Settings {
    let host = output
        .host
        .unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into_owned());
    Settings {
        scope: pins.scope,
        pin_root: pins.pin_root,
        spool: output.spool,
        limits,
        ledger: None,
        period_ns: 0,
        full_every_ns: u64::MAX,
        host: host_label(&host),
        net_dir: output.net_dir,
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_become_settings_with_units() {
        let cli = parse(
            "ibsr-reader run --scope xdp-eth0 --spool /s --period 250ms --segment-bytes 1MiB \
             --host Node_7",
        )
        .expect("parses");
        let Command::Run(run) = cli.command else { panic!("run") };
        let settings = run.settings();
        assert_eq!(settings.period_ns, 250_000_000);
        assert_eq!(settings.full_every_ns, 3_600_000_000_000);
        assert_eq!(settings.limits.segment_bytes, 1 << 20);
        assert_eq!((settings.host.as_str(), settings.scope.as_str()), ("node-7", "xdp-eth0"));
    }

    #[test]
    fn a_scope_that_is_a_path_is_a_usage_error() {
        for wrong in ["../xdp-eth0", "eth0", "xdp-a/b"] {
            let line = format!("ibsr-reader once --spool /s --scope {wrong}");
            assert_eq!(parse(&line).expect_err("refused").exit_code(), 2, "{wrong}");
        }
    }

    #[test]
    fn a_single_sweep_removes_nothing_and_has_no_period() {
        let cli = parse("ibsr-reader once --scope xdp-eth0 --spool /s").expect("parses");
        let Command::Once(once) = cli.command else { panic!("once") };
        let settings = once.settings();
        assert_eq!((settings.period_ns, settings.limits.spool_bytes), (0, u64::MAX));
    }
}
