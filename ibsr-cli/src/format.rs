// SPDX-License-Identifier: MIT OR Apache-2.0
//! `--format`, wherever something is printed.

use clap::ValueEnum;

/// For whom the output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people; may change
    #[default]
    Text,
    /// For programs; stable, names its schema
    Json,
}
