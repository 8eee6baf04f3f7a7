// SPDX-License-Identifier: MIT OR Apache-2.0
//! The edge: finds and reads files, folds them, writes what was asked for.

use std::fs;
use std::num::NonZeroUsize;

use anyhow::Context as _;
use clap::CommandFactory as _;
use ibsr_cli::{Answer, Format};
use ibsr_proto::snapshot::Row;
use tracing::warn;

use crate::cli::{By, Cli, Command, InputArgs, OutputArgs, RunArgs, SourcesArgs};
use crate::ingest::discover::Found;
use crate::ingest::lines::{Line, Lines, MAX_LINE_BYTES};
use crate::ingest::plan::{Plan, Stream, plan};
use crate::ingest::remote::gather;
use crate::ingest::scan::{ScanError, Segment, scan};
use crate::progress::Progress;
use crate::compact::compact;
use crate::{clock, parallel, render};
use ibsr_replay::v1::fold::merge::{MAX_EXAMPLES, Partial};
use ibsr_replay::v1::fold::stream::{Settings, StreamFold};
use ibsr_replay::v1::assemble::{Wanted, assemble};
use ibsr_replay::v1::model::{Input, Refused, Report};

/// Runs the command.
pub fn run(cli: Cli) -> anyhow::Result<Answer> {
    cli.log.init();
    let is_quiet = cli.log.quiet;
    match cli.command {
        Command::Run(args) => report(&args, is_quiet),
        Command::Sources(args) => sources(&args, is_quiet),
        Command::Compact(args) => compact(&args),
        Command::Generate(generate) => generate.run(Cli::command()),
    }
}

fn report(args: &RunArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let wanted = wanted(args.settings(), &args.output, By::Syn);
    let report = read(&args.input, &wanted, is_quiet)?;
    if let Some(dir) = &args.out {
        let write = |name: &str, format| {
            let path = dir.join(name);
            fs::write(&path, render::report(&report, format))
                .with_context(|| format!("failed to write `{}`", path.display()))
        };
        fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
        write("report.txt", Format::Text)?;
        write("report.json", Format::Json)?;
    }
    render::print(&render::report(&report, args.output.format))
        .context("failed to write the report")?;
    Ok(answer(&report))
}

fn sources(args: &SourcesArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    let wanted = wanted(SourcesArgs::settings(), &args.output, args.by);
    let report = read(&args.input, &wanted, is_quiet)?;
    render::print(&render::sources(&report, args.output.format))
        .context("failed to write the sources")?;
    Ok(answer(&report))
}

fn wanted(settings: Settings, output: &OutputArgs, by: By) -> Wanted {
    Wanted { settings, top: output.top, by: by.into(), now: output.now.unwrap_or_else(clock::now) }
}

const fn answer(report: &Report) -> Answer {
    if report.is_whole { Answer::Yes } else { Answer::No }
}

fn read(args: &InputArgs, wanted: &Wanted, is_quiet: bool) -> anyhow::Result<Report> {
    let threads = args
        .threads
        .or_else(|| std::thread::available_parallelism().ok())
        .map_or(1, NonZeroUsize::get);
    let gathered = gather(&args.inputs, &args.s3)?;
    let (segments, mut input) = verify(&gathered.files, threads);
    let Plan { streams, copies } = plan(segments)?;
    let used = || streams.iter().flat_map(|stream| &stream.segments);
    input.segments_copied = copies;
    input.segments_used = used().count() as u64;
    input.bytes = used().map(|segment| segment.contents.bytes).sum();
    let progress =
        Progress::new(used().map(|segment| segment.contents.footer.lines).sum(), is_quiet);
    let mut all = Partial::default();
    for folded in parallel::map(&streams, threads, |s| fold(s, wanted.settings, &progress)) {
        all.append(folded?);
    }
    progress.end();
    Ok(assemble(input, all, wanted))
}

/// First pass: which files are whole.
pub fn verify(files: &[Found], threads: usize) -> (Vec<Segment>, Input) {
    let scanned = parallel::map(files, threads, |file| {
        file.place.open().map_err(ScanError::from).and_then(scan)
    });
    let mut input = Input { segments_found: files.len() as u64, ..Input::default() };
    let mut segments = Vec::new();
    for (Found { origin, place, name }, scanned) in files.iter().cloned().zip(scanned) {
        match scanned {
            Ok(contents) => segments.push(Segment { place, name, contents }),
            Err(error) => {
                if input.segments_refused < MAX_EXAMPLES as u64 {
                    warn!(path = origin, reason = %error, "segment not used");
                }
                input.segments_refused += 1;
                input.refused.push(Refused { segment: name, reason: error.to_string() });
            }
        }
    }
    input.refused.sort();
    input.refused.truncate(MAX_EXAMPLES);
    (segments, input)
}

/// Second pass: the rows of one stream.
fn fold(stream: &Stream, settings: Settings, progress: &Progress) -> anyhow::Result<Partial> {
    let mut fold = StreamFold::new(stream.id.clone(), settings);
    for segment in &stream.segments {
        fold_segment(&mut fold, segment, progress)
            .with_context(|| format!("failed to read `{}` again", segment.name))?;
    }
    Ok(fold.finish())
}

fn fold_segment(
    fold: &mut StreamFold,
    segment: &Segment,
    progress: &Progress,
) -> anyhow::Result<()> {
    fold.begin(&segment.name, &segment.contents.header);
    let mut lines = Lines::new(segment.place.open()?);
    while let Some(line) = lines.next()? {
        match line {
            Line::Whole(text) => {
                let row = Row::from_line(text);
                let number = lines.number();
                progress.line(number);
                match row {
                    Ok(Row::Header(_)) if number == 1 => {}
                    Ok(row) => fold.add(number, row),
                    Err(error) => fold.reject(number, error.to_string()),
                }
            }
            Line::Part { is_first: true, .. } => {
                let number = lines.number();
                fold.reject(number, format!("longer than {MAX_LINE_BYTES} bytes"));
            }
            Line::Part { .. } => {}
        }
    }
    progress.file(lines.number());
    fold.end();
    Ok(())
}
