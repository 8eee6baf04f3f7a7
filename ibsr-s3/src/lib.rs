// SPDX-License-Identifier: MIT OR Apache-2.0
//! One S3 client from one set of flags, for the exporter and the report.
//!
//! Holds the flags, `s3://` addresses, listing and reading, the wording of what can go wrong,
//! and how long to wait before trying again. Writing is the exporter's own business. Nothing
//! here prints or logs a credential, a header or a body.

#![forbid(unsafe_code)]

mod args;
mod objects;
mod problem;
mod retry;
mod url;

pub use args::S3Args;
pub use aws_sdk_s3 as sdk;
pub use aws_sdk_s3::Client;
pub use objects::{Object, get, list};
pub use problem::{S3Problem, explain};
pub use retry::{Backoff, with_retries};
pub use url::{S3Url, S3UrlError};
