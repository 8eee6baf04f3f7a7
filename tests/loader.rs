// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loader's life: attach, again, upgrade, detach, and every fault of it.
