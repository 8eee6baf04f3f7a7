// SPDX-License-Identifier: MIT OR Apache-2.0
//! Sends one prepared segment and carries out what [`crate::outcome`] decides.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption, StorageClass};
use ibsr_s3::{Backoff, Client, S3Problem, explain};

use crate::capability::{Capability, Conditional};
use crate::config::{Config, Destination, ObjectOptions};
use crate::multipart::{self, Multipart, Notes};
use crate::outcome::{Next, Outcome, Stage, after_head, after_put, may_have_stored};
use crate::prepare::Prepared;
use crate::state::StateDir;

/// Metadata of every object: SHA-256 of the segment before compression.
const SHA256_METADATA: &str = "ibsr-sha256";
/// A transfer may be as slow as this before it counts as stalled: a bad mobile uplink.
const SLOWEST_BYTES_PER_S: u64 = 64 << 10;
/// Larger bodies are not sent twice just to learn about the server.
const MAX_PROBE_BYTES: u64 = 16 << 20;

/// Uploads to one destination.
#[derive(Debug)]
pub struct Uploader {
    /// Client without retries of its own.
    pub client: Client,
    /// Where to.
    pub destination: Destination,
    /// What each object gets.
    pub options: ObjectOptions,
    /// How often and when to try again.
    pub backoff: Backoff,
    /// Notes of started multipart uploads.
    pub notes: Notes,
    timeout: Duration,
    capability: Capability,
    is_probing: AtomicBool,
}

impl Uploader {
    /// Uploads with `client` as `config` says, remembering in `state`.
    pub fn new(client: Client, config: &Config, state: &StateDir) -> Self {
        let bucket = &config.destination.bucket;
        Self {
            client,
            destination: config.destination.clone(),
            options: config.object.clone(),
            backoff: config.s3.backoff(),
            notes: Notes { dir: state.multipart() },
            timeout: config.s3.timeout,
            capability: Capability::load(&state.servers(), &config.s3.endpoint(), bucket),
            is_probing: AtomicBool::new(false),
        }
    }

    /// Uploads `segment`. `sent_before`: this content may have been sent to this key.
    pub async fn upload(&self, segment: &Prepared, mut sent_before: bool) -> Outcome {
        let mut failed = 0;
        loop {
            let problem = match self.attempt(segment, &mut sent_before).await {
                Ok(outcome) => return outcome,
                Err(problem) => problem,
            };
            failed += 1;
            tracing::debug!(key = segment.key, %problem, failed, "upload attempt failed");
            // The parts of a large object were each tried again already.
            if segment.bytes > multipart::THRESHOLD_BYTES || !self.backoff.sleep(failed).await {
                return Outcome::LeftOver(problem);
            }
        }
    }

    /// Asks what a key that was in conflict holds now. `None`: nothing any more.
    pub async fn recheck(&self, segment: &Prepared) -> Option<Outcome> {
        let answer = ibsr_s3::with_retries(self.backoff, || self.head(segment)).await;
        match after_head(answer, &segment.segment_sha256(), Stage::Before(Conditional::Ignored)) {
            Next::End(Outcome::Stop(_)) => Some(Outcome::Conflict { is_compared: false }),
            Next::End(outcome) => Some(outcome),
            Next::Retry(problem) => Some(Outcome::LeftOver(problem)),
            Next::Put | Next::Head => None,
        }
    }

    /// One attempt: HEAD where the server may overwrite, PUT, and HEAD if the key exists.
    async fn attempt(
        &self,
        segment: &Prepared,
        sent_before: &mut bool,
    ) -> Result<Outcome, S3Problem> {
        let conditional = self.capability.get();
        let is_costly = *sent_before && segment.bytes > multipart::THRESHOLD_BYTES;
        if conditional != Conditional::Honoured || is_costly {
            match self.ask(segment, Stage::Before(conditional)).await {
                Next::End(outcome) => return Ok(outcome),
                Next::Retry(problem) => return Err(problem),
                Next::Put | Next::Head => {}
            }
        }
        let answer = self.send(segment, sent_before).await;
        match after_put(answer) {
            Next::End(outcome) => {
                if outcome == (Outcome::Uploaded { was_there: false }) {
                    self.probe(segment).await;
                }
                Ok(outcome)
            }
            Next::Retry(problem) => Err(problem),
            Next::Put | Next::Head => {
                self.learn(Conditional::Honoured);
                let stage = Stage::Exists { sent_before: *sent_before };
                match self.ask(segment, stage).await {
                    Next::End(outcome) => Ok(outcome),
                    Next::Retry(problem) => Err(problem),
                    Next::Put | Next::Head => unreachable!("an existing key is not sent to again"),
                }
            }
        }
    }

