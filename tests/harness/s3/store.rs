// SPDX-License-Identifier: MIT OR Apache-2.0
//! The store: `s3s-fs` behind a layer that makes it as strict as the real service.
//!
//! On its own `s3s-fs` renames an object into place before it compares checksums, looks at
//! `If-None-Match` and stores in two steps, takes any part of a multipart upload, and makes
//! a bucket that is missing. Here a body is verified before the store sees it, storing is
//! one step at a time, and a missing bucket is an error.
//!
//! Bodies are held in memory: tests send tens of megabytes at most.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use s3s::auth::{S3Auth, SecretKey};
use s3s::checksum::ChecksumHasher;
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, Checksum, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CreateBucketInput, CreateBucketOutput,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
    GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput,
    HeadObjectOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput,
    PutObjectInput, PutObjectOutput, StreamingBlob, UploadPartInput, UploadPartOutput,
};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3, S3Request, S3Response, S3Result, TrailingHeaders, s3_error};
use s3s_fs::FileSystem;
use tokio::sync::Mutex;

use super::Settings;
use super::faults::{IgnoreCondition, Script};

/// The service that checks signatures and hands verified requests to the store.
pub(super) fn service(settings: &Settings, script: &Arc<Script>) -> io::Result<S3Service> {
    let files =
        FileSystem::new(&settings.dir).map_err(|error| io::Error::other(format!("{error:?}")))?;
    let (script, dir) = (Arc::clone(script), settings.dir.clone());
    let mut builder = S3ServiceBuilder::new(Store { files, dir, script, storing: Mutex::new(()) });
    builder.set_auth(OneKey {
        access: settings.access_key.clone(),
        secret: SecretKey::from(settings.secret_key.as_str()),
    });
    Ok(builder.build())
}

/// The checksums in the headers of a request, whose types share no trait.
macro_rules! claimed {
    ($input:expr) => {
        Checksum {
            checksum_crc32: $input.checksum_crc32.clone(),
            checksum_crc32c: $input.checksum_crc32c.clone(),
            checksum_crc64nvme: $input.checksum_crc64nvme.clone(),
            checksum_sha1: $input.checksum_sha1.clone(),
            checksum_sha256: $input.checksum_sha256.clone(),
            ..Checksum::default()
        }
    };
}

/// The one key that is known. (`SimpleAuth` of `s3s` names an unknown one in other words.)
struct OneKey {
    access: String,
    secret: SecretKey,
}

#[async_trait]
impl S3Auth for OneKey {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let is_known = access_key == self.access;
        is_known.then(|| self.secret.clone()).ok_or_else(|| s3_error!(InvalidAccessKeyId))
    }
}

struct Store {
    files: FileSystem,
    dir: PathBuf,
    script: Arc<Script>,
    /// Held from the look at `If-None-Match` until the object is in place.
    storing: Mutex<()>,
}

impl Store {
    /// `s3s-fs` would make the bucket.
    fn check_bucket(&self, bucket: &str) -> S3Result<()> {
        let is_there = self.dir.join(bucket).is_dir();
        is_there.then_some(()).ok_or_else(|| s3_error!(NoSuchBucket))
    }

    /// `s3s-fs` would say that access is denied.
    fn check_upload(&self, id: &str) -> S3Result<()> {
        let is_there = self.dir.join(format!(".upload-{id}.json")).is_file();
        is_there.then_some(()).ok_or_else(|| s3_error!(NoSuchUpload))
    }
}

#[async_trait]
impl S3 for Store {
    async fn put_object(
        &self,
        mut req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.check_bucket(&req.input.bucket)?;
        let bytes = collect(req.input.body.take()).await?;
        let claimed = claimed!(req.input);
        verify(&bytes, with_trailers(claimed, req.trailing_headers.as_ref()))?;
        if req.extensions.get::<IgnoreCondition>().is_some() {
            req.input.if_none_match = None;
        }
        req.input.body = Some(StreamingBlob::from(Body::from(bytes)));
        let key = req.input.key.clone();
        let _one = self.storing.lock().await;
        let response = self.files.put_object(req).await?;
        self.script.note_stored(key);
        Ok(response)
    }

    async fn upload_part(
        &self,
        mut req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.check_upload(&req.input.upload_id)?;
        let bytes = collect(req.input.body.take()).await?;
        let claimed = claimed!(req.input);
        let claimed = with_trailers(claimed, req.trailing_headers.as_ref());
        verify(&bytes, claimed.clone())?;
        req.input.body = Some(StreamingBlob::from(Body::from(bytes)));
        let mut response = self.files.upload_part(req).await?;
        // The real service names the part's checksum; clients send it back on completion.
        response.output.checksum_sha256 = claimed.checksum_sha256;
        response.output.checksum_crc32 = claimed.checksum_crc32;
        Ok(response)
    }

    async fn complete_multipart_upload(
        &self,
        mut req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        if req.extensions.get::<IgnoreCondition>().is_some() {
            req.input.if_none_match = None;
        }
        let key = req.input.key.clone();
        let _one = self.storing.lock().await;
        self.check_upload(&req.input.upload_id)?;
        let response = self.files.complete_multipart_upload(req).await?;
        self.script.note_stored(key);
        Ok(response)
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.check_bucket(&req.input.bucket)?;
        self.files.create_multipart_upload(req).await
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.check_upload(&req.input.upload_id)?;
        self.files.abort_multipart_upload(req).await
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.files.list_parts(req).await
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.files.create_bucket(req).await
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.files.head_bucket(req).await
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.files.head_object(req).await
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.files.get_object(req).await
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.files.delete_object(req).await
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.files.list_objects_v2(req).await
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let body = body.ok_or_else(|| s3_error!(IncompleteBody))?;
    let whole = Body::from(body).collect().await;
    Ok(whole.map_err(|error| s3_error!(IncompleteBody, "{error}"))?.to_bytes())
}

/// A checksum may stand in a header or, when the body was streamed, behind it.
fn with_trailers(mut claimed: Checksum, trailers: Option<&TrailingHeaders>) -> Checksum {
    let _none = trailers.and_then(|trailers| {
        trailers.read(|map| {
            let get = |name: &str| map.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            for (field, name) in [
                (&mut claimed.checksum_crc32, "x-amz-checksum-crc32"),
                (&mut claimed.checksum_crc32c, "x-amz-checksum-crc32c"),
                (&mut claimed.checksum_crc64nvme, "x-amz-checksum-crc64nvme"),
                (&mut claimed.checksum_sha1, "x-amz-checksum-sha1"),
                (&mut claimed.checksum_sha256, "x-amz-checksum-sha256"),
            ] {
                *field = get(name).or_else(|| field.take());
            }
        })
    });
    claimed
}

/// Every checksum that was claimed must be that of `bytes`.
fn verify(bytes: &[u8], claimed: Checksum) -> S3Result<()> {
    let mut hasher = ChecksumHasher {
        crc32: claimed.checksum_crc32.as_ref().map(|_| Default::default()),
        crc32c: claimed.checksum_crc32c.as_ref().map(|_| Default::default()),
        crc64nvme: claimed.checksum_crc64nvme.as_ref().map(|_| Default::default()),
        sha1: claimed.checksum_sha1.as_ref().map(|_| Default::default()),
        sha256: claimed.checksum_sha256.as_ref().map(|_| Default::default()),
    };
    hasher.update(bytes);
    if hasher.finalize() == claimed {
        Ok(())
    } else {
        Err(s3_error!(BadDigest, "the checksum that was sent is not that of the body"))
    }
}
