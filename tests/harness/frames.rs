// SPDX-License-Identifier: MIT OR Apache-2.0
//! Ethernet frames, built and sent.
