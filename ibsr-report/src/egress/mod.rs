// SPDX-License-Identifier: MIT OR Apache-2.0
//! `ibsr-report egress`: would this policy of the guard have taken away what applications use?
//!
//! `policy` reads the policy and whom it names, `rehearsal` reads what a guard said of it, `fold` holds the
//! flows against both, the library judges; `claims` makes the manifest that the guard is armed with.

mod args;
mod claims;
mod fold;
mod policy;
mod rehearsal;

use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;

use anyhow::{Context as _, ensure};
use ibsr_cli::{Answer, Format};
use ibsr_evidence::Digest;
use ibsr_replay::egress::model::{EgressReport, EgressSettings};
use ibsr_replay::egress::rehearsal::Wanted;
use ibsr_replay::egress::report::{About, DEFAULT, report};
use ibsr_replay::stats::alpha::alpha_ppb;
use jiff::Timestamp;

use self::fold::{choose, fold};
use crate::bundle::Sealer;
use crate::fold::note_origins;
use crate::ingest::remote::gather;
use crate::ingest::verify::{Verified, verify};
use crate::partial::{self, Terms};
use crate::progress::Progress;
use crate::render;
use crate::render::doc::egress::is_go;
use crate::run::TOOL;
use crate::{clock, outputs};

pub use args::{AFTER_HELP, EgressArgs};
pub use claims::{check_subject, manifest};
pub use policy::Loaded;

/// A report with what its bundle holds besides.
#[derive(Debug)]
pub struct Made {
    /// The report.
    pub report: EgressReport,
    /// Canonical text of the policy.
    pub policy: String,
    /// Every segment that was found.
    pub segments: partial::Facts,
    /// SHA-256 of what the policy names, as somebody looked it up.
    pub identities_sha256: Option<Digest>,
}

/// Makes the report.
///
/// # Errors
/// When the policy or an input cannot be read, or they are of several hosts or sensors.
pub fn egress(args: &EgressArgs, is_quiet: bool) -> anyhow::Result<Answer> {
    // Before the work of hours.
    let sealer = match (&args.bundle, &args.key) {
        (Some(dir), Some(key)) => Some(Sealer::new(dir, key)?),
        _ => None,
    };
    let subject = args.subject.as_deref().map(claims::read_subject).transpose()?;
    let loaded = Loaded::open(&args.policy, args.identities.as_ref())?;
    let settings = settings(args, &loaded)?;
    let threads = threads(args.input.threads);
    let gathered = gather(&args.input.inputs, &args.input.s3, args.input.input_format)?;
    let verified = verify(&gathered.files, threads);
    let now = args.output.now.unwrap_or_else(clock::now);
    let made = make(loaded, settings, now, verified, (args.memory, threads), is_quiet)?;
    if let (Some(sealer), Some(subject)) = (sealer, subject) {
        claims::check_subject(&subject, &made)?;
        let files = outputs::guard_files(&made.report, &made.policy);
        let items = claims::items(&files);
        let manifest = manifest(&made, subject, items)?;
        sealer.seal_guard(&manifest, files, made.report.decision.verdict)?;
    }
    if let Some(dir) = &args.out {
        write(&made, dir)?;
    }
    let text = match args.output.format {
        Format::Text => render::text::egress(&made.report),
        Format::Json => render::json::egress(&made.report),
    };
    render::print(&text).context("failed to write the report")?;
    Ok(if is_go(&made.report) { Answer::Yes } else { Answer::No })
}

/// Makes the report of segments that were verified: when it is asked for, and when a bundle is
/// computed again.
///
/// # Errors
/// As [`egress`].
pub fn make(
    loaded: Loaded,
    settings: EgressSettings,
    now: Timestamp,
    verified: Verified,
    (memory_bytes, threads): (u64, usize),
    is_quiet: bool,
) -> anyhow::Result<Made> {
    let chosen = choose(&verified.flows, settings.cgroup.as_deref())?;
    let mut segments = partial::Facts::new(Terms { window_ns: 0, rules: String::new() });
    for file in &verified.refused {
        let refused = (file.name.clone(), file.reason.clone());
        segments.refused.insert(file.origin.clone(), refused);
    }
    note_origins(&mut segments, &verified.segments, |_| false);
    let used = |contents: &crate::ingest::scan::Contents<_>| {
        chosen.segments.iter().any(|segment| segment.contents.sha256 == contents.sha256)
    };
    note_origins(&mut segments, &verified.flows, used);
    note_origins(&mut segments, &verified.verdicts, |contents| contents.header.host == chosen.host);
    let lines = chosen.segments.iter().map(|segment| segment.contents.footer.lines);
    let said = verified.verdicts.iter().map(|segment| segment.contents.footer.lines);
    let progress = Progress::new(lines.chain(said).sum(), is_quiet);
    let policy = loaded.text();
    let wanted = Wanted {
        host: chosen.host.clone(),
        cgroup: chosen.cgroup.clone(),
        policy_sha256: Digest::of(policy.as_bytes()).to_string(),
        identities_sha256: loaded.identities_sha256().to_string(),
    };
    let rehearsed = rehearsal::read(&verified.verdicts, wanted, &progress)?;
    let judges = (&loaded.twin, rehearsed.as_ref());
    let facts = fold(&chosen, judges, memory_bytes, threads, &progress)?;
    progress.end();
    let about = About {
        tool: TOOL.to_owned(),
        now,
        policy_sha256: Digest::of(policy.as_bytes()).to_string(),
        rules: loaded.rules(),
        default_action: loaded.policy.defaults.out.action.as_str().to_owned(),
        unresolved: loaded.unresolved(),
        host: chosen.host.clone(),
        cgroup: chosen.cgroup.clone(),
        settings,
    };
    let report = report(&about, &loaded.twin, &facts, segments.input(), rehearsed.as_ref());
    let identities_sha256 = loaded.known.is_identified.then(|| loaded.identities_sha256());
    Ok(Made { report, policy, segments, identities_sha256 })
}

fn settings(args: &EgressArgs, loaded: &Loaded) -> anyhow::Result<EgressSettings> {
    let rules = loaded.rules();
    for name in &args.intended {
        ensure!(
            name == DEFAULT || rules.iter().any(|rule| rule.name == *name),
            "the policy has no rule `{name}`\nhint: `ibsr-guard check` names its rules"
        );
    }
    let mut intended = args.intended.clone();
    intended.sort();
    intended.dedup();
    Ok(EgressSettings {
        policy: loaded.files.clone(),
        identities: loaded.known.identities.clone(),
        is_identified: loaded.known.is_identified,
        cgroup: args.cgroup.clone(),
        intended,
        look: args.look,
        alpha_ppb: alpha_ppb(args.look),
        limit_ppb: args.limit,
        connection_limit_ppb: args.connection_limit,
        budget_denials: args.budget_denials,
        top: args.output.top as u64,
    })
}

/// Threads that were asked for, or one for each CPU.
pub fn threads(asked: Option<NonZeroUsize>) -> usize {
    let own = asked.or_else(|| std::thread::available_parallelism().ok());
    own.map_or(1, NonZeroUsize::get)
}

fn write(made: &Made, dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| format!("failed to make `{}`", dir.display()))?;
    let mut files = outputs::guard_files(&made.report, &made.policy);
    files.insert("report.txt", render::text::egress(&made.report).into_bytes());
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::write(&path, bytes).with_context(|| format!("failed to write `{}`", path.display()))?;
    }
    Ok(())
}
