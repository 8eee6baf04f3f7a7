// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a pass has met so far: counts, progress, and whether it should go on. Says about each
//! segment what a person must know; decides nothing about the bucket.

use ibsr_s3::S3Problem;
use indicatif::{ProgressBar, ProgressStyle};

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::segments::{Found, Unfit};
use crate::summary::Summary;
use crate::worker::JobEnd;

/// Segments in a row that the bucket did not take before the pass leaves the rest.
const MAX_FAILED_IN_A_ROW: u32 = 3;

/// The running counts of a pass.
#[derive(Debug)]
pub struct Pass {
    /// Counts so far.
    pub summary: Summary,
    /// No further segment shall be started.
    pub is_over: bool,
    bar: ProgressBar,
    failed_in_a_row: u32,
    halt: Option<anyhow::Error>,
}

impl Pass {
    /// Nothing met yet.
    pub fn new(plan: &Plan) -> Self {
        let mut summary = Summary::start();
        summary.quarantined = plan.quarantined.len() as u64;
        let bytes = plan.waiting.iter().map(|found| found.bytes).sum();
        Self { summary, bar: bar(bytes), failed_in_a_row: 0, is_over: false, halt: None }
    }

    /// A segment that could not be opened.
    pub fn skip(&mut self, found: &Found, unfit: &Unfit) {
        *(match unfit {
            Unfit::Open(_) => &mut self.summary.left_over,
            _ => &mut self.summary.skipped,
        }) += 1;
        let path = found.path();
        tracing::warn!(path = %path.display(), reason = %unfit, "segment skipped");
    }

    /// A segment whose work ended.
    pub fn note(&mut self, found: &Found, end: JobEnd) {
        let bar = self.bar.clone();
        bar.suspend(|| self.say(found, end));
        bar.inc(found.bytes);
    }

    fn say(&mut self, found: &Found, end: JobEnd) {
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
            JobEnd::Unreadable(error) => {
                self.summary.left_over += 1;
                tracing::warn!(%path, reason = %error, "segment left over");
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

    /// The counts, or what the operator must change; in that case the counts have been said.
    ///
    /// # Errors
    /// The first reason to stop.
    pub fn finish(self) -> anyhow::Result<Summary> {
        self.bar.finish_and_clear();
        let Some(error) = self.halt else { return Ok(self.summary) };
        self.summary.log();
        Err(error)
    }
}

/// The error that ends a run for good.
pub fn stopped(problem: S3Problem) -> anyhow::Error {
    anyhow::anyhow!("stopped, segments are kept: {}", problem.advice())
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn found() -> Found {
        let (scope, name) = (Arc::from("xdp-eth0"), "a.jsonl".into());
        Found { scope, name, bytes: 9, modified_ms: 0, changed_ms: 0 }
    }

    fn note(pass: &mut Pass, outcome: Outcome) {
        let (key, sha256) = ("k".to_owned(), "00".to_owned());
        pass.note(&found(), JobEnd::Sent { outcome, key, sha256, bytes_out: 4 });
    }

    /// E2: a dead server ends the pass soon; one key that always fails does not.
    #[test]
    fn failures_in_a_row_end_the_pass_and_scattered_ones_do_not() {
        let mut pass = Pass::new(&Plan::default());
        for _ in 0..10 {
            note(&mut pass, Outcome::LeftOver(S3Problem::Timeout));
            note(&mut pass, Outcome::LeftOver(S3Problem::Timeout));
            note(&mut pass, Outcome::Uploaded { was_there: false });
        }
        assert!(!pass.is_over);
        for _ in 0..MAX_FAILED_IN_A_ROW {
            note(&mut pass, Outcome::LeftOver(S3Problem::Timeout));
        }
        assert!(pass.is_over);
        let summary = pass.finish().expect("no reason to stop for good");
        assert_eq!((summary.left_over, summary.uploaded, summary.bytes_out), (23, 10, 40));
    }

    /// E1: segments in flight bring the same refusal; the first is what is said.
    #[test]
    fn the_first_reason_to_stop_is_the_one_that_is_said() {
        let mut pass = Pass::new(&Plan::default());
        note(&mut pass, Outcome::Stop(S3Problem::NoSuchBucket("HTTP 404".into())));
        note(&mut pass, Outcome::Stop(S3Problem::AccessDenied("HTTP 403".into())));
        assert!(pass.is_over);
        let said = pass.finish().expect_err("a reason").to_string();
        assert!(said.contains("does not exist") && said.contains("\nhint: "), "{said}");
    }

    /// A file that this user may not open waits for someone to repair that; one that is gone
    /// does not.
    #[test]
    fn what_cannot_be_opened_is_left_over_and_what_is_gone_is_not() {
        let mut pass = Pass::new(&Plan::default());
        pass.skip(&found(), &Unfit::Vanished);
        pass.skip(&found(), &Unfit::Open(rustix::io::Errno::ACCESS));
        assert_eq!((pass.summary.skipped, pass.summary.left_over), (1, 1));
    }
}
