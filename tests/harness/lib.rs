// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests of the whole share: namespaces with a wire between them, frames, the real
//! programs as processes, a real S3 server. Nothing is mocked: packets cross a veth pair,
//! programs are the built binaries, the server checks signatures and checksums.
//!
//! Everything made here is named after the test process and removed on drop.

#![expect(clippy::missing_panics_doc, reason = "a harness panics: that is how a test fails")]

pub mod actor;
pub mod bench;
pub mod beside;
pub mod bpffs;
pub mod cgroup;
pub mod dns;
pub mod flow_segments;
pub mod frames;
pub mod kernel;
pub mod lab_evidence;
pub mod netns;
pub mod process;
pub mod prog;
pub mod run_times;
pub mod s3;
pub mod segments;
