// SPDX-License-Identifier: MIT OR Apache-2.0
//! The exporter as an operator runs it, against a server that verifies and one that fails.
//!
//! Every test starts the built `ibsr-export` on a spool of sealed segments and then looks at
//! three things: what it said, what lies in the bucket, what still lies in the spool. The
//! promise under test is always the same one: each segment ends as exactly one object with
//! the same bytes, and until then it stays where it is.

#![expect(clippy::unwrap_used, reason = "a test panics: that is how it fails")]

mod conflicts;
mod happy;
mod interrupted;
mod killed;
mod multipart;
mod refusals;
mod rig;
mod secrets;
mod spool;
mod transient;
mod volume;
mod watch;
