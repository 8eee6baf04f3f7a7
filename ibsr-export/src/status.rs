// SPDX-License-Identifier: MIT OR Apache-2.0
//! `s3 status` and `--dry-run`: what the spool and the ledger say, without the network and
//! without writing anything. The only place of this program that prints to stdout.

use std::fmt::Write as _;
use std::io::{self, Write as _};

use anyhow::Context as _;
use ibsr_cli::{Answer, Format, format_bytes};
use serde::Serialize;

use crate::cli::StatusArgs;
use crate::clock::unix_ms;
use crate::config::Config;
use crate::key;
use crate::ledger::{Filter, Records};
use crate::plan::{Plan, plan};
use crate::segment::peek_last_unix_ms;
use crate::segments::{Found, Spool};
use crate::summary::CONFLICT;

/// Names that are listed of what needs a person.
const MAX_NAMES: usize = 20;

/// `s3 status`.
///
/// # Errors
/// When the spool or the ledger cannot be read.
pub fn status(args: &StatusArgs) -> anyhow::Result<Answer> {
    let filter = Filter {
        bucket: args.bucket.clone(),
        key_root: match &args.prefix {
            Some(prefix) => key::key_root(&key::clean_prefix(prefix)?),
            None => String::new(),
        },
    };
    let (_, plan) = load(&args.local.spool, &args.local.state, &filter)?;
    let status = Status::of(&plan, unix_ms());
    print(&match args.format {
        Format::Text => status.text(),
        Format::Json => serde_json::to_string(&status)? + "\n",
    })?;
    Ok(status.answer())
}

/// `s3 run --dry-run`.
///
/// # Errors
/// When the spool or the ledger cannot be read.
pub fn dry_run(config: &Config) -> anyhow::Result<Answer> {
    let (spool, plan) = load(&config.spool, &config.state, &config.filter())?;
    for found in plan.waiting.iter().chain(&plan.conflicts) {
        let Ok(file) = spool.open_segment(found) else { continue };
        let unix_ms = peek_last_unix_ms(&file)
            .with_context(|| format!("failed to read `{}`", found.path().display()))?;
        let (destination, name) = (&config.destination, found.segment_name());
        let key = key::object_key(&destination.prefix, &name, unix_ms, config.compression);
        print(&format!("{} bytes to s3://{}/{key}\n", found.bytes, destination.bucket))?;
    }
    Ok(Answer::Yes)
}

fn load(
    spool: &std::path::Path,
    state: &std::path::Path,
    filter: &Filter,
) -> anyhow::Result<(Spool, Plan)> {
    let mut opened = Spool::open(spool)
        .with_context(|| format!("failed to open the spool `{}`", spool.display()))?;
    let records = Records::load(state, filter)
        .with_context(|| format!("failed to read the ledger in `{}`", state.display()))?;
    let found = opened.scan().context("failed to list the spool")?;
    Ok((opened, plan(found, &records)))
}

fn print(text: &str) -> anyhow::Result<()> {
    io::stdout().write_all(text.as_bytes()).context("failed to write to stdout")
}

/// What `status` says. The JSON form is stable.
#[derive(Debug, Serialize)]
struct Status {
    schema: &'static str,
    waiting: Group,
    uploaded: Group,
    conflict: Group,
    quarantined: Group,
}

/// Segments of one kind.
#[derive(Debug, Default, Serialize)]
struct Group {
    segments: usize,
    bytes: u64,
    oldest_age_s: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    first_names: Vec<String>,
}

impl Group {
    fn of(segments: &[Found], now_ms: u64) -> Self {
        let oldest = segments.iter().map(|found| found.modified_ms).min();
        Self {
            segments: segments.len(),
            bytes: segments.iter().map(|found| found.bytes).sum(),
            oldest_age_s: oldest.map(|oldest| now_ms.saturating_sub(oldest) / 1000),
            first_names: Vec::new(),
        }
    }

    fn named(segments: &[Found], now_ms: u64) -> Self {
        let names = segments.iter().take(MAX_NAMES);
        let first_names = names.map(|found| found.path().display().to_string()).collect();
        Self { first_names, ..Self::of(segments, now_ms) }
    }

    fn line(&self, title: &str, text: &mut String) {
        let age = self.oldest_age_s.map(|age| format!(", oldest {age} s")).unwrap_or_default();
        let (segments, bytes) = (self.segments, format_bytes(self.bytes));
        writeln!(text, "{title:<12} {segments:>8} segments, {bytes}{age}").expect("a String");
        for name in &self.first_names {
            writeln!(text, "  {name}").expect("a String");
        }
    }
}

impl Status {
    fn of(plan: &Plan, now_ms: u64) -> Self {
        Self {
            schema: "ibsr-export-status/1",
            waiting: Group::of(&plan.waiting, now_ms),
            uploaded: Group::of(&plan.uploaded, now_ms),
            conflict: Group::named(&plan.conflicts, now_ms),
            quarantined: Group::named(&plan.quarantined, now_ms),
        }
    }

    fn answer(&self) -> Answer {
        match (self.conflict.segments + self.quarantined.segments, self.waiting.segments) {
            (0, 0) => Answer::Yes,
            (0, _) => Answer::No,
            _ => CONFLICT,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        self.waiting.line("waiting", &mut text);
        self.uploaded.line("uploaded", &mut text);
        self.conflict.line("conflict", &mut text);
        self.quarantined.line("quarantined", &mut text);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found(modified_ms: u64) -> Found {
        Found {
            scope: Arc::from("xdp-eth0"),
            name: "a.jsonl".into(),
            bytes: 2048,
            modified_ms,
            changed_ms: modified_ms,
        }
    }

    /// Golden: monitoring reads this.
    #[test]
    fn the_json_form_is_stable() {
        let plan = Plan {
            waiting: vec![found(9_000), found(4_000)],
            quarantined: vec![found(0)],
            ..Plan::default()
        };
        let status = Status::of(&plan, 10_000);
        assert_eq!(
            serde_json::to_string(&status).expect("JSON"),
            concat!(
                r#"{"schema":"ibsr-export-status/1","#,
                r#""waiting":{"segments":2,"bytes":4096,"oldest_age_s":6},"#,
                r#""uploaded":{"segments":0,"bytes":0,"oldest_age_s":null},"#,
                r#""conflict":{"segments":0,"bytes":0,"oldest_age_s":null},"#,
                r#""quarantined":{"segments":1,"bytes":2048,"oldest_age_s":10,"#,
                r#""first_names":["xdp-eth0/a.jsonl"]}}"#
            )
        );
        assert_eq!(status.answer(), CONFLICT);
        assert!(status.text().starts_with("waiting             2 segments, 4.0 KiB, oldest 6 s\n"));
    }

    #[test]
    fn the_answer_is_whether_anything_waits() {
        let waiting = Plan { waiting: vec![found(0)], ..Plan::default() };
        assert_eq!(Status::of(&waiting, 0).answer(), Answer::No);
        assert_eq!(Status::of(&Plan::default(), 0).answer(), Answer::Yes);
    }
}
