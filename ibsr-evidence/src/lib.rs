// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence: a manifest of what was read and what followed from it, signed.

#![forbid(unsafe_code)]
