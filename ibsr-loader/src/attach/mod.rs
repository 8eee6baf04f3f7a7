// SPDX-License-Identifier: MIT OR Apache-2.0
//! `attach`: look, choose, prove, load, pin, link, for each kind of scope.

pub mod cgroup;
pub mod xdp;
