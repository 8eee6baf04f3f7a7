// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line of `egress`, as plain data.

use std::path::PathBuf;

use crate::cli::{InputArgs, OutputArgs, parse_memory, parse_percent};

/// Examples below the help.
pub const AFTER_HELP: &str = "\
Examples:
  ibsr-report egress /var/lib/ibsr/spool/cg-web --policy policy.yaml --identities here
  ibsr-report egress /var/lib/ibsr/spool/cg-web --policy policy.yaml --out /tmp/egress --format json

Exit codes: 0 the verdict is READY or READY_CANARY and all of the input could be used; 1 any
other verdict, or some of the input could not be used; 2 error or usage.";

/// Flags of `egress`.
#[derive(Debug, Clone, clap::Args)]
pub struct EgressArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The policy, as `ibsr-guard` reads it
    ///
    /// Its lists are looked for beside it.
    #[arg(long, value_name = "FILE")]
    pub policy: PathBuf,

    /// Only processes of this cgroup and of those below it, a path below the mount point
    ///
    /// Default: that of the sensor.
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,

    /// What the policy's executables and users are: `here`, or a file
    ///
    /// With `here` they are looked up on this machine, which must be the one that was observed.
    /// The file is a list as `settings.identities` of report.json has it. Without it only
    /// numbers of users and paths of cgroups are known; a flow whose verdict depends on another
    /// name has none.
    #[arg(long, value_name = "WHERE")]
    pub identities: Option<PathBuf>,

    /// Rule whose denials are meant, by its name; `default` for the default; may be repeated
    ///
    /// What it denies hurts nobody: it is listed, and no gate looks at it.
    #[arg(long, value_name = "RULE")]
    pub intended: Vec<String>,

    /// Which look at the same stream of evidence it is, from 1
    ///
    /// Each look spends a part of the error that all looks together may make.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub look: u32,

    /// Largest share of destinations in use that may be lost
    #[arg(long, value_name = "PERCENT", default_value = "1%", value_parser = parse_percent)]
    pub limit: u64,

    /// Largest share of completed connections that may be denied
    #[arg(long, value_name = "PERCENT", default_value = "0.1%", value_parser = parse_percent)]
    pub connection_limit: u64,

    /// Denials of peers in use after which an armed guard ends enforcing by itself
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub budget_denials: u64,

    /// Memory for flows
    ///
    /// A stream with more than fit is read several times, a share of them at a time.
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_memory)]
    pub memory: u64,

    /// Directory for report.html, .md, .json, .txt, policy.txt and evidence.csv
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// Directory for signed evidence that the guard can be armed with, packed as DIR.tar.zst too
    ///
    /// Neither may exist.
    #[arg(long, value_name = "DIR", requires_all = ["key", "subject"])]
    pub bundle: Option<PathBuf>,

    /// Secret key that signs it, made by `keygen`
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub key: Option<PathBuf>,

    /// What `ibsr-guard subject` printed on the machine, for the bundle
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub subject: Option<PathBuf>,

    /// How to show it.
    #[command(flatten)]
    pub output: OutputArgs,
}