    async fn send(&self, segment: &Prepared, sent_before: &mut bool) -> Result<(), S3Problem> {
        if segment.bytes > multipart::THRESHOLD_BYTES {
            return Multipart { uploader: self, segment }.send(sent_before).await;
        }
        let answer = self.put(segment).await;
        if let Err(problem) = &answer {
            *sent_before |= may_have_stored(problem);
        }
        answer
    }

    async fn put(&self, segment: &Prepared) -> Result<(), S3Problem> {
        let body = ByteStream::from_path(segment.file.path())
            .await
            .map_err(|_| S3Problem::Network("the compressed copy cannot be read".into()))?;
        self.client
            .put_object()
            .bucket(&self.destination.bucket)
            .key(&segment.key)
            .if_none_match("*")
            .content_type(segment.content_type)
            .content_length(i64::try_from(segment.bytes).expect("below the threshold"))
            .checksum_algorithm(ChecksumAlgorithm::Sha256)
            .checksum_sha256(base64(&segment.sha256))
            .set_metadata(Some(metadata(segment)))
            .set_server_side_encryption(self.encryption())
            .set_ssekms_key_id(self.options.sse_kms_key_id.clone())
            .set_storage_class(self.storage_class())
            .body(body)
            .customize()
            .config_override(within(self.transfer_time(segment.bytes)))
            .send()
            .await
            .map(drop)
            .map_err(|error| explain(&error))
    }

    async fn ask(&self, segment: &Prepared, stage: Stage) -> Next {
        after_head(self.head(segment).await, &segment.segment_sha256(), stage)
    }

    /// The hash that the object at the key carries.
    async fn head(&self, segment: &Prepared) -> Result<Option<String>, S3Problem> {
        let head = self.client.head_object().bucket(&self.destination.bucket).key(&segment.key);
        let answer = head.send().await.map_err(|error| explain(&error))?;
        Ok(answer.metadata().and_then(|metadata| metadata.get(SHA256_METADATA)).cloned())
    }

    /// Puts what was just stored once more, if it is still unknown how the server answers.
    async fn probe(&self, segment: &Prepared) {
        let is_needed =
            self.capability.get() == Conditional::Unknown && segment.bytes <= MAX_PROBE_BYTES;
        if !is_needed || self.is_probing.swap(true, Ordering::Relaxed) {
            return;
        }
        match self.put(segment).await {
            Err(S3Problem::PreconditionFailed(_)) => self.learn(Conditional::Honoured),
            Ok(()) => {
                tracing::warn!("server ignores If-None-Match: asking HEAD before every PUT");
                self.learn(Conditional::Ignored);
            }
            Err(problem) => tracing::debug!(%problem, "conditional writes remain unknown"),
        }
        self.is_probing.store(false, Ordering::Relaxed);
    }

    fn learn(&self, conditional: Conditional) {
        if let Err(error) = self.capability.learn(conditional) {
            tracing::warn!(%error, "failed to remember what the server can do");
        }
    }

    /// Bound on a request that carries `bytes` bytes.
    pub fn transfer_time(&self, bytes: u64) -> Duration {
        self.timeout + Duration::from_secs(bytes / SLOWEST_BYTES_PER_S)
    }

    /// `--sse`.
    pub fn encryption(&self) -> Option<ServerSideEncryption> {
        self.options.sse.as_deref().map(ServerSideEncryption::from)
    }

    /// `--storage-class`.
    pub fn storage_class(&self) -> Option<StorageClass> {
        self.options.storage_class.as_deref().map(StorageClass::from)
    }
}

/// Metadata of the object.
pub fn metadata(segment: &Prepared) -> HashMap<String, String> {
    HashMap::from([(SHA256_METADATA.to_owned(), segment.segment_sha256())])
}

/// Settings of a request that may take this long.
pub fn within(time: Duration) -> aws_sdk_s3::config::Builder {
    let timeouts = TimeoutConfig::builder().operation_attempt_timeout(time).build();
    aws_sdk_s3::Config::builder().timeout_config(timeouts)
}

/// A hash as it stands in a header.
pub fn base64(hash: &[u8; 32]) -> String {
    base64_simd::STANDARD.encode_to_string(hash)
}
