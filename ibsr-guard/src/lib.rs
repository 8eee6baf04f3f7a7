// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the guard's program and its tests share: how a compiled policy comes into
//! the kernel, and how queries are judged where they leave.

#![deny(unsafe_code)]

pub mod dns;
pub mod install;
