// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs go to stderr; stdout is for data. The same four flags on every program.

use std::io;

use clap::{Args, ValueEnum};
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log flags, flattened into each program's command line.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Say more on stderr; twice for all there is
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    pub verbose: u8,

    /// Say only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 901)]
    pub quiet: bool,

    /// How lines on stderr look
    #[arg(
        long,
        value_name = "FORMAT",
        value_enum,
        default_value_t = LogFormat::Text,
        env = "IBSR_LOG_FORMAT",
        global = true,
        display_order = 902
    )]
    pub log_format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// `LEVEL message field=value`
    Text,
    /// One JSON object per line
    Json,
}

impl LogArgs {
    /// Installs the subscriber. `IBSR_LOG` (a tracing filter such as `debug` or
    /// `ibsr_reader=trace`) wins over the flags, except that the HTTP stack under the S3
    /// client never says more than warnings. A second call in one process has no effect.
    pub fn init(&self) {
        let filter = EnvFilter::try_from_env("IBSR_LOG")
            .unwrap_or_else(|_| EnvFilter::new(level(self.verbose, self.quiet)));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_target(false)
            .with_ansi(false);
        let spoken = filter_fn(|line| !may_hold_requests(line.target(), *line.level()));
        // The journal stamps every line already.
        let _already_set = match self.log_format {
            LogFormat::Text => builder.without_time().finish().with(spoken).try_init(),
            LogFormat::Json => builder.json().without_time().finish().with(spoken).try_init(),
        };
    }
}

/// Below warnings the S3 SDK and what it stands on log whole requests, headers and the
/// credentials' provider. Nobody's filter may bring those into a journal.
fn may_hold_requests(target: &str, level: Level) -> bool {
    const STACK: [&str; 6] = ["aws_", "hyper", "h2", "rustls", "tokio_rustls", "tower"];
    level > Level::WARN && STACK.iter().any(|name| target.starts_with(name))
}

/// The SDK stays one step behind ours.
fn level(verbose: u8, quiet: bool) -> &'static str {
    match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "info,aws_config=warn,aws_runtime=warn",
        (false, 1) => {
            "warn,ibsr_loader=debug,ibsr_reader=debug,ibsr_export=debug,ibsr_report=debug,ibsr_s3=debug"
        }
        (false, _) => {
            "warn,ibsr_loader=trace,ibsr_reader=trace,ibsr_export=trace,ibsr_report=trace,ibsr_s3=trace,libbpf=debug"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// E10: whatever `IBSR_LOG` says.
    #[test]
    fn requests_are_never_logged_but_their_failures_are() {
        assert!(may_hold_requests("aws_smithy_runtime::client::orchestrator", Level::TRACE));
        assert!(may_hold_requests("hyper_util::client", Level::INFO));
        assert!(!may_hold_requests("aws_config::profile", Level::WARN));
        assert!(!may_hold_requests("ibsr_s3", Level::TRACE));
    }

    #[test]
    fn no_flag_lets_the_sdk_log_requests() {
        for verbose in 0..4 {
            assert!(!level(verbose, false).contains("aws_sdk"));
            assert!(!level(verbose, false).starts_with("debug"));
        }
        assert_eq!(level(3, true), "error");
    }
}
