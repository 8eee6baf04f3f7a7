// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report simulate`: segments of a site that does not exist, and the truth about it.
//! For planning (how many days does a bound need?) and for trying rules on known attacks.

mod segment;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use ibsr_cli::Answer;
use ibsr_replay::site::{Preset, SiteSpec, SpecError, Sweeps};
use jiff::Timestamp;
use tracing::info;

use crate::render;
use segment::Writer;

/// Examples below the help.
pub const AFTER_HELP: &str = "\
Examples:
  ibsr-report simulate --out /tmp/site --days 10 --clients 500 && ibsr-report run /tmp/site
  ibsr-report simulate --out /tmp/site --preset mixed --seed 7 --start 2026-06-01T00:00:00Z";

/// The table of who is who, beside the segments.
const TRUTH: &str = "truth.csv";
/// Longest segment in time and in bytes.
const SEGMENT_MS: u64 = 3_600_000;
const SEGMENT_BYTES: u64 = 64 << 20;

/// Flags of `simulate`.
#[derive(Debug, Clone, Args)]
pub struct SimulateArgs {
    /// Directory for the segments and truth.csv; made if it is missing, else empty
    ///
    /// The segments lie in it as in a spool: DIR/xdp-sim0/*.jsonl. Their header says
    /// `simulated`, so that no report takes them for an observation.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,

    /// What kind of site
    #[arg(long, value_name = "PRESET", value_enum, default_value_t = Kind::Flood)]
    pub preset: Kind,

    /// Number that everything is drawn from
    ///
    /// The same flags make the same bytes on every machine.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,

    /// Days, from 1 to 366
    #[arg(long, value_name = "N", default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=366))]
    pub days: u64,

    /// New clients each day, nearly all of them in networks of their own
    ///
    /// Cost: about 20 rows of 230 bytes for each.
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(0..=500_000))]
    pub clients: u64,

    /// Midnight UTC at which the recording begins, RFC 3339
    #[arg(long, value_name = "RFC3339", default_value = "2026-01-05T00:00:00Z")]
    pub start: Timestamp,
}

/// Presets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// Nobody attacks
    Quiet,
    /// SYN floods of single sources on two days of three
    Flood,
    /// Every kind of attack, spoofed floods and a bad user behind a NAT too
    Mixed,
    /// Days, clients and attacks are drawn; --days and --clients are the most
    Random,
}

impl From<Kind> for Preset {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Quiet => Self::Quiet,
            Kind::Flood => Self::Flood,
            Kind::Mixed => Self::Mixed,
            Kind::Random => Self::Random,
        }
    }
}

impl SimulateArgs {
    fn spec(&self) -> anyhow::Result<SiteSpec> {
        let spec = Preset::from(self.preset).spec(self.seed, self.days, self.clients);
        let start_unix_ms = u64::try_from(self.start.as_millisecond())
            .with_context(|| format!("`{}` is before 1970", self.start))?;
        // The maps are replaced at midnight, as by an upgrade: a table that kept every
        // source of every day would be listed whole again and again.
        let full_every = spec.sweeps_a_day();
        Ok(SiteSpec { start_unix_ms, attach_every_days: 1, full_every, ..spec })
    }
}

/// Writes the site.
pub fn simulate(args: &SimulateArgs) -> anyhow::Result<Answer> {
    let spec = args.spec()?;
    let sweeps = Sweeps::new(spec.clone()).map_err(hinted)?;
    let dir = args.out.display();
    claim(&args.out)?;
    let truth = truth_csv(&spec);
    fs::write(args.out.join(TRUTH), &truth)
        .with_context(|| format!("failed to write `{dir}/{TRUTH}`"))?;
    let written = write(&args.out, sweeps)
        .with_context(|| format!("failed to write segments below `{dir}`"))?;
    let Written { segments, rows, bytes } = written;
    info!(segments, rows, bytes, "site written");
    render::print(&format!("{dir}\n")).context("failed to print the directory")?;
    Ok(Answer::Yes)
}

fn hinted(error: SpecError) -> anyhow::Error {
    match error {
        SpecError::Start(_) => {
            anyhow::anyhow!("{error}\nhint: give --start as YYYY-MM-DDT00:00:00Z")
        }
        SpecError::TooMany { .. } => {
            anyhow::anyhow!("{error}\nhint: give less --days or --clients")
        }
        error => error.into(),
    }
}

/// Two sites in one directory would be read as one.
fn claim(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    let mut entries =
        fs::read_dir(dir).with_context(|| format!("failed to read `{}`", dir.display()))?;
    if entries.next().is_some() {
        bail!("`{}` is not empty\nhint: give --out a new directory", dir.display());
    }
    Ok(())
}

/// Who is who: one line for each source, sorted.
fn truth_csv(spec: &SiteSpec) -> String {
    let mut text = String::from("src,class,is_legitimate,is_attack\n");
    for (src, class) in spec.truth() {
        let line = format!("{src},{class},{},{}\n", class.is_legitimate(), class.is_attack());
        text.push_str(&line);
    }
    text
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Written {
    segments: u64,
    rows: u64,
    bytes: u64,
}

fn write(spool: &Path, mut sweeps: Sweeps) -> io::Result<Written> {
    let mut written = Written::default();
    let mut open: Option<(Writer, u64)> = None;
    while let Some((header, swept)) = sweeps.next_with_header() {
        let at_unix_ms = swept.close.at_unix_ms;
        let is_over = |(writer, from_unix_ms): &(Writer, u64)| {
            swept.is_first
                || at_unix_ms - from_unix_ms >= SEGMENT_MS
                || writer.bytes() >= SEGMENT_BYTES
        };
        if let Some((writer, _)) = open.take_if(|open| is_over(open)) {
            written.bytes += writer.bytes();
            writer.seal()?;
        }
        let (writer, _) = match &mut open {
            Some(open) => open,
            none => {
                written.segments += 1;
                none.insert((Writer::create(spool, header, swept.close.seq)?, at_unix_ms))
            }
        };
        writer.sweep(&swept)?;
        written.rows += swept.sources.len() as u64;
    }
    if let Some((writer, _)) = open {
        written.bytes += writer.bytes();
        writer.seal()?;
    }
    Ok(written)
}

#[cfg(test)]
mod tests;
