// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the lines of all scopes have in common.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// The tag of a row, which says how to read the rest of its line.
#[derive(Deserialize)]
pub(super) struct TypeOnly<'a> {
    #[serde(rename = "type", borrow)]
    pub kind: Cow<'a, str>,
}

/// Appends a row and a line feed. Allocates only when `out` must grow.
pub(super) fn write(row: &impl Serialize, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, row).expect("rows hold only what JSON can hold");
    out.push(b'\n');
}
