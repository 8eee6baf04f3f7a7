// SPDX-License-Identifier: MIT OR Apache-2.0
//! The reader on real pins: rights, restarts, epochs, churn, a million entries.
