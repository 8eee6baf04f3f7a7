// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor on a wire: conservation, coverage, two CPUs.
