// SPDX-License-Identifier: MIT OR Apache-2.0
//! From what the folds left behind to the report.
//!
//! `cover` says beside which days another sensor ran, `label` who a source probably is;
//! `gather` takes every source once, in the order of addresses, and keeps what the rest
//! needs; `holdout` counts clusters by the day of their first appearance, `search` chooses
//! thresholds on them, `price` says what that choice would have done, `rows` lists it, `gates` decides,
//! `streams` speaks of time and loss, `report` puts it together.

pub mod cluster;
pub mod cover;
pub mod gather;
pub mod holdout;
pub mod label;
pub mod report;
pub mod streams;

pub(crate) mod gates;
mod price;
mod rows;
mod search;
pub(crate) mod words;

pub use words::date;
