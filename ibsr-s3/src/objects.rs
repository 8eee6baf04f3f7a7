// SPDX-License-Identifier: MIT OR Apache-2.0
//! Listing and reading objects, the way the report does it.

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use tokio::io::AsyncBufRead;

use crate::problem::{S3Problem, explain};
use crate::retry::{Backoff, with_retries};

/// One object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Key.
    pub key: String,
    /// Stored bytes.
    pub size: u64,
}

/// Everything under `prefix`, in the order of the keys' bytes.
///
/// Cost: one request per 1,000 objects, and all names in memory.
///
/// # Errors
/// [`S3Problem`] once `backoff` has given up.
pub async fn list(
    client: &Client,
    bucket: &str,
    prefix: &str,
    backoff: Backoff,
) -> Result<Vec<Object>, S3Problem> {
    let mut objects = Vec::new();
    let mut token = None;
    loop {
        let page = with_retries(backoff, || page(client, bucket, prefix, token.clone())).await?;
        objects.extend(page.contents().iter().filter_map(object));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            return Ok(objects);
        }
    }
}

async fn page(
    client: &Client,
    bucket: &str,
    prefix: &str,
    token: Option<String>,
) -> Result<ListObjectsV2Output, S3Problem> {
    let request = client.list_objects_v2().bucket(bucket).prefix(prefix);
    request.set_continuation_token(token).send().await.map_err(|error| explain(&error))
}

fn object(object: &aws_sdk_s3::types::Object) -> Option<Object> {
    let size = u64::try_from(object.size()?).ok()?;
    Some(Object { key: object.key()?.to_owned(), size })
}

/// The stored bytes of one object, as a stream. An error in the middle of the stream is the
/// reader's to handle: what it has read by then cannot be taken back.
///
/// # Errors
/// [`S3Problem`] when the object cannot be opened, once `backoff` has given up.
pub async fn get(
    client: &Client,
    bucket: &str,
    key: &str,
    backoff: Backoff,
) -> Result<impl AsyncBufRead + Unpin + Send + use<>, S3Problem> {
    let open = || async {
        client.get_object().bucket(bucket).key(key).send().await.map_err(|error| explain(&error))
    };
    Ok(with_retries(backoff, open).await?.body.into_async_read())
}
