// SPDX-License-Identifier: MIT OR Apache-2.0
//! From inputs to segments in time order.
//!
//! `discover` finds files, `remote` fetches objects, `open` unpacks them under a cap, `scan` verifies a file against
//! its own footer before a single row of it is used, `plan` puts the verified segments of
//! each stream in order, drops copies and refuses recordings that contradict each other.

pub mod discover;
pub mod lines;
pub mod nr_ibsr;
pub mod open;
pub mod parquet;
pub mod plan;
pub mod remote;
pub mod scan;
pub mod verify;
