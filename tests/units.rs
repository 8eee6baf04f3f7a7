// SPDX-License-Identifier: MIT OR Apache-2.0
//! The systemd units: how exposed they are, whether systemd understands them, and a boot of
//! a Debian with them on the real kernel.

#[path = "units/boot.rs"]
mod boot;
#[path = "units/guard.rs"]
mod guard;
#[path = "units/install.rs"]
mod install;
#[path = "units/machine.rs"]
mod machine;
#[path = "units/static_checks.rs"]
mod static_checks;
