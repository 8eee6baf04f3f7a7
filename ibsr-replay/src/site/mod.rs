// SPDX-License-Identifier: MIT OR Apache-2.0
//! Synthetic sites: recordings whose truth is known.
