// SPDX-License-Identifier: MIT OR Apache-2.0
//! Segments: JSON Lines files of sweeps. One module per schema version; the newest is
//! re-exported here, which is what writers use.
//!
//! To add a version: copy the newest module, raise its `SCHEMA`, re-export it below, and
//! teach [`v1::Row`]'s successor to read the version before it.

pub mod cgroup;
pub mod guard;
mod line;
pub mod name;
mod source_read;
mod source_text;
pub mod v1;

pub use name::SegmentName;
pub use v1::{
    Footer, Gap, GapReason, Header, LossOfPort, Row, RowError, RowRef, SCHEMA, Source, Sweep,
};
