// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the flags mean, checked. Nothing here does I/O.

use std::path::PathBuf;

use ibsr_s3::{S3Args, S3Url};

use crate::cli::TransferArgs;
use crate::compression::Compression;
use crate::key;
use crate::ledger::Filter;

/// A checked command line.
#[derive(Debug, Clone)]
pub struct Config {
    /// Spool.
    pub spool: PathBuf,
    /// State directory.
    pub state: PathBuf,
    /// Where to.
    pub destination: Destination,
    /// How objects are compressed.
    pub compression: Compression,
    /// What each object gets.
    pub object: ObjectOptions,
    /// Which S3.
    pub s3: S3Args,
}

/// Bucket and prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destination {
    /// Bucket.
    pub bucket: String,
    /// Empty, or ends in a slash.
    pub prefix: String,
}

/// Settings of every object that is written.
#[derive(Debug, Clone)]
pub struct ObjectOptions {
    /// Value of x-amz-server-side-encryption.
    pub sse: Option<String>,
    /// KMS key.
    pub sse_kms_key_id: Option<String>,
    /// Storage class.
    pub storage_class: Option<String>,
}

impl Config {
    /// Which ledger entries speak of this destination.
    pub fn filter(&self) -> Filter {
        Filter {
            bucket: Some(self.destination.bucket.clone()),
            key_root: key::key_root(&self.destination.prefix),
        }
    }
}

impl TryFrom<TransferArgs> for Config {
    type Error = anyhow::Error;

    fn try_from(args: TransferArgs) -> anyhow::Result<Self> {
        S3Url::check_bucket(&args.bucket)?;
        let destination =
            Destination { bucket: args.bucket, prefix: key::clean_prefix(&args.prefix)? };
        Ok(Self {
            spool: args.local.spool,
            state: args.local.state,
            destination,
            compression: args.compression,
            object: ObjectOptions {
                sse: args.sse,
                sse_kms_key_id: args.sse_kms_key_id,
                storage_class: args.storage_class,
            },
            s3: args.s3,
        })
    }
}
