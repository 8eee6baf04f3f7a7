// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass: list, plan, upload a few segments at a time, record, sum up.
//!
//! Nothing outlives a pass but the ledger, so `run` and `watch` are the same work once and
//! again, and being killed anywhere costs at most the segments in flight.

use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use anyhow::Context as _;
use ibsr_cli::Answer;
use ibsr_proto::ledger::{Entry, Event};
use ibsr_s3::S3Problem;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;

use crate::capability::Capability;
use crate::clock::unix_ms;
use crate::config::Config;
use crate::key;
use crate::ledger::{Filter, Ledger};
use crate::multipart::Notes;
use crate::outcome::Outcome;
use crate::plan::{Plan, plan};
use crate::prepare::{Prepared, prepare};
use crate::segment::SegmentError;
use crate::segments::{Found, Spool, Unfit};
use crate::state::StateDir;
use crate::summary::Summary;
use crate::upload::Uploader;
use crate::watch::Stop;

/// Segments in flight: enough to hide the round trip of a near bucket, few enough that one
/// part each (16 MiB) stays a small footprint.
const IN_FLIGHT: usize = 4;
/// Segments in a row that the bucket did not take before the pass leaves the rest.
const MAX_FAILED_IN_A_ROW: u32 = 3;
/// Time that segments in flight get to finish after SIGTERM; systemd waits 90 s.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// `s3 run`.
///
/// # Errors
/// What stops a pass, and failures of the spool or the state directory.
pub async fn run(config: Config) -> anyhow::Result<Answer> {
    let stop = Stop::on_signals()?;
    let Some(mut exporter) = Exporter::open(config).await? else { return Ok(Answer::No) };
    let summary = exporter.pass(&stop).await?;
    summary.log();
    Ok(summary.answer())
}

/// An exporter that holds the lock.
#[derive(Debug)]
pub struct Exporter {
    /// The spool.
    pub spool: Spool,
    worker: Arc<Worker>,
}

impl Exporter {
    /// Takes the lock, opens everything, asks for credentials once. `None` when another
    /// exporter is at work, which has been said.
    ///
    /// # Errors
    /// When the spool, the state directory or the credentials are unusable.
    pub async fn open(config: Config) -> anyhow::Result<Option<Self>> {
        let spool = open_spool(&config)?;
        let Some(state) = StateDir::lock(&config.state)? else {
            let state = config.state.display();
            tracing::error!(%state, "another exporter is at work on this state directory");
            return Ok(None);
        };
        let ledger = Ledger::open(state.path(), &config.filter()).with_context(|| {
            format!("failed to open the ledger in `{}`", config.state.display())
        })?;
        config.s3.check_credentials().await.map_err(stopped)?;
        let uploader = uploader(&config, &state).await;
        let bucket = &config.destination.bucket;
        uploader.notes.abort_left_over(&uploader.client, bucket).await;
        let worker = Worker { config, state, uploader, ledger: Mutex::new(ledger) };
        Ok(Some(Self { spool, worker: Arc::new(worker) }))
    }

    /// One pass over the spool.
    ///
    /// # Errors
    /// What the operator must change: then the summary has been said, and nothing is lost.
    pub async fn pass(&mut self, stop: &Stop) -> anyhow::Result<Summary> {
        let found = self.spool.scan().context("failed to list the spool")?;
        let plan = plan(found, self.worker.ledger().records());
        self.compact(&plan)?;
        let mut pass = Pass::new(&plan);
        let conflicts = plan.conflicts.into_iter().map(|found| (found, true));
        let mut queue = plan.waiting.into_iter().map(|found| (found, false)).chain(conflicts);
        let mut tasks = JoinSet::new();
        loop {
            while tasks.len() < IN_FLIGHT && !pass.is_over && !stop.is_set() {
                let Some((found, is_conflict)) = queue.next() else { break };
                match self.spool.open_segment(&found) {
                    Ok(file) => {
                        let worker = Arc::clone(&self.worker);
                        tasks.spawn(worker.job(file, found, is_conflict));
                    }
                    Err(unfit) => pass.skip(&found, &unfit),
                }
            }
            let Some(ended) = next_ended(&mut tasks, stop).await else { break };
            let (found, end) = ended.context("a worker ended early")?;
            self.worker.record(&found, &end)?;
            pass.note(&found, end);
        }
        pass.summary.left_over += (tasks.len() + queue.count()) as u64;
        self.worker.ledger().sync().context("failed to write the ledger")?;
        pass.finish()
    }

    fn compact(&self, plan: &Plan) -> anyhow::Result<()> {
        let lists = [&plan.waiting, &plan.conflicts, &plan.quarantined, &plan.uploaded];
        let segments = lists.into_iter().flatten();
        let live: HashSet<String> =
            segments.map(|found| format!("{}/{}", found.scope, found.name)).collect();
        self.worker.ledger().compact(&live).context("failed to rewrite the ledger")
    }
}

