// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systemd units: exposure, and a boot of them.
