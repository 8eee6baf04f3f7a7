// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what the fold left behind to the report: labels, bounds, search, verdict.

pub mod label;
