// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rule language: small, total, causal, integers only, so that the replay and a kernel
//! program agree bit for bit.
//!
//! `ast` is a rule set as a value, `parse` reads it from TOML, `text` writes it, `level`
//! asks it about a window, `family` is the default one.

pub mod ast;
#[cfg(test)]
mod docs_tests;
pub mod family;
mod fault;
pub mod level;
pub mod parse;
#[cfg(test)]
pub(crate) mod strategy;
mod terms;
pub mod text;
mod tree;
mod words;

pub use fault::{Fault, ParseError};
pub use parse::parse;
