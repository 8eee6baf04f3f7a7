// SPDX-License-Identifier: MIT OR Apache-2.0
//! Claims in the documentation that a command can check.
