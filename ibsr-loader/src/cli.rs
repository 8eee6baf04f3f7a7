// SPDX-License-Identifier: MIT OR Apache-2.0
//! The command line, as plain data.

mod cgroup;

use std::io;
use std::path::{self, PathBuf};
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ibsr_cli::{Format, Generate, LogArgs, parse_duration};
use ibsr_proto::abi::{DEFAULT_MAX_SOURCES, Evidence, ProofKind, Table, XdpMode};
use ibsr_proto::pins::{PIN_GROUP, PIN_ROOT, Scope, ScopeError};
use ibsr_proto::ports::PortRange;

pub use cgroup::CgroupArgs;

/// Attach a sensor to an interface or a cgroup, pin its maps, and exit
///
/// One sensor counts TCP per source on an interface, the other the flows of sockets under a
/// cgroup; both pass everything. The loader proves that on the
/// instructions before it loads them, attaches last, and leaves nothing running: the kernel
/// keeps counting until `detach`.
///
/// Exit codes: 0 done, 1 the answer is no (not attached, not healthy), 2 error or usage.
#[derive(Debug, Parser)]
#[command(
    name = "ibsr-loader",
    version,
    after_help = "Examples:\n  ibsr-loader attach xdp eth0 --dst-port 443\n  ibsr-loader status"
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
    /// Directory on bpffs that holds one directory for each scope
    ///
    /// Made with mode 0750 when it is missing; its parent must exist on bpffs. Every part of
    /// the path must belong to root or to the caller and must not be a symbolic link.
    #[arg(long, value_name = "DIR", default_value = PIN_ROOT, env = "IBSR_PIN_ROOT")]
    pub pin_root: PathBuf,
}

impl PinArgs {
    /// The directory as an absolute path, so that each part of it can be checked.
    ///
    /// # Errors
    /// When it is relative and the working directory is gone.
    pub fn root(&self) -> io::Result<PathBuf> {
        path::absolute(&self.pin_root)
    }
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Attach a sensor; a second time changes nothing
    Attach {
        /// Which sensor.
        #[command(subcommand)]
        sensor: Sensor,
    },
    /// Detach a scope, or everything of ours
    ///
    /// Removes the link first, which detaches at once, then the maps, then the directory.
    /// Detaching what is not attached is success. Files that are not ours stay and are named.
    #[command(
        after_help = "Examples:\n  ibsr-loader detach xdp-eth0\n  ibsr-loader detach --dry-run"
    )]
    Detach {
        /// Scope, as `status` names it; without one, everything and the pin root itself
        #[arg(value_parser = sensor_scope)]
        scope: Option<Scope>,
        #[command(flatten)]
        pins: PinArgs,
        /// Print what would be removed, change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say what is attached and whether it is healthy
    ///
    /// Exit code 0 when everything is attached and healthy, 1 when something is not or
    /// nothing is attached. Needs read access to the pins; root also sees the links.
    #[command(after_help = "Examples:\n  ibsr-loader status\n  ibsr-loader status --format json")]
    Status {
        /// Only this scope
        #[arg(value_parser = sensor_scope)]
        scope: Option<Scope>,
        #[command(flatten)]
        pins: PinArgs,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Say what attaching to an interface or a cgroup would meet, touching nothing
    ///
    /// Driver, MTU and what bounds it, queues, offloads, other XDP programs, bpffs,
    /// capabilities and kernel. Exit code 0 when `attach` would work, 1 when not.
    #[command(
        after_help = "Examples:\n  ibsr-loader check eth0\n  ibsr-loader check --cgroup /sys/fs/cgroup/system.slice"
    )]
    Check {
        /// Interface
        #[arg(required_unless_present = "cgroup", conflicts_with = "cgroup")]
        ifname: Option<String>,
        /// Directory of a cgroup instead of an interface
        #[arg(long, value_name = "PATH")]
        cgroup: Option<PathBuf>,
        #[command(flatten)]
        pins: PinArgs,
        /// How to print
        #[arg(long, value_enum, default_value_t = Format::Text)]
        format: Format,
    },
    /// Prove, load and run the sensors on a few frames, without attaching them
    ///
    /// Prints the proof, the digest that `meta` would carry and what the kernel loaded.
    /// The programs for cgroups are proven and loaded only: they need sockets to run. Nothing is
    /// pinned, no interface and no cgroup is touched. Takes a few seconds.
    #[command(after_help = "Examples:\n  ibsr-loader selftest\n  ibsr-loader selftest -vv")]
    Selftest,
    /// For packagers.
    #[command(flatten)]
    Generate(Generate),
}

/// Sensors.
#[derive(Debug, Subcommand)]
pub enum Sensor {
    /// Attach to the receive side of an interface
    ///
    /// First in the driver (native). In the core (generic) when the driver has no XDP, or when
    /// asked. A program that is there already is never replaced. With other settings than
    /// before, the running sensor is replaced between two packets and a new epoch begins.
    #[command(
        after_help = "Examples:\n  ibsr-loader attach xdp eth0\n  ibsr-loader attach xdp eth0 --dst-port 443 --dst-port 8000-8100"
    )]
    Xdp(XdpArgs),
    /// Attach to the sockets under a cgroup
    ///
    /// Records whom they talk to and which process each belongs to, and allows everything.
    /// Sockets that are there already are taken over. With other capacities than before, the
    /// running sensor is replaced hook by hook and a new epoch begins.
    #[command(
        after_help = "Examples:\n  ibsr-loader attach cgroup /sys/fs/cgroup/system.slice --resolver 127.0.0.53\n  ibsr-loader attach cgroup /sys/fs/cgroup/system.slice/nginx.service --name web --max-flows 20000"
    )]
    Cgroup(CgroupArgs),
}