/// The next segment that ended; `None` when none is left, or none will end in time.
async fn next_ended<T: 'static>(
    tasks: &mut JoinSet<T>,
    stop: &Stop,
) -> Option<Result<T, tokio::task::JoinError>> {
    tokio::select! {
        ended = tasks.join_next() => ended,
        () = stop.wait() => tokio::time::timeout(STOP_GRACE, tasks.join_next()).await.ok().flatten(),
    }
}

fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    Spool::open(&config.spool).map_err(|errno| {
        let spool = config.spool.display();
        anyhow::anyhow!(
            "failed to open the spool `{spool}`: {errno}\nhint: give the reader's --spool; it \
             must be a directory, not a link"
        )
    })
}

async fn uploader(config: &Config, state: &StateDir) -> Uploader {
    let endpoint = config.s3.endpoint_url.as_deref().unwrap_or("default");
    Uploader {
        client: config.s3.client().await,
        destination: config.destination.clone(),
        options: config.object.clone(),
        timeout: config.s3.timeout,
        backoff: config.s3.backoff(),
        capability: Capability::load(&state.servers(), endpoint, &config.destination.bucket),
        is_probing: AtomicBool::new(false),
        notes: Notes { dir: state.multipart() },
    }
}

fn stopped(problem: S3Problem) -> anyhow::Error {
    anyhow::anyhow!("stopped, segments are kept: {}", problem.advice())
}

impl Config {
    /// Which ledger entries speak of this destination.
    pub fn filter(&self) -> Filter {
        Filter {
            bucket: Some(self.destination.bucket.clone()),
            key_root: key::key_root(&self.destination.prefix),
        }
    }
}

/// How the work on one segment ended.
#[derive(Debug)]
pub enum JobEnd {
    /// The bucket answered, or did not.
    Sent {
        /// What came of it.
        outcome: Outcome,
        /// Object key.
        key: String,
        /// SHA-256 of the segment.
        sha256: String,
        /// Bytes of the object.
        bytes_out: u64,
    },
    /// The file is at fault. When it was read.
    Damaged(SegmentError, u64),
    /// This host is at fault: disk, memory.
    Failed(anyhow::Error),
}

/// What segments in flight share.
#[derive(Debug)]
struct Worker {
    config: Config,
    state: StateDir,
    uploader: Uploader,
    ledger: Mutex<Ledger>,
}

impl Worker {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no holder panics")
    }

    async fn job(self: Arc<Self>, file: File, found: Found, is_conflict: bool) -> (Found, JobEnd) {
        let end = Arc::clone(&self).work(file, found.clone(), is_conflict).await;
        (found, end.unwrap_or_else(JobEnd::Failed))
    }

    async fn work(
        self: Arc<Self>,
        file: File,
        found: Found,
        is_conflict: bool,
    ) -> anyhow::Result<JobEnd> {
        // Before the first byte: a change after this moment makes a damaged file news.
        let read_ms = unix_ms();
        let prepared = match self.prepare(file, found.clone()).await? {
            Ok(prepared) => prepared,
            Err(error) if error.is_damage() => return Ok(JobEnd::Damaged(error, read_ms)),
            Err(error) => return Err(error.into()),
        };
        let known = if is_conflict { self.uploader.recheck(&prepared).await } else { None };
        let outcome = match known {
            Some(outcome) => outcome,
            None => {
                let sent_before = self.announce(&found, &prepared)?;
                self.uploader.upload(&prepared, sent_before).await
            }
        };
        let sha256 = prepared.segment_sha256();
        Ok(JobEnd::Sent { outcome, key: prepared.key, sha256, bytes_out: prepared.bytes })
    }

    async fn prepare(
        self: &Arc<Self>,
        file: File,
        found: Found,
    ) -> anyhow::Result<Result<Prepared, SegmentError>> {
        let this = Arc::clone(self);
        let work = move || {
            let Config { destination, compression, .. } = &this.config;
            prepare(&file, &found, &destination.prefix, *compression, &this.state.temp())
        };
        tokio::task::spawn_blocking(work).await.context("a worker ended early")
    }

    /// Writes down, durably, that the segment is about to be sent. Returns whether that stood
    /// there already.
    fn announce(&self, found: &Found, prepared: &Prepared) -> anyhow::Result<bool> {
        let sha256 = prepared.segment_sha256();
        let mut ledger = self.ledger();
        let record = ledger.records().get(&found.scope, &found.name);
        if record.is_some_and(|record| record.was_attempted(&sha256)) {
            return Ok(true);
        }
        let entry = self.entry(Event::Attempted, found, sha256, prepared.key.clone(), unix_ms());
        ledger.append(&entry, true).context("failed to write the ledger")?;
        Ok(false)
    }

    /// Writes down how it ended.
    fn record(&self, found: &Found, end: &JobEnd) -> anyhow::Result<()> {
        let entry = match end {
            JobEnd::Sent { outcome: Outcome::Uploaded { .. }, sha256, key, .. } => {
                self.entry(Event::Uploaded, found, sha256.clone(), key.clone(), unix_ms())
            }
            JobEnd::Sent { outcome: Outcome::Conflict { .. }, sha256, key, .. } => {
                self.entry(Event::Conflict, found, sha256.clone(), key.clone(), unix_ms())
            }
            JobEnd::Damaged(_, read_ms) => {
                let root = key::key_root(&self.config.destination.prefix);
                self.entry(Event::Quarantined, found, String::new(), root, *read_ms)
            }
            _ => return Ok(()),
        };
        self.ledger().append(&entry, false).context("failed to write the ledger")
    }

    fn entry(&self, event: Event, found: &Found, sha256: String, key: String, at: u64) -> Entry {
        Entry {
            v: 1,
            event,
            scope: found.scope.to_string(),
            name: found.name.to_string(),
            sha256,
            bytes: found.bytes,
            bucket: self.config.destination.bucket.clone(),
            key,
            unix_ms: at,
        }
    }
}

