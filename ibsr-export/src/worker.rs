// SPDX-License-Identifier: MIT OR Apache-2.0
//! The work on one segment: prepare, announce in the ledger, upload, record. What segments in
//! flight share lives here; counting and stopping does not.

use std::fs::File;
use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::Context as _;
use ibsr_proto::ledger::{Entry, Event};

use crate::clock::unix_ms;
use crate::config::Config;
use crate::key;
use crate::ledger::Ledger;
use crate::outcome::Outcome;
use crate::prepare::{Prepared, prepare};
use crate::segment::SegmentError;
use crate::segments::Found;
use crate::state::StateDir;
use crate::upload::Uploader;

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
    /// The file cannot be read, which says nothing about others.
    Unreadable(SegmentError),
    /// The state directory or the process is at fault.
    Failed(anyhow::Error),
}

/// What segments in flight share.
#[derive(Debug)]
pub struct Worker {
    config: Config,
    state: StateDir,
    uploader: Uploader,
    ledger: Mutex<Ledger>,
}

impl Worker {
    /// What segments in flight share.
    pub fn new(config: Config, state: StateDir, uploader: Uploader, ledger: Ledger) -> Self {
        Self { config, state, uploader, ledger: Mutex::new(ledger) }
    }

    /// The ledger, for a moment.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().expect("no holder panics")
    }

    /// Works on one segment to its end.
    pub async fn job(
        self: Arc<Self>,
        file: File,
        found: Found,
        is_conflict: bool,
    ) -> (Found, JobEnd) {
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
            Err(error @ SegmentError::Read(_)) => return Ok(JobEnd::Unreadable(error)),
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
    ///
    /// # Errors
    /// When the ledger cannot be written.
    pub fn record(&self, found: &Found, end: &JobEnd) -> anyhow::Result<()> {
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
