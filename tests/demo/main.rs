// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make demo`: the whole path from packets to the report, and from a policy to a guard that is
//! armed with it, on real traffic, in under a minute.
//!
//! Two namespaces, a web server, real clients beside a SYN flood and a port scan; behind it
//! applications, of which some do what they should not; the four programs as a user would
//! start them, an S3 server on loopback, then one report.
//!
//! What the report says of every source is compared with what tcpdump saw leave the senders;
//! its rules must act on the attackers and on nobody else, and its verdict must be that this
//! was too little to judge by. What it says of every application is compared with what the
//! application says of itself; what was planted must be flagged, and nothing else.
//!
//! The last act is the guard's. It rehearses on that traffic, and must count what the applications
//! did. Half a minute is refused as evidence. What a simulated week gives arms it for a share of
//! the clients: their new connections and names are denied, sessions that stand go on, and when
//! all of user space is killed everything passes within the lease. Everything but the files is
//! gone at the end.

mod acts;
mod apps;
mod capture;
mod check;
mod enforce;
mod guard;
mod outside;
mod stage;
mod talks;
mod traffic;
mod week;
mod world;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context as _, Result, bail, ensure};
use comfy_table::Table;
use ibsr_cli::{Answer, finish};
use ibsr_tests::cgroup::mount_point;
use serde_json::Value;

use crate::apps::Done;
use crate::guard::Guard;
use crate::stage::Stage;

fn main() -> ExitCode {
    finish("demo", run())
}

#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("namespaces and XDP need root\nhint: run `sudo make demo`");
    }
    let start = Instant::now();
    let files = files_dir()?;
    let stage = Stage::build(&files)?;
    let mut apps = apps::Apps::start(&stage.world.pair, &stage.world.scope, &files)?;
    stage.attach()?;
    stage.learn(&mut apps)?;
    let guard = guard::Guard::rehearse(&stage)?;
    let capture = capture::Capture::start(&stage.world, &files)?;
    let readers = stage.start_readers()?;
    let done = traffic::run_all(&stage.world, &mut apps)?;
    let truth = capture.finish(&stage.world)?;
    stage.seal(readers)?;
    let rehearsed = guard.status()?;
    stage.export()?;
    let out = stage.report()?;
    let (report, loosest) = (read(&out)?, read(&stage.report_at_the_loosest()?)?);
    let page = out.join("report.html");
    ensure!(fs::metadata(&page).is_ok_and(|page| page.len() > 0), "there is no `report.html`");
    let counts = check::counts(&truth, &report)?;
    let actions = check::actions(&report, &loosest)?;
    let missing = check::verdict(&report)?;
    let talks = talks::compare(&done, &truth, &report)?;
    let tunnelled = talks::tunnelled(&stage.back_segments())?;
    let act = last_act(&stage, guard, &rehearsed, &done)?;
    drop(apps);
    stage.detach()?;
    heading("what tcpdump saw leave the clients, and what the report counted");
    println!("{counts}");
    heading("whom the default rules would have acted on");
    println!("{actions}");
    heading("what the applications did, by their own count, and what the report says of them");
    println!("{talks}");
    println!("{tunnelled}");
    heading("the verdict is INSUFFICIENT_EVIDENCE, as it must be after half a minute");
    println!("{missing}");
    heading("what the guard did, armed for a share of the clients");
    println!("{act}");
    println!("the files are in {} ({} s)", files.display(), start.elapsed().as_secs());
    println!("\nopen {}", page.display());
    Ok(Answer::Yes)
}

/// From the rehearsal to the end of a lease: evidence of half a minute is refused, that of a week
/// arms a canary.
#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
fn last_act(
    stage: &Stage,
    guard: Guard<'_>,
    rehearsed: &Value,
    done: &BTreeMap<&'static str, Done>,
) -> Result<Table> {
    heading("ibsr-report: what the policy would have taken away, as evidence for the guard");
    guard.prepare_evidence()?;
    let egress = guard.egress(&stage.back_segments(), "evidence", 1)?;
    let contacts = done.values().flatten();
    let to_denied = contacts.filter(|(contact, _)| {
        contact.name.as_deref().is_some_and(|name| guard::DENIED.contains(&name))
    });
    let connections = to_denied.map(|(_, count)| count.connections).sum();
    println!("{}", check::rehearsal(rehearsed, &egress, connections)?);
    check::egress_verdict(&egress, "insufficient_evidence")?;
    heading("half a minute is no evidence: the guard refuses to be armed with it");
    guard.arm("evidence", enforce::LEASE, 2)?;
    heading("the same report on a week of this host, which is simulated");
    let week = stage.files.join("week");
    let scope = &stage.world.scope;
    let below = scope.path().strip_prefix(mount_point()).context("a cgroup is elsewhere")?;
    week::write(&week, (scope.id(), &format!("/{}", below.display())))?;
    let egress = guard.egress(&week, "evidence-of-a-week", 0)?;
    check::egress_verdict(&egress, "ready_canary")?;
    println!(
        "the verdict is READY_CANARY: {} % of the clients",
        egress["decision"]["canary_percent"]
    );
    let seen = enforce::run(stage, &guard, "evidence-of-a-week")?;
    check::enforced(&seen, &guard.status()?)?;
    guard.disarm()?;
    Ok(enforce::as_table(&seen))
}

/// The report in `dir` as a program reads it.
fn read(dir: &Path) -> Result<serde_json::Value> {
    let json = fs::read(dir.join("report.json")).context("failed to read `report.json`")?;
    serde_json::from_slice(&json).context("`report.json` is not JSON")
}

/// A fresh directory that stays: the first argument, or one under the temporary directory.
fn files_dir() -> Result<PathBuf> {
    let dir = match std::env::args_os().nth(1) {
        Some(dir) => PathBuf::from(dir),
        None => std::env::temp_dir().join(format!("ibsr-demo-{}", std::process::id())),
    };
    fs::create_dir_all(&dir).with_context(|| format!("failed to create `{}`", dir.display()))?;
    let is_empty = fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_none());
    ensure!(is_empty, "`{}` is not empty: an earlier run would be counted again", dir.display());
    std::path::absolute(&dir).with_context(|| format!("failed to resolve `{}`", dir.display()))
}

/// Prints a heading, so that the reader of the terminal knows whose words follow.
#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
fn heading(text: &str) {
    println!("\n\u{2500}\u{2500} {text}");
}

/// Prints a command the way a user would type it, with the build directory left out.
#[expect(clippy::print_stdout, reason = "the demo is what it prints")]
fn show_command(program: &Path, args: &[String]) {
    let name = program.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    println!("$ {name} {}", args.join(" "));
}
