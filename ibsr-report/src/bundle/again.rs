// SPDX-License-Identifier: MIT OR Apache-2.0
//! Computes a bundle once more from its inputs, with the settings of its manifest.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use ibsr_cli::parse_size;
use ibsr_evidence::{Host, Manifest};
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::fold::facts::UnitId;
use ibsr_replay::fold::id::StreamId;
use ibsr_replay::judge::report::Wanted;
use ibsr_replay::rules;
use ibsr_s3::S3Args;
use jiff::civil::Date;

use super::archive::Files;
use super::claims::{Basis, by_of, manifest};
use super::kind::Signed;
use super::{Fault, again_guard, compare, seal};
use crate::egress::threads;
use crate::fold::{Folding, fold_verified};
use crate::ingest::remote::{InputFormat, gather};
use crate::ingest::verify;
use crate::run::{TOOL, days_since_1970, judge};

/// Shortest and longest window, as on the command line.
const WINDOW_NS: std::ops::RangeInclusive<u64> = 1_000_000_000..=300_000_000_000;

/// What to compute from, and with what.
#[derive(Debug, Clone, clap::Args)]
pub struct AgainArgs {
    /// The segments that the report was made of; files, directories, s3://BUCKET/PREFIX
    ///
    /// In any packing and layout, as for `run`. Segments that are wholly later than the
    /// report are left out; any other that was not signed is a fault.
    #[arg(long, value_name = "INPUT", num_args = 1..)]
    pub inputs: Vec<PathBuf>,

    /// What the inputs are
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = InputFormat::Auto)]
    pub input_format: InputFormat,

    /// Threads that read and fold
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,

    /// Memory for sources, all threads together
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse_size)]
    pub memory: u64,

    /// Which S3.
    #[command(flatten)]
    pub s3: S3Args,
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Again {
    /// Segments that were signed and found.
    pub segments: u64,
    /// Segments that came later and were left out.
    pub later: u64,
    /// Whether everything was computed; not where an input is at fault.
    pub is_computed: bool,
    /// All that is wrong.
    pub faults: Vec<Fault>,
}

/// Holds the inputs against the manifest, then computes everything from them.
///
/// # Errors
/// When an input cannot be found or fetched, the manifest is of another version of this
/// program or asks for what this one does not do.
pub fn again(
    signed: &Signed,
    bundle: &Files,
    args: &AgainArgs,
    is_quiet: bool,
) -> anyhow::Result<Again> {
    ensure!(
        signed.tool() == TOOL,
        "failed to compute the report again: `{}` made it, and this is `{TOOL}`\nhint: verify with the version that made it",
        signed.tool()
    );
    let threads = threads(args.threads);
    let gathered = gather(&args.inputs, &args.s3, args.input_format)?;
    let found = verify::verify(&gathered.files, threads);
    let compare::Inputs { verified, later, faults } = compare::inputs(signed, found);
    let sources = verified.segments.iter().map(|segment| segment.contents.sha256.as_str());
    let flows = verified.flows.iter().map(|segment| segment.contents.sha256.as_str());
    let segments: BTreeSet<&str> = sources.chain(flows).collect();
    let mut again = Again { segments: segments.len() as u64, later, faults, is_computed: false };
    if !again.faults.is_empty() {
        return Ok(again);
    }
    let faults = match signed {
        Signed::Report(signed) => {
            Some(again_report(signed, bundle, verified, (args.memory, threads), is_quiet)?)
        }
        Signed::Guard(signed) => {
            again_guard::again(signed, bundle, verified, (args.memory, threads), is_quiet)?
        }
    };
    again.is_computed = faults.is_some();
    again.faults = faults.unwrap_or_default();
    Ok(again)
}

fn again_report(
    signed: &Manifest,
    bundle: &Files,
    verified: verify::Verified,
    (memory_bytes, threads): (u64, usize),
    is_quiet: bool,
) -> anyhow::Result<Vec<Fault>> {
    let folding = folding(signed, memory_bytes, is_quiet)?;
    let wanted = wanted(signed)?;
    let partial = fold_verified(verified, &folding, threads)?;
    let basis = Basis::of(&partial.facts)?;
    let report = judge(partial, &folding.rules, &wanted)?;
    let made = seal::of_report(&report);
    let mut faults = compare::files(&signed.files, bundle, &made);
    let claims = manifest(&report, &wanted, basis, signed.files.clone())?;
    faults.extend(compare::claims(signed, &claims));
    Ok(faults)
}

fn folding(signed: &Manifest, memory_bytes: u64, is_quiet: bool) -> anyhow::Result<Folding> {
    let window_ns = signed.settings.window_ns;
    ensure!(WINDOW_NS.contains(&window_ns), "the manifest's window of {window_ns} ns is none");
    let set =
        rules::parse(&signed.settings.rules).context("failed to read the rules of the manifest")?;
    let mut only = BTreeSet::new();
    for host in &signed.hosts {
        only.extend(units(host)?);
    }
    Ok(Folding {
        rules: Compiled::new(set, window_ns),
        days: BTreeSet::new(),
        only: Some(only),
        memory_bytes,
        is_history_counted: false,
        is_quiet,
    })
}

fn units(host: &Host) -> anyhow::Result<Vec<UnitId>> {
    let stream = StreamId {
        host: host.host.clone(),
        scope: host.scope.clone(),
        boot_id: host.boot_id.clone(),
        epoch: host.epoch.clone(),
    };
    let unit = |text: &String| {
        let day: Date = text.parse().with_context(|| format!("`{text}` is no day"))?;
        Ok(UnitId { stream: stream.clone(), day: days_since_1970(day)? })
    };
    host.days.iter().map(unit).collect()
}

fn wanted(signed: &Manifest) -> anyhow::Result<Wanted> {
    let settings = &signed.settings;
    let Some(by) = by_of(&settings.by) else {
        bail!("the manifest's order `{}` is none", settings.by)
    };
    let number = |value: u64, what| u32::try_from(value).with_context(|| format!("{what} {value}"));
    Ok(Wanted {
        tool: signed.tool.clone(),
        now: signed.created_at,
        top: number(settings.top, "the manifest's list is too long:")? as usize,
        by,
        look: number(settings.look, "the manifest's look is too far:")?,
        limit_ppb: signed.limits.clusters_ppb,
        connection_limit_ppb: signed.limits.connections_ppb,
    })
}
