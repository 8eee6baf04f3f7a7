// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who talks to whom: rows of flows of cgroup scopes, added up by application and destination.
//!
//! `lives` folds the rows of one stream and takes each life of a flow once; `facts` is what a
//! day came to, bounded and mergeable in any order; `findings` is what passed a limit; `rows` makes the report's tables of it.
//! `connections` says what flows are to the sources of an interface, `cover` when the sensor ran.

mod connections;
pub(crate) mod counters;
pub mod cover;
pub mod facts;
pub mod findings;
pub mod lives;
pub mod rows;
#[cfg(test)]
mod source_tests;
#[cfg(test)]
mod tests;
