// SPDX-License-Identifier: MIT OR Apache-2.0
//! Inputs of every kind as local files: `s3://` addresses are fetched into a temporary
//! directory, which goes away with [`Gathered`].
//!
//! A segment is read twice and must not change in between, so it is fetched once and whole.
//! One object that cannot be fetched ends the run: a report without it would look complete.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::ValueEnum;
use ibsr_s3::{Backoff, Client, Object, S3Args, S3Url};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;
use tracing::info;

use super::discover::{Found, discover, is_segment, segment_name, unfold};
use super::nr_ibsr;

/// Objects under way at once: hides the latency of small objects, costs 64 KiB each.
const AT_ONCE: usize = 16;

/// Files to read.
#[derive(Debug)]
pub struct Gathered {
    /// In no particular order.
    pub files: Vec<Found>,
    /// Hold what was fetched and translated.
    _made: Vec<TempDir>,
}

/// What the inputs are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum InputFormat {
    /// Segments, in any packing
    #[default]
    Auto,
    /// Snapshots of nr-ibsr, JSON Lines of its versions 5 to 7
    NrIbsr,
}

/// Finds or fetches every segment of `inputs`.
///
/// # Errors
/// When an input does not exist, or an object cannot be listed or fetched.
pub fn gather(inputs: &[PathBuf], s3: &S3Args, format: InputFormat) -> anyhow::Result<Gathered> {
    let (files, mut made) = fetch_remote(inputs, s3)?;
    let files = match format {
        InputFormat::Auto => unfold(files),
        InputFormat::NrIbsr => {
            let dir = temporary("failed to make a directory for segments")?;
            let files = nr_ibsr::translate(files, dir.path())?;
            made.push(dir);
            files
        }
    };
    Ok(Gathered { files, _made: made })
}

fn temporary(failed: &'static str) -> anyhow::Result<TempDir> {
    tempfile::Builder::new().prefix("ibsr-report-").tempdir().context(failed)
}

fn fetch_remote(inputs: &[PathBuf], s3: &S3Args) -> anyhow::Result<(Vec<Found>, Vec<TempDir>)> {
    let is_remote = |input: &&PathBuf| input.to_str().is_some_and(S3Url::is_s3);
    let (remote, local): (Vec<_>, Vec<_>) = inputs.iter().partition(is_remote);
    let local: Vec<_> = local.into_iter().cloned().collect();
    let mut files = discover(&local)?;
    if remote.is_empty() {
        return Ok((files, Vec::new()));
    }
    let urls = remote
        .iter()
        .filter_map(|input| input.to_str())
        .map(str::parse)
        .collect::<Result<Vec<S3Url>, _>>()?;
    let dir = temporary("failed to make a directory for objects")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("failed to start the runtime for S3")?;
    files.extend(runtime.block_on(fetch_all(&urls, s3, dir.path()))?);
    Ok((files, vec![dir]))
}

async fn fetch_all(urls: &[S3Url], s3: &S3Args, dir: &Path) -> anyhow::Result<Vec<Found>> {
    s3.check_credentials().await?;
    let client = s3.client().await;
    let mut wanted = Vec::new();
    for url in urls {
        let objects = ibsr_s3::list(&client, &url.bucket, &url.prefix, s3.backoff())
            .await
            .with_context(|| format!("failed to list `{url}`"))?;
        let segments = objects.into_iter().filter(|object| is_segment(file_name(&object.key)));
        wanted.extend(segments.map(|object| (url.bucket.clone(), object)));
    }
    wanted.sort_by(|(a, first), (b, second)| (a, &first.key).cmp(&(b, &second.key)));
    wanted.dedup();
    let bytes: u64 = wanted.iter().map(|(_, object)| object.size).sum();
    info!(objects = wanted.len(), bytes, "fetching");
    let mut files = Vec::new();
    let mut under_way = JoinSet::new();
    for (number, (bucket, object)) in wanted.into_iter().enumerate() {
        if under_way.len() >= AT_ONCE
            && let Some(done) = under_way.join_next().await
        {
            files.push(done.context("failed to fetch an object")??);
        }
        let path = dir.join(number.to_string());
        under_way.spawn(fetch(client.clone(), s3.backoff(), bucket, object, path));
    }
    while let Some(done) = under_way.join_next().await {
        files.push(done.context("failed to fetch an object")??);
    }
    Ok(files)
}

/// A connection that breaks in the middle is tried again from the start.
async fn fetch(
    client: Client,
    backoff: Backoff,
    bucket: String,
    object: Object,
    path: PathBuf,
) -> anyhow::Result<Found> {
    let origin = format!("s3://{bucket}/{}", object.key);
    let name = segment_name(file_name(&object.key)).to_owned();
    let mut failed = 0;
    loop {
        let body = ibsr_s3::get(&client, &bucket, &object.key, backoff)
            .await
            .with_context(|| format!("failed to fetch `{origin}`"))?;
        let error = match copy(body, &path).await {
            Ok(bytes) if bytes == object.size => {
                return Ok(Found { origin, place: path.into(), name });
            }
            Ok(bytes) => anyhow::anyhow!("it has {bytes} bytes, listed were {}", object.size),
            Err(error) => error.into(),
        };
        failed += 1;
        if !backoff.sleep(failed).await {
            return Err(error.context(format!("failed to fetch `{origin}`")));
        }
    }
}

async fn copy(mut body: impl tokio::io::AsyncBufRead + Unpin, path: &Path) -> std::io::Result<u64> {
    let mut file = tokio::fs::File::create(path).await?;
    let bytes = tokio::io::copy_buf(&mut body, &mut file).await?;
    file.flush().await?;
    Ok(bytes)
}

fn file_name(key: &str) -> &str {
    key.rsplit('/').next().unwrap_or(key)
}
