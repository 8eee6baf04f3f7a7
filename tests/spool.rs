// SPDX-License-Identifier: MIT OR Apache-2.0
//! The spool under faults: full disk, kills, power loss, planted files.
