// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compiles the BPF objects. The only place with clang flags, so that what the tests prove
//! and what the loader embeds come from the same command.
//!
//! A build-time helper: it runs clang, it never loads anything into a kernel.

#![forbid(unsafe_code)]

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use libbpf_cargo::SkeletonBuilder;

/// The C sources of this crate.
#[must_use]
pub fn source_dir() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The compiler: `CLANG` where set, else the newest of clang-19 and clang that is there.
#[must_use]
pub fn clang() -> PathBuf {
    if let Some(named) = env::var_os("CLANG") {
        return named.into();
    }
    let found = env::var_os("PATH").and_then(|path| {
        env::split_paths(&path).map(|dir| dir.join("clang-19")).find(|at| at.is_file())
    });
    found.unwrap_or_else(|| "clang".into())
}

/// Flags for every object. `-mcpu=v3` gives 32-bit subregisters and atomics that return the
/// old value; every kernel with `xdp.frags` (5.18) takes it.
fn clang_args() -> Vec<String> {
    let include = source_dir().join("include");
    let mut args: Vec<String> =
        ["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-mcpu=v3"]
            .map(str::to_owned)
            .to_vec();
    args.push(format!("-I{}", include.display()));
    // Debian keeps <asm/types.h> in the multiarch folder, which `-target bpf` does not search.
    args.push(format!("-I/usr/include/{}-linux-gnu", env::consts::ARCH));
    args
}

fn builder(clang: &Path, source: &Path, object: &Path) -> SkeletonBuilder {
    let mut builder = SkeletonBuilder::new();
    builder.source(source).obj(object).clang(clang).clang_args(clang_args());
    builder
}

/// Compiles any BPF C file to `object`, for tests that make programs of their own.
///
/// # Errors
/// When clang is missing or refuses the file; the message holds clang's own.
pub fn compile(source: &Path, object: &Path) -> Result<()> {
    compile_with(&clang(), source, object)
}

/// Like [`compile`] with a compiler of the caller's choice.
///
/// # Errors
/// When it is missing or refuses the file; the message holds its own.
pub fn compile_with(clang: &Path, source: &Path, object: &Path) -> Result<()> {
    builder(clang, source, object)
        .build()
        .with_context(|| format!("failed to compile `{}`", source.display()))
}

/// Compiles `<name>.bpf.c` of this crate and writes `<name>.bpf.o` and `<name>.skel.rs` to
/// `out_dir`; tells cargo when to do it again.
///
/// # Errors
/// When clang is missing or refuses the file; the message holds clang's own.
#[expect(clippy::print_stdout, reason = "cargo reads a build script's stdout")]
pub fn build_skeleton(name: &str, out_dir: &Path) -> Result<()> {
    let source = source_dir().join(format!("{name}.bpf.c"));
    let object = out_dir.join(format!("{name}.bpf.o"));
    builder(&clang(), &source, &object)
        .build_and_generate(out_dir.join(format!("{name}.skel.rs")))
        .with_context(|| format!("failed to compile `{}`", source.display()))?;
    println!("cargo:rerun-if-changed={}", source.display());
    println!("cargo:rerun-if-changed={}", source_dir().join("include").display());
    println!("cargo:rerun-if-env-changed=CLANG");
    Ok(())
}
