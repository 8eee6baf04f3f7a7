// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a policy of the guard would have done to recorded flows, and to whom.
//!
//! `twin` asks the policy about one flow, `lives` folds the rows of a stream and takes each life of
//! a flow once, `facts` is what all of it came to, `units` who would have been hurt and how sure
//! that is, `rehearsal` what a guard said of the same flows, `gates` and `report` the verdict; `model` is the report as one value, `lists` its
//! lists, `words` fills its sentences.

pub mod below;
pub mod facts;
mod gates;
mod lists;
pub mod lives;
pub mod model;
pub mod rehearsal;
pub mod report;
pub mod twin;
mod units;
mod words;
