// SPDX-License-Identifier: MIT OR Apache-2.0
//! The rule language: small, total, causal, integers only, so that the replay and a kernel
//! program agree bit for bit.
//!
//! `ast` is a rule set as a value, `parse` reads it from TOML, `text` writes it, `level`
//! asks it about a window, `family` is the default one.

pub mod ast;
pub mod level;
