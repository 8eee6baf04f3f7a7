// SPDX-License-Identifier: MIT OR Apache-2.0
//! The kernel ABI: BTF of every built object against the Rust mirror.
