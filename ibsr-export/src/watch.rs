// SPDX-License-Identifier: MIT OR Apache-2.0
//! `s3 watch`: a pass whenever something was sealed, and every few minutes anyway.
//!
//! A notification only wakes; what to do is always read from the directory. So lost,
//! overflowing or spurious notifications cost at most the time to the next rescan.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use ibsr_cli::Answer;
use inotify::{Inotify, WatchMask, Watches};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::config::Config;
use crate::exporter::Exporter;
use crate::segments::Spool;
use crate::stop::Stop;

/// Segments that are sealed together are uploaded in one pass.
const SETTLE: Duration = Duration::from_millis(200);
/// Several hundred notifications of names as long as ours.
const BUFFER_BYTES: usize = 16 << 10;

/// `s3 watch`.
///
/// # Errors
/// What stops a pass, and failures of the spool or the state directory.
pub async fn watch(config: Config, rescan: Duration) -> anyhow::Result<Answer> {
    let stop = Stop::on_signals()?;
    let spool = config.spool.clone();
    let Some(mut exporter) = Exporter::open(config).await? else { return Ok(Answer::No) };
    let mut watcher = Watcher::new()?;
    tracing::info!(spool = %spool.display(), "watching");
    while !stop.is_set() {
        // Watches first: what is sealed after them wakes, what was before is found.
        watcher.add_scopes(&exporter.spool, &spool)?;
        let summary = exporter.pass(&stop).await?;
        if summary.is_news() {
            summary.log();
        }
        tokio::select! {
            () = stop.wait() => {}
            () = watcher.wait(rescan) => {}
        }
    }
    tracing::info!("stopped by signal");
    Ok(Answer::Yes)
}

/// Notifications about the spool. A thread of its own waits for them.
struct Watcher {
    watches: Watches,
    woken: Arc<Notify>,
}

impl Watcher {
    fn new() -> anyhow::Result<Self> {
        let inotify = Inotify::init().context("failed to start inotify")?;
        let watches = inotify.watches();
        let woken = Arc::new(Notify::new());
        let waker = Arc::clone(&woken);
        thread::Builder::new()
            .name("inotify".to_owned())
            .spawn(move || wake_on_events(inotify, &waker))
            .context("failed to start a thread")?;
        Ok(Self { watches, woken })
    }

    /// Watches the spool and every scope directory; those watched already stay as they are.
    fn add_scopes(&mut self, spool: &Spool, path: &Path) -> anyhow::Result<()> {
        let mask = WatchMask::CREATE | WatchMask::MOVED_TO | WatchMask::ONLYDIR;
        self.watches
            .add(path, mask)
            .with_context(|| format!("failed to watch `{}`", path.display()))?;
        let mask = WatchMask::MOVED_TO | WatchMask::ONLYDIR | WatchMask::DONT_FOLLOW;
        for scope in spool.scope_names().context("failed to list the spool")? {
            if let Err(error) = self.watches.add(path.join(&scope), mask) {
                tracing::debug!(scope, %error, "scope not watched: the rescan covers it");
            }
        }
        Ok(())
    }

    /// Returns after something happened, also before the call, or after `rescan`.
    async fn wait(&self, rescan: Duration) {
        if timeout(rescan, self.woken.notified()).await.is_ok() {
            sleep(SETTLE).await;
        }
    }
}

/// Wakes for every batch of notifications, an overflow included: what they say is not asked.
fn wake_on_events(mut inotify: Inotify, waker: &Notify) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match inotify.read_events_blocking(&mut buffer) {
            Ok(events) => drop(events),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                tracing::warn!(%error, "no more notifications: the rescan covers them");
                return;
            }
        }
        waker.notify_one();
    }
}
