// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which name an address was resolved from, as a row.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::addr::SourceAddr;

/// One answer of a resolver that was believed. An address that is resolved anew gets a new row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name<'a> {
    /// Sweep that this row belongs to.
    pub seq: u64,
    /// The address.
    pub addr: SourceAddr,
    /// The name that was asked for, as in a zone file, without the dot at the end.
    pub name: Cow<'a, str>,
    /// Boot clock at the answer.
    pub learned_boot_ns: u64,
    /// Boot clock at its end, by the smallest TTL on the way.
    pub expiry_boot_ns: u64,
    /// Who said so.
    pub resolver: SourceAddr,
    /// The resolver's port.
    pub resolver_port: u16,
    /// CNAMEs between the name and the address.
    pub chain: u8,
}

/// What identifies one answer among all rows of an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
pub struct NameLife {
    /// The address.
    pub addr: SourceAddr,
    /// Boot clock at the answer.
    pub learned_boot_ns: u64,
}
