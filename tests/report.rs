// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report over files: golden, faults, determinism.
