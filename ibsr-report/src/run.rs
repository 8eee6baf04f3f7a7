// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge: reads what was asked for, folds, judges, writes what was asked for.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, ensure};
use clap::CommandFactory as _;
use ibsr_cli::{Answer, Format};
use ibsr_replay::fold::compiled::Compiled;
use ibsr_replay::judge::cover::Cover;
use ibsr_replay::judge::gather::{self, Gatherer};
use ibsr_replay::judge::report::{self, CONNECTION_LIMIT_PPB, LIMIT_PPB, Wanted};
use ibsr_replay::judge::streams::check_hosts;
use ibsr_replay::model::Report;
use ibsr_replay::rules::ast::RuleSet;
use ibsr_replay::rules::{self, family};
use ibsr_replay::talk::rows;
use jiff::civil::Date;

use crate::bundle::{self, Basis, Sealer};
use crate::cli::{
    Cli, Command, FoldArgs, JudgeArgs, MergeArgs, OutputArgs, RuleArgs, RunArgs, SourcesArgs,
};
use crate::compact::compact;
use crate::fold::{Folding, fold};
use crate::partial::{Partial, codec, runs};
use crate::{clock, outputs, render};

/// Memory of `sources`, which has no flag for it.
const SOURCES_MEMORY_BYTES: u64 = 1 << 30;
/// Program and version, as every report names them.
pub const TOOL: &str = concat!("ibsr-report ", env!("CARGO_PKG_VERSION"));
const DEFAULT_WINDOW_NS: u64 = 10_000_000_000;

/// Runs the command.
pub fn run(cli: Cli) -> anyhow::Result<Answer> {
    cli.log.init();
    let is_quiet = cli.log.quiet;
    match cli.command {
        Command::Run(args) => run_report(&args, is_quiet),
        Command::Fold(args) => run_fold(&args, is_quiet),
        Command::Merge(args) => run_merge(args),
        Command::Sources(args) => run_sources(&args, is_quiet),
        Command::Compact(args) => compact(&args),
        Command::Baseline(args) => crate::baseline::baseline(&args, is_quiet),
        Command::Egress(args) => crate::egress::egress(&args, is_quiet),
        Command::Simulate(args) => crate::simulate::simulate(&args),
        Command::Keygen(args) => bundle::keygen(&args),
        Command::Verify(args) => bundle::verify(&args, is_quiet),
        Command::Generate(generate) => generate.run(Cli::command()),
    }
}

fn run_report(args: &RunArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    // Before the work of hours: a key that cannot be read, a bundle that is there already.
    let sealer = Sealer::open(&args.judge)?;
    let folding = folding(&args.rules, &[], is_quiet)?;
    let partial = fold(&args.input, &folding)?;
    conclude(partial, &folding.rules, sealer, &args.judge, &args.output)
}

fn conclude(
    partial: Partial,
    rules: &Compiled,
    sealer: Option<Sealer>,
    judge_args: &JudgeArgs,
    output: &OutputArgs,
) -> anyhow::Result<Answer> {
    let basis = sealer.as_ref().map(|_| Basis::of(&partial.facts)).transpose()?;
    let wanted = wanted(judge_args, output);
    let report = judge(partial, rules, &wanted)?;
    if let (Some(sealer), Some(basis)) = (sealer, basis) {
        sealer.seal(&report, &wanted, basis)?;
    }
    show(&report, judge_args, output)
}

fn run_fold(args: &FoldArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let partial = fold(&args.input, &folding(&args.rules, &args.day, is_quiet)?)?;
    let is_whole = partial.facts.refused.is_empty();
    codec::write(partial, &args.output)?;
    Ok(if is_whole { Answer::Yes } else { Answer::No })
}

fn run_merge(args: MergeArgs) -> anyhow::Result<Answer> {
    let sealer = Sealer::open(&args.judge)?;
    let mut partials = args.partials.iter();
    let first = partials.next().context("no partial was named")?;
    let mut all = codec::open(first)?;
    for path in partials {
        let Partial { facts, runs } = codec::open(path)?;
        all.facts.join(facts).with_context(|| format!("failed to merge `{}`", path.display()))?;
        all.runs.extend(runs);
    }
    if let Some(path) = &args.output_partial {
        codec::write(all, path)?;
        return Ok(Answer::Yes);
    }
    let rules =
        rules::parse(&all.facts.terms.rules).context("failed to read the rules of the partials")?;
    let rules = Compiled::new(rules, all.facts.terms.window_ns);
    conclude(all, &rules, sealer, &args.judge, &args.output)
}

