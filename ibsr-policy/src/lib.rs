// SPDX-License-Identifier: MIT OR Apache-2.0
//! Network policy: what an operator writes, in which order rules win, and the tables that the
//! kernel looks up.
//!
//! Pure: lists are read and names are resolved by whoever calls, through [`Read`] and
//! [`Resolve`].

#![forbid(unsafe_code)]

mod canonical;
mod compile;
mod error;
mod explain;
mod list;
mod memory;
mod model;
mod parse;
mod specificity;
mod yaml;

pub use canonical::{canonical_text, identities_hash, policy_hash};
pub use compile::{CompileError, Compiled, Identities, Resolve, compile};
pub use error::PolicyError;
pub use explain::{Finding, findings};
pub use list::{MAX_ENTRIES, entries};
pub use memory::memory_bytes;
pub use model::{Defaults, Origin, Policy, PortRange, Prefix, Rule, Verdict};
pub use parse::{Read, parse};
pub use specificity::{Specificity, best};
