// SPDX-License-Identifier: MIT OR Apache-2.0
//! All tests. Built once with every target, so that no step changes the features of a
//! dependency and compiles it again.

use anyhow::Result;

use crate::python;
use crate::step::{cargo, run, say};

/// Builds, then runs the tests; as root also those whose name holds `:root:`.
pub(crate) fn test() -> Result<()> {
    run("build", cargo().args(["build", "--workspace", "--all-targets", "--locked"]))?;
    python::install_duckdb()?;
    let mut test = cargo();
    test.args(["test", "--workspace", "--locked", "--no-fail-fast"]);
    if !is_root() {
        say("not root: tests that attach to the kernel are SKIPPED; run as root for all");
        test.args(["--", "--skip", ":root:"]);
    }
    run("test", &mut test)
}

/// The owner of `/proc/self` is the effective user.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
