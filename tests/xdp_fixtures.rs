// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames through the real XDP program: class, counters, bytes unchanged.
