// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mathematics: exact bounds, how many clusters they need, looks that were spent.
//!
//! Shares and errors are parts per thousand million. The same numbers come out on every
//! platform: only operations that IEEE 754 defines exactly are used.

mod ln;
mod tail;

pub mod alpha;
pub mod bound;
pub mod plan;
pub mod sequence;
