// SPDX-License-Identifier: MIT OR Apache-2.0
//! Logs go to stderr; stdout is for data. The same four flags on every program.

use std::io;

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// The log flags, flattened into each program's command line.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// Say more on stderr; twice for libbpf's own messages
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
    /// `ibsr_reader=trace`) wins over the flags. A second call in one process has no effect.
    pub fn init(&self) {
        let filter = EnvFilter::try_from_env("IBSR_LOG")
            .unwrap_or_else(|_| EnvFilter::new(level(self.verbose, self.quiet)));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_target(false)
            .with_ansi(false);
        // The journal stamps every line already.
        let _already_set = match self.log_format {
            LogFormat::Text => builder.without_time().try_init(),
            LogFormat::Json => builder.json().without_time().try_init(),
        };
    }
}

/// The SDK logs whole requests at debug, so it stays one step behind ours: no verbosity that
/// these flags can reach may print a credential.
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

    #[test]
    fn no_flag_lets_the_sdk_log_requests() {
        for verbose in 0..4 {
            assert!(!level(verbose, false).contains("aws_sdk"));
            assert!(!level(verbose, false).starts_with("debug"));
        }
        assert_eq!(level(3, true), "error");
    }
}
