// SPDX-License-Identifier: MIT OR Apache-2.0
//! The wish to stop, as every part of a pass can ask for it.

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Whether SIGTERM or SIGINT came.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Listens from now on.
    ///
    /// # Errors
    /// When no handler can be installed.
    pub fn on_signals() -> anyhow::Result<Self> {
        let mut term = signal(SignalKind::terminate()).context("failed to handle SIGTERM")?;
        let mut int = signal(SignalKind::interrupt()).context("failed to handle SIGINT")?;
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            sender.send_replace(true);
        });
        Ok(Self(receiver))
    }

    /// Whether it came.
    pub fn is_set(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns once it came.
    pub async fn wait(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|is_set| *is_set).await.is_err() {
            std::future::pending().await
        }
    }
}
