// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first report, until the counterfactual replaces it.

pub mod assemble;
pub mod fold;
pub mod label;
pub mod model;
