// SPDX-License-Identifier: MIT OR Apache-2.0
//! rustfmt for Rust, clang-format for BPF C.

use std::process::Command;

use anyhow::Result;

use crate::step::{cargo, files, root, run};

/// Pinned: two versions of clang-format rarely agree.
const CLANG_FORMAT: &str = "clang-format-19";

/// Formats everything, or with `check` only fails where something is not formatted.
pub(crate) fn fmt(check: bool) -> Result<()> {
    let mut rust = cargo();
    rust.args(["fmt", "--all"]);
    let mut c = Command::new(CLANG_FORMAT);
    if check {
        rust.arg("--check");
        c.args(["--dry-run", "-Werror"]);
    } else {
        c.arg("-i");
    }
    for dir in ["bpf", "tests"] {
        c.args(files(&root().join(dir), &[".bpf.c", ".h"])?);
    }
    run("rustfmt", &mut rust)?;
    run("clang-format", &mut c)
}