/// The running counts of a pass.
struct Pass {
    summary: Summary,
    bar: ProgressBar,
    failed_in_a_row: u32,
    is_over: bool,
    halt: Option<anyhow::Error>,
}

impl Pass {
    fn new(plan: &Plan) -> Self {
        let mut summary = Summary::start();
        summary.quarantined = plan.quarantined.len() as u64;
        let bytes = plan.waiting.iter().map(|found| found.bytes).sum();
        Self { summary, bar: bar(bytes), failed_in_a_row: 0, is_over: false, halt: None }
    }

    fn skip(&mut self, found: &Found, unfit: &Unfit) {
        self.summary.skipped += 1;
        let path = found.path();
        tracing::warn!(path = %path.display(), reason = %unfit, "segment skipped");
    }

    fn note(&mut self, found: &Found, end: JobEnd) {
        self.bar.inc(found.bytes);
        let path = found.path();
        let path = path.display();
        match end {
            JobEnd::Sent { outcome, key, bytes_out, .. } => {
                self.note_outcome(found, outcome, &key, bytes_out);
            }
            JobEnd::Damaged(error, _) => {
                self.summary.damaged += 1;
                tracing::warn!(%path, reason = %error, "segment is damaged: kept, not uploaded");
            }
            JobEnd::Failed(error) => {
                self.summary.left_over += 1;
                self.halt(error.context(format!("failed to export `{path}`")));
            }
        }
    }

    fn note_outcome(&mut self, found: &Found, outcome: Outcome, key: &str, bytes_out: u64) {
        let name = &found.name;
        match outcome {
            Outcome::Uploaded { was_there } => {
                self.failed_in_a_row = 0;
                *(if was_there {
                    &mut self.summary.was_there
                } else {
                    &mut self.summary.uploaded
                }) += 1;
                self.summary.bytes_in += found.bytes;
                self.summary.bytes_out += bytes_out;
                tracing::debug!(name, key, bytes = bytes_out, was_there, "segment uploaded");
            }
            Outcome::Conflict { is_compared } => {
                self.summary.conflicts += 1;
                tracing::error!(name, key, "{}", conflict(is_compared));
            }
            Outcome::LeftOver(problem) => {
                self.summary.left_over += 1;
                self.failed_in_a_row += 1;
                tracing::warn!(name, %problem, "segment left over");
                if self.failed_in_a_row == MAX_FAILED_IN_A_ROW {
                    self.is_over = true;
                    tracing::warn!("{}: the rest waits for the next run", problem.advice());
                }
            }
            Outcome::Stop(problem) => {
                self.summary.left_over += 1;
                self.halt(stopped(problem));
            }
        }
    }

    /// The first reason counts; segments in flight may bring the same one again.
    fn halt(&mut self, error: anyhow::Error) {
        self.is_over = true;
        self.halt.get_or_insert(error);
    }

    fn finish(self) -> anyhow::Result<Summary> {
        self.bar.finish_and_clear();
        let Some(error) = self.halt else { return Ok(self.summary) };
        self.summary.log();
        Err(error)
    }
}

fn conflict(is_compared: bool) -> &'static str {
    if is_compared {
        "key holds other content: segment kept, object untouched"
    } else {
        "key exists and may not be compared: segment kept\nhint: allow s3:GetObject on this prefix"
    }
}

/// Hidden by itself where stderr is no terminal.
fn bar(bytes: u64) -> ProgressBar {
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}";
    let style = ProgressStyle::with_template(style).expect("a valid template");
    ProgressBar::new(bytes).with_style(style)
}