/// How to attach to an interface.
#[derive(Debug, Clone, Args)]
pub struct XdpArgs {
    /// Interface
    pub ifname: String,

    /// Destination port or range to track, may be repeated; default all
    ///
    /// TCP to any other port is counted in one number and costs no table access. The cost per
    /// packet does not depend on how many ports are selected.
    #[arg(
        long = "dst-port",
        value_name = "PORT|FROM-TO",
        env = "IBSR_DST_PORT",
        value_delimiter = ','
    )]
    pub dst_ports: Vec<PortRange>,

    /// How sources are kept
    ///
    /// One set-associative table, which costs a packet less, counts what it evicts and is read
    /// by mapping it, or two LRU hashes of the kernel, one for proven sources and one for the
    /// others. The former begins a new epoch with each new program.
    #[arg(long, value_enum, default_value_t = TableKind::SetAssoc, env = "IBSR_TABLE")]
    pub table: TableKind,

    /// Capacity in (source, port) pairs
    ///
    /// Of the set-associative table, which has two ways a pair: 212 bytes, 20 MiB at the
    /// default. Of each of the two LRU tables: about 152 bytes a pair, 29 MiB for both.
    /// Allocated at once. When a table is full, entries that were not used lately are dropped;
    /// the loss is counted.
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_SOURCES, env = "IBSR_MAX_SOURCES",
          value_parser = clap::value_parser!(u32).range(1..=MAX_SOURCES_LIMIT))]
    pub max_sources: u32,

    /// What makes a source proven, so that no flood can push it out
    ///
    /// A spoofed flood churns the table of unproven sources only. On a host that forwards what
    /// it receives (a load balancer, published container ports) no socket belongs to the
    /// connections: use `handshake` there.
    #[arg(long, value_enum, default_value_t = Proof::Socket, env = "IBSR_PROOF")]
    pub proof: Proof,

    /// Give each source an entry with its first packet
    ///
    /// By default the first packet of an address waits for its second one, and a source of a
    /// single packet is counted as unattributed. With this option it is listed, and a flood of
    /// new addresses costs several times as much, up to 20,000 inserts a second and CPU.
    #[arg(long, env = "IBSR_ADMIT_FIRST")]
    pub admit_first: bool,

    /// Bind the maps to the program at most this strongly
    ///
    /// Exclusive maps (Linux 6.18) take no other program, so an upgrade begins a new epoch.
    /// Frozen ones take no write from user space, and the next release continues their
    /// counters. A kernel without either does what it can; `status` names the level.
    #[arg(long, value_enum, default_value_t = MaxEvidence::Exclusive, env = "IBSR_EVIDENCE")]
    pub evidence: MaxEvidence,

    /// Attach in the driver (native) or in the core (generic); default native first
    #[arg(long, value_enum, env = "IBSR_XDP_MODE")]
    pub mode: Option<Mode>,

    /// Wait this long for the interface to appear, for example 30s
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, env = "IBSR_WAIT")]
    pub wait: Option<Duration>,

    /// Where the pins are.
    #[command(flatten)]
    pub pins: PinArgs,

    /// Group that may read the pins, by name or number
    #[arg(long, value_name = "GROUP|GID", default_value = PIN_GROUP, env = "IBSR_GROUP")]
    pub group: String,

    /// Prove and print what would be done, change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// 2^26 pairs are about 9 GiB; a larger number is a slip of the keyboard.
const MAX_SOURCES_LIMIT: i64 = 1 << 26;

/// `--mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// In the driver: fastest.
    Native,
    /// In the core, behind the driver: works everywhere.
    Generic,
}

impl From<Mode> for XdpMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::Native => Self::Native,
            Mode::Generic => Self::Generic,
        }
    }
}

/// `--table`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum TableKind {
    /// One set-associative table.
    SetAssoc,
    /// The kernel's own, one for proven sources and one for the others.
    Lru,
}

impl From<TableKind> for Table {
    fn from(kind: TableKind) -> Self {
        match kind {
            TableKind::Lru => Self::Lru,
            TableKind::SetAssoc => Self::Sets,
        }
    }
}

/// `--proof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Proof {
    /// An established connection of this host.
    Socket,
    /// A handshake as seen from ingress; weaker: a sender of both its packets can forge it.
    Handshake,
}

impl From<Proof> for ProofKind {
    fn from(proof: Proof) -> Self {
        match proof {
            Proof::Socket => Self::Socket,
            Proof::Handshake => Self::Handshake,
        }
    }
}

/// `--evidence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MaxEvidence {
    /// No user space can write the maps.
    Frozen,
    /// And no other program.
    Exclusive,
}

impl From<MaxEvidence> for Evidence {
    fn from(level: MaxEvidence) -> Self {
        match level {
            MaxEvidence::Frozen => Self::Frozen,
            MaxEvidence::Exclusive => Self::Exclusive,
        }
    }
}

/// A scope of a sensor: that of the guard is not the loader's.
fn sensor_scope(text: &str) -> Result<Scope, String> {
    let scope: Scope = text.parse().map_err(|error: ScopeError| error.to_string())?;
    match scope.is_guard() {
        true => Err("no sensor has it: see `ibsr-guard status` and `ibsr-guard disarm`".to_owned()),
        false => Ok(scope),
    }
}

#[cfg(test)]
mod tests;
