// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the guard and its skeleton.

use std::env;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

fn main() -> Result<()> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").context("cargo sets OUT_DIR")?);
    ibsr_bpf::build_skeleton("guard", &out_dir)
}
