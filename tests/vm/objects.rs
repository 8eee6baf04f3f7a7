// SPDX-License-Identifier: MIT OR Apache-2.0
//! Objects that the tests would compile themselves, compiled outside of the guest: an emulated
//! clang takes seconds for each.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_tests::prog::{compiled_ahead, compilers};

/// Writes the sensor's objects, and those of test programs that load one, into `dir`.
pub fn write(dir: &Path) -> Result<Answer> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    for sources in [ibsr_bpf::source_dir(), tests.join("bpf")] {
        for entry in fs::read_dir(&sources)? {
            let source = entry?.path();
            if !source.to_string_lossy().ends_with(".bpf.c") {
                continue;
            }
            for clang in compilers() {
                let object = compiled_ahead(dir, &clang, &source);
                let folder = object.parent().context("an object lies in a folder")?;
                fs::create_dir_all(folder)?;
                ibsr_bpf::compile_with(&clang, &source, &object)?;
            }
        }
    }
    Ok(Answer::Yes)
}
