// SPDX-License-Identifier: MIT OR Apache-2.0
//! Writes down where the executables of a host went, for the sensor to tell what is new.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use ibsr_cli::Answer;
use ibsr_proto::addr::SourceAddr;
use ibsr_proto::baseline::{Baseline, Entry, MAX_ENTRIES, Prefix, SCHEMA};
use ibsr_proto::cgroup_abi::{Direction, step};
use ibsr_proto::snapshot::cgroup::{Flow, Row};
use tempfile::NamedTempFile;
use tracing::{info, warn};

use crate::cli::InputArgs;
use crate::ingest::lines::{Line, Lines};
use crate::ingest::remote::gather;
use crate::ingest::scan::FlowSegment;
use crate::ingest::verify::verify;
use crate::progress::Progress;
use crate::run::TOOL;

const TCP: u16 = 6;

/// Examples at the end of the help.
pub const AFTER_HELP: &str = "\
Examples:
  ibsr-report baseline /var/lib/ibsr/spool/cg-web -o /etc/ibsr/web.baseline
  ibsr-report baseline /var/lib/ibsr/spool/cg-web --prefix-v4 24 --prefix-v6 56 -o web.baseline";

/// Flags of `baseline`.
#[derive(Debug, Clone, clap::Args)]
pub struct BaselineArgs {
    /// What to read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Bits of an IPv4 destination that count
    ///
    /// With 24 a destination makes its 256 neighbours known too: fewer entries, and fewer
    /// false findings where a service moves; a stranger beside a known one is not new.
    #[arg(long, value_name = "BITS", default_value_t = 32, value_parser = clap::value_parser!(u8).range(0..=32))]
    pub prefix_v4: u8,

    /// Bits of an IPv6 destination that count
    #[arg(long, value_name = "BITS", default_value_t = 128, value_parser = clap::value_parser!(u8).range(0..=128))]
    pub prefix_v6: u8,

    /// File for the baseline
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

/// Writes the file. The answer is no when something of the inputs is not in it.
///
/// # Errors
/// When there is nothing to write, or more than the sensor's table takes, or the inputs are of
/// several hosts: an inode means another program there.
pub fn baseline(args: &BaselineArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let threads = args
        .input
        .threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let gathered = gather(&args.input.inputs, &args.input.s3, args.input.input_format)?;
    let verified = verify(&gathered.files, threads);
    let host = only_host(&verified.flows)?;
    let lines = verified.flows.iter().map(|segment| segment.contents.footer.lines).sum();
    let progress = Progress::new(lines, is_quiet);
    let mut known = Known { args, entries: BTreeSet::new(), unreadable: 0 };
    for segment in &verified.flows {
        known
            .read(segment, &progress)
            .with_context(|| format!("failed to read `{}` again", segment.origin))?;
    }
    progress.end();
    ensure!(
        !known.entries.is_empty(),
        "failed to find a connection that was answered, of a process that is known\nhint: let the sensor \
         and the reader run for as long as a cycle of the host's work takes, a week for most"
    );
    let times = || verified.flows.iter().flat_map(|segment| &segment.contents.sweeps);
    let baseline = Baseline {
        schema: SCHEMA.to_owned(),
        tool: TOOL.to_owned(),
        host,
        from_unix_ms: times().map(|sweep| sweep.at_unix_ms).min().unwrap_or(0),
        to_unix_ms: times().map(|sweep| sweep.at_unix_ms).max().unwrap_or(0),
        entries: known.entries.into_iter().collect(),
    };
    write(&args.output, &baseline.to_text())?;
    info!(path = %args.output.display(), entries = baseline.entries.len(), "baseline written");
    if known.unreadable > 0 {
        warn!(rows = known.unreadable, "rows not used");
    }
    let is_whole = verified.refused.is_empty() && known.unreadable == 0;
    Ok(if is_whole { Answer::Yes } else { Answer::No })
}

fn only_host(flows: &[FlowSegment]) -> anyhow::Result<String> {
    let hosts: BTreeSet<&str> =
        flows.iter().map(|segment| segment.contents.header.host.as_str()).collect();
    let mut hosts = hosts.into_iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => Ok(host.to_owned()),
        (Some(first), Some(second)) => bail!(
            "refusing to mix hosts: `{first}` and `{second}` have executables of their own under the same \
             inodes\nhint: make a baseline for each host"
        ),
        _ => bail!(
            "failed to find a segment of a cgroup\nhint: name segments of a `cg-` scope, written by \
             `ibsr-reader run --scope cg-NAME`"
        ),
    }
}

struct Known<'a> {
    args: &'a BaselineArgs,
    entries: BTreeSet<Entry>,
    unreadable: u64,
}

impl Known<'_> {
    fn read(&mut self, segment: &FlowSegment, progress: &Progress) -> anyhow::Result<()> {
        let mut lines = Lines::new(segment.place.open()?);
        while let Some(line) = lines.next()? {
            match line {
                Line::Whole(text) => match Row::from_line(text) {
                    Ok(Row::Flow(flow)) => self.add(&flow)?,
                    Ok(_) => {}
                    Err(_) => self.unreadable += 1,
                },
                Line::Part { is_first, .. } => self.unreadable += u64::from(is_first),
            }
            progress.line(lines.number());
        }
        progress.file(lines.number());
        Ok(())
    }

    fn add(&mut self, flow: &Flow<'_>) -> anyhow::Result<()> {
        let is_known = flow.direction.0 == Direction::Outgoing as u8 && is_answered(flow);
        let (Some(addr), Some(port), Some(owner)) =
            (flow.remote_addr, flow.remote_port, &flow.owner)
        else {
            return Ok(());
        };
        if !is_known || owner.exe_inode == 0 {
            return Ok(());
        }
        self.entries.insert(Entry {
            exe_device: owner.exe_device.0,
            exe_inode: owner.exe_inode,
            protocol: flow.protocol.0,
            port,
            prefix: self.prefix(addr),
        });
        ensure!(
            self.entries.len() <= MAX_ENTRIES,
            "failed to make a baseline: there are more than {MAX_ENTRIES} destinations, the sensor's table \
             takes no more\nhint: aggregate them, for example `--prefix-v4 24 --prefix-v6 56`"
        );
        Ok(())
    }

    fn prefix(&self, addr: SourceAddr) -> Prefix {
        let is_v4 = addr.to_ip().is_ipv4();
        Prefix::of(addr, if is_v4 { self.args.prefix_v4 } else { self.args.prefix_v6 })
    }
}

/// A scan must not make what it looked for known: only what answered is.
const fn is_answered(flow: &Flow<'_>) -> bool {
    match flow.protocol.0 {
        TCP => flow.steps.0 & step::ESTABLISHED != 0,
        _ => flow.packets_in > 0,
    }
}

/// Whole or not at all.
fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let writing = || format!("failed to write `{}`", path.display());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(dir).with_context(writing)?;
    file.write_all(text.as_bytes()).with_context(writing)?;
    file.as_file().sync_all().with_context(writing)?;
    // Temporary files are for their owner only; the loader may run as somebody else.
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(file.path(), mode).with_context(writing)?;
    file.persist(path).with_context(writing)?;
    Ok(())
}
