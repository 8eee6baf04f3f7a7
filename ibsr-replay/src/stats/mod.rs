// SPDX-License-Identifier: MIT OR Apache-2.0
//! The mathematics: exact bounds, how many clusters they need, looks that were spent.
