// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a run works with: the command line, checked, as one plain value.

use std::path::PathBuf;

use ibsr_proto::pins::Scope;

use crate::spool::Limits;

/// What the command line asked for, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which sensor.
    pub scope: Scope,
    /// Where the loader pins.
    pub pin_root: PathBuf,
    /// Root of the spool.
    pub spool: PathBuf,
    /// Bounds of segments and spool.
    pub limits: Limits,
    /// The exporter's ledger.
    pub ledger: Option<PathBuf>,
    /// Time between sweeps; 0 for a single one.
    pub period_ns: u64,
    /// Time between full sweeps.
    pub full_every_ns: u64,
    /// Host label.
    pub host: String,
    /// Directory of the interface in sysfs, where it is not the usual one.
    pub net_dir: Option<PathBuf>,
}
