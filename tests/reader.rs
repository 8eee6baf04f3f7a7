// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader on real pins: rights, restarts, epochs, churn, a million entries.

#[path = "reader/refused.rs"]
mod refused;
#[path = "reader/rights.rs"]
mod rights;
#[path = "reader/scope.rs"]
mod scope;
#[path = "reader/size.rs"]
mod size;
