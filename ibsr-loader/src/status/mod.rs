// SPDX-License-Identifier: MIT OR Apache-2.0
//! `status`: what is attached, whether it counts, and what to do when it does not.
//!
//! Each kind of scope has a judge that turns what was found into words without asking anybody;
//! the rest reads and prints. Works without any capability; what the caller may not see is said.

mod cgroup;
mod xdp;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::pindir::is_pin_root;
use ibsr_cli::privilege;
use ibsr_cli::{Answer, Format};
use ibsr_proto::pins::Scope;
use serde::Serialize;

use crate::{out, pindir};

/// Schema of `--format json`.
const SCHEMA: &str = "ibsr-status/1";

/// The answer of `status`.
#[derive(Debug, Serialize)]
struct Report {
    schema: &'static str,
    pin_root: String,
    healthy: bool,
    scopes: Vec<ScopeReport>,
}

/// One scope.
#[derive(Debug, Default, Serialize)]
struct ScopeReport {
    scope: String,
    healthy: bool,
    /// What keeps it from counting, each with what to do.
    problems: Vec<Problem>,
    /// What is worth knowing and keeps it from nothing.
    notes: Vec<String>,
    #[serde(flatten)]
    facts: Facts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Problem {
    problem: String,
    hint: String,
}

/// What the pins say.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Facts {
    Xdp(xdp::Facts),
    Cgroup(cgroup::Facts),
}

impl Default for Facts {
    fn default() -> Self {
        Self::Xdp(xdp::Facts::default())
    }
}

impl Facts {
    fn rows(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Xdp(facts) => xdp::rows(facts),
            Self::Cgroup(facts) => cgroup::rows(facts),
        }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// When the pin root belongs to somebody else or cannot be read.
pub fn run(pin_root: &Path, only: Option<&Scope>, format: Format) -> Result<Answer> {
    privilege::drop_all()?;
    let scopes = match only {
        Some(scope) => vec![scope.clone()],
        None if is_pin_root(pin_root)? => pindir::scopes(pin_root)?,
        None => Vec::new(),
    };
    let scopes: Vec<ScopeReport> =
        scopes.iter().map(|scope| look(pin_root, scope)).collect::<Result<_>>()?;
    let healthy = !scopes.is_empty() && scopes.iter().all(|scope| scope.healthy);
    let report =
        Report { schema: SCHEMA, pin_root: pin_root.display().to_string(), healthy, scopes };
    out::line(&match format {
        Format::Text => render(&report),
        Format::Json => serde_json::to_string(&report).context("failed to write JSON")?,
    })?;
    Ok(if healthy { Answer::Yes } else { Answer::No })
}

fn look(pin_root: &Path, scope: &Scope) -> Result<ScopeReport> {
    match scope.is_cgroup() {
        true => cgroup::look(pin_root, scope),
        false => xdp::look(pin_root, scope),
    }
}

fn absent(scope: &Scope, has_prepared: bool, again: String) -> ScopeReport {
    let problem = match has_prepared {
        true => "an attach did not get to its end; nothing is attached",
        false => "nothing is attached",
    };
    let problems = vec![Problem { problem: problem.to_owned(), hint: again }];
    ScopeReport { scope: scope.to_string(), problems, ..ScopeReport::default() }
}

fn render(report: &Report) -> String {
    if report.scopes.is_empty() {
        return format!("nothing is attached under {}", report.pin_root);
    }
    let blocks: Vec<String> = report.scopes.iter().map(render_scope).collect();
    blocks.join("\n")
}

fn render_scope(report: &ScopeReport) -> String {
    let mut text =
        format!("{}: {}", report.scope, if report.healthy { "healthy" } else { "NOT HEALTHY" });
    for Problem { problem, hint } in &report.problems {
        let _infallible = write!(text, "\n  problem      {problem}\n  hint         {hint}");
    }
    for (name, value) in report.facts.rows() {
        let _infallible = write!(text, "\n  {name:<12} {value}");
    }
    for note in &report.notes {
        let _infallible = write!(text, "\n  note         {note}");
    }
    text
}