fn run_sources(args: &SourcesArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let folding = Folding {
        rules: Compiled::new(family::family(), DEFAULT_WINDOW_NS),
        days: BTreeSet::new(),
        only: None,
        memory_bytes: SOURCES_MEMORY_BYTES,
        is_history_counted: true,
        is_quiet,
    };
    let partial = fold(&args.input, &folding)?;
    ensure!(
        partial.facts.talks.is_empty() || !partial.facts.units.is_empty(),
        "failed to find a segment of an interface: segments of cgroups hold flows, and no source that a \
         rule could act on\nhint: name segments of an `xdp-` scope, or use `run`"
    );
    let wanted = Wanted {
        by: args.by.into(),
        look: 1,
        limit_ppb: LIMIT_PPB,
        connection_limit_ppb: CONNECTION_LIMIT_PPB,
        ..base(&args.output)
    };
    let report = judge(partial, &folding.rules, &wanted)?;
    let text = match args.output.format {
        Format::Text => render::text::sources(&report),
        Format::Json => render::json::sources(&report),
    };
    render::print(&text).context("failed to write the sources")?;
    Ok(if report.is_whole { Answer::Yes } else { Answer::No })
}

fn folding(args: &RuleArgs, days: &[Date], is_quiet: bool) -> anyhow::Result<Folding> {
    let window_ns = u64::try_from(args.window.as_nanos()).context("the window is too long")?;
    Ok(Folding {
        rules: Compiled::new(rule_set(args)?, window_ns),
        days: days.iter().map(|day| days_since_1970(*day)).collect::<anyhow::Result<_>>()?,
        only: None,
        memory_bytes: args.memory,
        is_history_counted: false,
        is_quiet,
    })
}

fn rule_set(args: &RuleArgs) -> anyhow::Result<RuleSet> {
    let mut set = match &args.rules {
        None => family::family(),
        Some(path) => {
            let text = fs::read_to_string(path)
                .with_context(|| format!("failed to read `{}`", path.display()))?;
            rules::parse(&text)
                .with_context(|| format!("failed to use the rules `{}`", path.display()))?
        }
    };
    set.allow.extend(args.allow.iter().map(ipnet::IpNet::trunc));
    set.allow.sort_unstable();
    set.allow.dedup();
    Ok(set)
}

/// Days from 1970-01-01 to `day`.
///
/// # Errors
/// When it is earlier.
pub fn days_since_1970(day: Date) -> anyhow::Result<u32> {
    let span = Date::constant(1970, 1, 1).until(day)?;
    u32::try_from(span.get_days()).with_context(|| format!("{day} is before 1970"))
}

fn base(output: &OutputArgs) -> Wanted {
    Wanted {
        tool: TOOL.to_owned(),
        now: output.now.unwrap_or_else(clock::now),
        top: output.top,
        by: gather::By::Syn,
        look: 1,
        limit_ppb: LIMIT_PPB,
        connection_limit_ppb: CONNECTION_LIMIT_PPB,
    }
}

fn wanted(judge: &JudgeArgs, output: &OutputArgs) -> Wanted {
    Wanted {
        look: judge.look,
        limit_ppb: judge.limit,
        connection_limit_ppb: judge.connection_limit,
        ..base(output)
    }
}

/// Makes the report of everything that was folded.
///
/// # Errors
/// When two hosts have one name, or sources cannot be read.
pub fn judge(partial: Partial, rules: &Compiled, wanted: &Wanted) -> anyhow::Result<Report> {
    let Partial { facts, runs } = partial;
    let talks = rows::talks(facts.talks.values());
    check_hosts(&facts.units)?;
    let days: BTreeSet<u32> = facts.units.keys().map(|id| id.day).collect();
    let days = days.into_iter().collect();
    let cover = Cover::of(&facts.units, &facts.talks);
    let mut gatherer = Gatherer::new(rules, days, cover, wanted.by, wanted.top);
    runs::merge(runs, |addr, source| {
        gatherer.add(addr, source);
        Ok(())
    })?;
    let report = report::report(rules, wanted, facts.input(), &facts.units, &gatherer.finish());
    Ok(Report { talks, ..report })
}

fn show(report: &Report, judge: &JudgeArgs, output: &OutputArgs) -> anyhow::Result<Answer> {
    if let Some(dir) = &judge.out {
        write(report, dir)?;
    }
    let text = match output.format {
        Format::Text => render::text::report(report),
        Format::Json => render::json::report(report),
    };
    render::print(&text).context("failed to write the report")?;
    Ok(answer(report))
}

/// Writes every file of the report into `dir`.
fn write(report: &Report, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    for (name, text) in outputs::files(report) {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}

const fn answer(report: &Report) -> Answer {
    if report.is_go() { Answer::Yes } else { Answer::No }
}
