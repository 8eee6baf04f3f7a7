// SPDX-License-Identifier: MIT OR Apache-2.0
//! The green light before a commit: the same steps as CI, in an order that fails fast.

use anyhow::Result;

use crate::{deny, deps, faults, fmt, lint, test};

/// Runs every step and stops at the first that fails.
pub(crate) fn check() -> Result<()> {
    fmt::fmt(true)?;
    deps::deps()?;
    faults::faults(true)?;
    deny::deny()?;
    lint::lint()?;
    test::test()
}
