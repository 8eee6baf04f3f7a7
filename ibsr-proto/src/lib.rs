// SPDX-License-Identifier: MIT OR Apache-2.0
//! What crosses a process boundary: the kernel ABI, the pins, the segments and the ledger.
//!
//! Pure types and pure functions. Nothing here opens a file, a socket or a clock, so every
//! rule about the data can be tested as a value and every program agrees on it.

#![forbid(unsafe_code)]

#[macro_use]
pub mod abi;
pub mod addr;
pub mod baseline;
pub mod cgroup_abi;
pub mod cgroup_behaviour_abi;
pub mod cgroup_dns_abi;
pub mod cgroup_zone_abi;
pub mod conservation;
pub mod container;
pub mod guard_abi;
pub mod guard_control;
pub mod ledger;
pub mod linear_counting;
pub mod pins;
pub mod ports;
pub mod snapshot;
pub mod verdict;
