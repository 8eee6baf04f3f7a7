// SPDX-License-Identifier: MIT OR Apache-2.0
//! One pass: list, plan, upload a few segments at a time, record, sum up.
//!
//! Nothing outlives a pass but the ledger, so `run` and `watch` are the same work once and
//! again, and being killed anywhere costs at most the segments in flight.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use ibsr_cli::Answer;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::ledger::Ledger;
use crate::pass::{Pass, stopped};
use crate::plan::{Plan, plan};
use crate::segments::{Found, Spool};
use crate::state::StateDir;
use crate::stop::Stop;
use crate::summary::Summary;
use crate::upload::Uploader;
use crate::worker::Worker;

/// Segments in flight: enough to hide the round trip of a near bucket, few enough that one
/// part each (16 MiB) stays a small footprint.
const IN_FLIGHT: usize = 4;
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
        let uploader = Uploader::new(config.s3.client().await, &config, &state);
        let bucket = &config.destination.bucket;
        uploader.notes.abort_left_over(&uploader.client, bucket).await;
        let worker = Arc::new(Worker::new(config, state, uploader, ledger));
        Ok(Some(Self { spool, worker }))
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
        let segments = lists.iter().map(|list| list.len()).sum();
        let mut ledger = self.worker.ledger();
        if !ledger.is_bloated(segments) {
            return Ok(());
        }
        let path = |found: &Found| format!("{}/{}", found.scope, found.name);
        let live: HashSet<String> = lists.into_iter().flatten().map(path).collect();
        ledger.compact(&live).context("failed to rewrite the ledger")
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
