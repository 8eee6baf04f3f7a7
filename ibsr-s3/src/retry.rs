// SPDX-License-Identifier: MIT OR Apache-2.0
//! How often and after how long a request is tried again: full-jitter exponential backoff,
//! bounded in number and in length. The schedule is a value; only [`with_retries`] waits.
//!
//! The SDK's own retries are off: they would hide from the exporter whether a request may
//! have been carried out, which decides what a later "exists already" means.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

use crate::problem::S3Problem;

/// Upper end of the first wait. S3 asks clients to start well below a second.
const FIRST: Duration = Duration::from_millis(250);
/// Upper end of any wait.
const LONGEST: Duration = Duration::from_secs(20);

/// The waits between the attempts of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    retries: u32,
}

impl Backoff {
    /// A schedule of `retries` attempts after the first one.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self { retries }
    }

    /// How long to wait after `failed` attempts have failed, or `None` when it is time to
    /// give up. `random` is uniform over all of `u64`; the wait is uniform in [0, ceiling).
    #[must_use]
    pub fn wait(&self, failed: u32, random: u64) -> Option<Duration> {
        if failed == 0 || failed > self.retries {
            return None;
        }
        let ceiling = FIRST.saturating_mul(1 << (failed - 1).min(16)).min(LONGEST);
        let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
        Some(Duration::from_nanos(u64::try_from(nanos).expect("at most the ceiling")))
    }

    /// Sleeps as [`Self::wait`] says. False when it is time to give up.
    pub async fn sleep(&self, failed: u32) -> bool {
        match self.wait(failed, random()) {
            None => false,
            Some(wait) => {
                tokio::time::sleep(wait).await;
                true
            }
        }
    }
}

/// A number that differs between hosts, so that a fleet does not come back in step. Nothing
/// secret depends on it: std seeds each hasher from the system's random numbers.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// Runs `request` until it succeeds, fails for good, or `backoff` gives up.
///
/// # Errors
/// The last [`S3Problem`].
pub async fn with_retries<T, F>(
    backoff: Backoff,
    mut request: impl FnMut() -> F,
) -> Result<T, S3Problem>
where
    F: Future<Output = Result<T, S3Problem>>,
{
    let mut failed = 0;
    loop {
        let problem = match request().await {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        failed += 1;
        if !problem.is_transient() || !backoff.sleep(failed).await {
            return Err(problem);
        }
        tracing::debug!(failed, %problem, "request tried again");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_its_limit_and_the_attempts_end() {
        let backoff = Backoff::new(12);
        let ceiling = |failed| backoff.wait(failed, u64::MAX).expect("a wait").as_millis();
        assert_eq!([ceiling(1), ceiling(2), ceiling(3)], [249, 499, 999]);
        assert_eq!(ceiling(12), 19_999);
        assert_eq!(backoff.wait(13, 0), None);
        assert_eq!(Backoff::new(0).wait(1, 0), None);
    }

    #[test]
    fn the_wait_is_spread_over_the_whole_range() {
        let backoff = Backoff::new(4);
        assert_eq!(backoff.wait(1, 0), Some(Duration::ZERO));
        assert_eq!(backoff.wait(1, 1 << 63), Some(FIRST / 2));
        assert_ne!(random(), random());
    }
}
