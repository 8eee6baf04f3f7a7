// SPDX-License-Identifier: MIT OR Apache-2.0
//! Large objects, in parts. One part is in memory at a time.
//!
//! Parts of an unfinished upload cost money and are invisible, so each started upload is
//! noted on disk and aborted: at once when it fails, at the next start when we were killed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart};
use ibsr_proto::abi::hex;
use ibsr_s3::{Client, S3Problem, explain, with_retries};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::outcome::may_have_stored;
use crate::prepare::Prepared;
use crate::state::replace_file;
use crate::upload::{Uploader, base64, metadata, within};

/// Bodies above this are sent in parts.
pub const THRESHOLD_BYTES: u64 = 64 << 20;
/// Memory per upload; S3 asks for at least 5 MiB.
const PART_BYTES: u64 = 16 << 20;
/// Limit of S3.
const MAX_PARTS: u64 = 10_000;
/// S3 documents that putting a large object together can take minutes.
const COMPLETE_TIME: Duration = Duration::from_secs(300);

/// One object to be sent in parts.
#[derive(Debug)]
pub struct Multipart<'a> {
    /// Who sends.
    pub uploader: &'a Uploader,
    /// What is sent.
    pub segment: &'a Prepared,
}

impl Multipart<'_> {
    /// Sends all parts and completes the upload, or aborts it. `maybe_stored` is set when the
    /// completion may have been carried out without our learning of it.
    ///
    /// # Errors
    /// [`S3Problem`]; every request was tried as often as the backoff allows.
    pub async fn send(&self, maybe_stored: &mut bool) -> Result<(), S3Problem> {
        let started = self.create().await?;
        let note = self.uploader.notes.add(&started);
        let sent = async {
            let parts = self.parts(&started).await?;
            self.complete(&started, parts, maybe_stored).await
        };
        let sent = sent.await;
        let is_over = sent.is_ok() || abort(&self.uploader.client, &started).await.is_ok();
        match note {
            Ok(note) if is_over => self.uploader.notes.remove(&note),
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "failed to note a multipart upload"),
        }
        sent
    }

    async fn create(&self) -> Result<Started, S3Problem> {
        let Self { uploader, segment } = self;
        let create = || async {
            uploader
                .client
                .create_multipart_upload()
                .bucket(&uploader.destination.bucket)
                .key(&segment.key)
                .content_type(segment.content_type)
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .set_metadata(Some(metadata(segment)))
                .set_server_side_encryption(uploader.encryption())
                .set_ssekms_key_id(uploader.options.sse_kms_key_id.clone())
                .set_storage_class(uploader.storage_class())
                .send()
                .await
                .map_err(|error| explain(&error))
        };
        let answer = with_retries(uploader.backoff, create).await?;
        let upload_id =
            answer.upload_id.ok_or_else(|| S3Problem::Server("no upload id".to_owned()))?;
        let bucket = uploader.destination.bucket.clone();
        Ok(Started { bucket, key: segment.key.clone(), upload_id })
    }

    async fn parts(&self, started: &Started) -> Result<Vec<CompletedPart>, S3Problem> {
        let part_bytes = part_bytes(self.segment.bytes);
        let mut parts = Vec::new();
        for (number, at) in (1..).zip((0..self.segment.bytes).step_by(part_bytes as usize)) {
            let bytes = part_bytes.min(self.segment.bytes - at);
            let part = read_part(self.segment.file.path().to_owned(), at, bytes).await;
            let part = part.map_err(|error| {
                S3Problem::Network(format!("the compressed copy cannot be read: {error}"))
            })?;
            parts.push(self.part(started, number, &part).await?);
        }
        Ok(parts)
    }

    async fn part(
        &self,
        started: &Started,
        number: i32,
        part: &Part,
    ) -> Result<CompletedPart, S3Problem> {
        let Self { uploader, .. } = self;
        let send = || async {
            let body = part.body.try_clone().expect("a body in memory");
            uploader
                .client
                .upload_part()
                .bucket(&started.bucket)
                .key(&started.key)
                .upload_id(&started.upload_id)
                .part_number(number)
                .checksum_algorithm(ChecksumAlgorithm::Sha256)
                .checksum_sha256(&part.sha256)
                .body(ByteStream::new(body))
                .customize()
                .config_override(within(uploader.transfer_time(part.bytes)))
                .send()
                .await
                .map_err(|error| explain(&error))
        };
        let answer = with_retries(uploader.backoff, send).await?;
        Ok(CompletedPart::builder()
            .part_number(number)
            .set_e_tag(answer.e_tag)
            .checksum_sha256(&part.sha256)
            .build())
    }

    async fn complete(
        &self,
        started: &Started,
        parts: Vec<CompletedPart>,
        maybe_stored: &mut bool,
    ) -> Result<(), S3Problem> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let mut failed = 0;
        loop {
            let request = self
                .uploader
                .client
                .complete_multipart_upload()
                .bucket(&started.bucket)
                .key(&started.key)
                .upload_id(&started.upload_id)
                .if_none_match("*")
                .multipart_upload(parts.clone());
            let time = COMPLETE_TIME.max(self.uploader.transfer_time(0));
            let answer = request.customize().config_override(within(time)).send().await;
            let problem = match answer.map_err(|error| explain(&error)) {
                Ok(_) => return Ok(()),
                // The upload is gone because an earlier request completed it.
                Err(S3Problem::NotFound(code)) if *maybe_stored => {
                    return Err(S3Problem::PreconditionFailed(code));
                }
                Err(problem) => problem,
            };
            *maybe_stored |= may_have_stored(&problem);
            failed += 1;
            if !problem.is_transient() || !self.uploader.backoff.sleep(failed).await {
                return Err(problem);
            }
        }
    }
}

