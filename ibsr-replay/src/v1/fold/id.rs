// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whose counters they are.

use ibsr_proto::snapshot::Header;
use serde::{Deserialize, Serialize};

/// A set of maps: rows of two streams are never differenced against each other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StreamId {
    /// Host label.
    pub host: String,
    /// Scope.
    pub scope: String,
    /// Boot id.
    pub boot_id: String,
    /// Set of maps.
    pub epoch: String,
}

impl From<&Header> for StreamId {
    fn from(header: &Header) -> Self {
        Self {
            host: header.host.clone(),
            scope: header.scope.clone(),
            boot_id: header.boot_id.clone(),
            epoch: header.epoch.clone(),
        }
    }
}
