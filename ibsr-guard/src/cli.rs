// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line, as plain data.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use ibsr_cli::{Format, Generate, LogArgs, parse_duration};
use ibsr_proto::pins::PIN_ROOT;

/// Judge by a policy what the sockets under a cgroup do
///
/// A rehearsal lets everything pass and counts what the policy would deny. The program in the
/// kernel is loaded so that it cannot deny. `arm` turns a rehearsal into enforcement, with
/// evidence that this policy is safe here and with a lease that has to be renewed. Nothing
/// stays running: the kernel judges until `disarm`, and denies nothing once the lease is over.
///
/// Exit codes: 0 done, 1 the answer is no (not attached, rules that never decide), 2 error or
/// usage.
#[derive(Debug, Parser)]
#[command(
    name = "ibsr-guard",
    version,
    after_help = "Examples:\n  ibsr-guard check policy.yaml\n  ibsr-guard rehearse policy.yaml --cgroup /sys/fs/cgroup/system.slice"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Logging.
    #[command(flatten)]
    pub log: LogArgs,
}

/// Where the pins are.
#[derive(Debug, Clone, Args)]
pub struct PinArgs {
    /// Directory on bpffs below which the guard has its own, `guard`
    #[arg(long, value_name = "DIR", default_value = PIN_ROOT, env = "IBSR_PIN_ROOT")]
    pub pin_root: PathBuf,
}

/// How long.
#[derive(Debug, Clone, Copy, Args)]
pub struct LeaseArgs {
    /// How long it denies without being renewed, at most 60s
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse_duration)]
    pub lease: Duration,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say what a policy means, touching nothing
    ///
    /// What each rule becomes, the rules that never decide and why, and the kernel memory that
    /// the tables take. Needs no rights. Exit code 1 when a rule never decides.
    #[command(
        after_help = "Examples:\n  ibsr-guard check policy.yaml\n  ibsr-guard check policy.yaml --format json"
    )]
    Check {
        /// The policy file
        policy: PathBuf,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Attach to a cgroup, count what the policy would deny, deny nothing
    ///
    /// Refused when a guard is there already: `apply` changes its policy.
    #[command(
        after_help = "Examples:\n  ibsr-guard rehearse policy.yaml --cgroup /sys/fs/cgroup/system.slice\n  ibsr-guard rehearse policy.yaml --cgroup /sys/fs/cgroup/app --dns-interface eth0 --dns-interface lo"
    )]
    Rehearse {
        /// The policy file
        policy: PathBuf,
        /// Directory of the cgroup, of version 2
        #[arg(long, value_name = "PATH")]
        cgroup: PathBuf,
        /// Interface where DNS queries leave, `lo` too; give it for each
        ///
        /// Queries over UDP of the cgroup's sockets are judged there with the name that is asked
        /// for. Default: none: such queries then pass, and a rule about a name decides only about
        /// the addresses that listed resolvers gave for it. Cost: a few hundred ns a query.
        #[arg(long, value_name = "NAME")]
        dns_interface: Vec<String>,
        #[command(flatten)]
        pins: PinArgs,
        /// Read and compile the policy, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Print what evidence for a policy has to be about, as JSON
    ///
    /// This host and machine, the cgroup, the policy, what its executables, users and cgroups
    /// are here, and the guard's program: a report takes it over into the evidence.
    #[command(
        after_help = "Examples:\n  ibsr-guard subject policy.yaml --cgroup /sys/fs/cgroup/system.slice > subject.json"
    )]
    Subject {
        /// The policy file
        policy: PathBuf,
        /// Directory of the cgroup, of version 2
        #[arg(long, value_name = "PATH")]
        cgroup: PathBuf,
        /// What segments call this host; its name when not given
        #[arg(long, value_name = "LABEL", env = "IBSR_HOST")]
        host: Option<String>,
    },
    /// Turn the rehearsal into enforcement, with evidence and a lease
    ///
    /// Refused unless a key that is trusted signed the evidence, all of it is as it was signed,
    /// it has not expired, its verdict is READY or READY_CANARY, and it is about exactly this:
    /// host, machine, cgroup, policy, identities, program. There is no way around it.
    ///
    /// Denies nothing once the lease is over, or once more peers of the last hour were denied
    /// than the evidence allows.
    #[command(
        after_help = "Examples:\n  ibsr-guard arm policy.yaml --evidence bundle --trust report.pub\n  ibsr-guard arm policy.yaml --evidence bundle --trust report.pub --canary 5 --lease 30s"
    )]
    Arm {
        /// The policy file
        policy: PathBuf,
        /// Directory of the evidence
        #[arg(long, value_name = "BUNDLE", required = true)]
        evidence: PathBuf,
        /// Public key of someone whose evidence counts; may be repeated
        #[arg(long, value_name = "KEYFILE", required = true)]
        trust: Vec<PathBuf>,
        /// Share of clients to deny to, in percent
        ///
        /// Default: all that the evidence allows. A client is a pair of executable and address
        /// of the other end, and stays in or out.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
        canary: Option<u8>,
        #[command(flatten)]
        lease: LeaseArgs,
        /// What segments call this host; its name when not given
        #[arg(long, value_name = "LABEL", env = "IBSR_HOST")]
        host: Option<String>,
        #[command(flatten)]
        pins: PinArgs,
        /// Check everything, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Extend the lease of the armed guard
    ///
    /// Refused when the guard is not armed, has ended enforcing by itself, or its evidence has
    /// expired since.
    #[command(after_help = "Examples:\n  ibsr-guard renew\n  ibsr-guard renew --lease 30s")]
    Renew {
        #[command(flatten)]
        lease: LeaseArgs,
        #[command(flatten)]
        pins: PinArgs,
    },
    /// Give the attached guard another policy, between two verdicts
    ///
    /// Refused while it is armed: its evidence is about the policy that it has.
    #[command(
        after_help = "Examples:\n  ibsr-guard apply policy.yaml\n  ibsr-guard apply policy.yaml --dry-run"
    )]
    Apply {
        /// The policy file
        policy: PathBuf,
        #[command(flatten)]
        pins: PinArgs,
        /// Read and compile the policy, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what is attached and what it has counted
    ///
    /// Exit code 1 when no guard is attached.
    #[command(after_help = "Examples:\n  ibsr-guard status\n  ibsr-guard status --format json")]
    Status {
        #[command(flatten)]
        pins: PinArgs,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Detach the guard and remove its pins; success when there is none
    #[command(after_help = "Examples:\n  ibsr-guard disarm\n  ibsr-guard disarm --dry-run")]
    Disarm {
        #[command(flatten)]
        pins: PinArgs,
        /// Print what would be removed, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// For packagers.
    #[command(flatten)]
    Generate(Generate),
}