/// Size of each part but the last, so that the parts are not too many.
fn part_bytes(bytes: u64) -> u64 {
    PART_BYTES.max(bytes.div_ceil(MAX_PARTS).next_multiple_of(1 << 20))
}

struct Part {
    /// In memory, so each attempt shares it.
    body: SdkBody,
    bytes: u64,
    sha256: String,
}

async fn read_part(path: PathBuf, at: u64, bytes: u64) -> io::Result<Part> {
    let read = move || {
        let mut part = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        File::open(path)?.read_exact_at(&mut part, at)?;
        let sha256 = base64(&Sha256::digest(&part).into());
        Ok(Part { body: SdkBody::from(part), bytes, sha256 })
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// A multipart upload that the bucket holds parts of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    bucket: String,
    key: String,
    upload_id: String,
}

/// Notes on disk of uploads that were started and neither completed nor aborted.
#[derive(Debug)]
pub struct Notes {
    /// Directory of the notes.
    pub dir: PathBuf,
}

impl Notes {
    fn add(&self, started: &Started) -> io::Result<PathBuf> {
        let note = self.dir.join(hex(&Sha256::digest(&started.upload_id)));
        replace_file(&note, &serde_json::to_vec(started)?)?;
        Ok(note)
    }

    fn remove(&self, note: &Path) {
        if let Err(error) = fs::remove_file(note) {
            tracing::warn!(%error, "failed to remove the note of a multipart upload");
        }
    }

    /// Aborts what a killed exporter left in `bucket`. What cannot be aborted now is kept for
    /// the next start.
    pub async fn abort_left_over(&self, client: &Client, bucket: &str) {
        let notes = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        for note in notes.map(|entry| entry.path()) {
            let started = fs::read(&note).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let Some(started): Option<Started> = started else {
                self.remove(&note);
                continue;
            };
            if started.bucket == bucket && abort(client, &started).await.is_ok() {
                tracing::info!(key = started.key, "aborted an unfinished multipart upload");
                self.remove(&note);
            }
        }
    }
}

/// Frees the parts. One that is gone already is as good.
async fn abort(client: &Client, started: &Started) -> Result<(), S3Problem> {
    let Started { bucket, key, upload_id } = started;
    let request = client.abort_multipart_upload().bucket(bucket).key(key).upload_id(upload_id);
    match request.send().await.map_err(|error| explain(&error)) {
        Ok(_) | Err(S3Problem::NotFound(_)) => Ok(()),
        Err(problem) => {
            tracing::warn!(
                key,
                %problem,
                "failed to abort a multipart upload\nhint: allow s3:AbortMultipartUpload, and \
                 let a lifecycle rule of the bucket remove unfinished uploads"
            );
            Err(problem)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_never_too_small_nor_too_many() {
        assert_eq!(part_bytes(THRESHOLD_BYTES + 1), PART_BYTES);
        assert_eq!(part_bytes(5 << 30), PART_BYTES);
        for bytes in [156 << 30, 157 << 30, (1 << 40) + 1, 5 << 40] {
            let part = part_bytes(bytes);
            assert!(bytes.div_ceil(part) <= MAX_PARTS && part.is_multiple_of(1 << 20), "{bytes}");
        }
    }

    #[tokio::test]
    async fn a_part_is_the_range_that_was_asked_for() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        fs::write(file.path(), b"0123456789").expect("writes");
        let part = read_part(file.path().to_owned(), 3, 4).await.expect("reads");
        assert_eq!(part.body.bytes(), Some(&b"3456"[..]));
        assert_eq!(part.sha256, base64(&Sha256::digest(b"3456").into()));
        assert!(read_part(file.path().to_owned(), 8, 4).await.is_err());
    }
}
