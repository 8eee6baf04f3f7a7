// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the fuzz targets do with bytes, without a fuzzer: `ibsr-replay/tests/corpus.rs` does
//! the same with every file of the corpus in ordinary test runs.
//!
//! Each function panics when something is wrong with the code and never because of the bytes.

#![forbid(unsafe_code)]

pub mod row;
pub mod rules;
pub mod segment;
