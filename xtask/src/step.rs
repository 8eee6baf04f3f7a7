// SPDX-License-Identifier: MIT OR Apache-2.0
//! One step: a command, its name and how long it took. Also where things lie, and the tools
//! that are not part of a Rust installation.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};

/// A lint tool from the registry, at the version that the project was last checked with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Package and program.
    pub name: &'static str,
    /// Exact version.
    pub version: &'static str,
}

impl Tool {
    /// Path of the program, installed on first use beside the build's own output. Built
    /// without optimisation: compiling it is what costs, not running it.
    pub(crate) fn path(self) -> Result<PathBuf> {
        let root = target_dir()?.join("tools").join(format!("{}-{}", self.name, self.version));
        let program = root.join("bin").join(self.name);
        if !program.is_file() {
            let mut install = cargo();
            install.args(["install", "--quiet", "--locked", "--debug", self.name]);
            install.args(["--version", self.version, "--root"]).arg(&root);
            install.arg("--target-dir").arg(root.join("build")).env("CARGO_PROFILE_DEV_DEBUG", "0");
            run(&format!("install {}", self.name), &mut install)?;
            // A few hundred megabytes that nothing needs again.
            let _left_over = std::fs::remove_dir_all(root.join("build"));
        }
        Ok(program)
    }
}

/// Runs `command`, says its name before and its seconds after.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    say(&format!("{name} ..."));
    let start = Instant::now();
    let status = command
        .current_dir(root())
        .status()
        .with_context(|| format!("failed to start `{}`", command.get_program().display()))?;
    ensure!(status.success(), "{name}: failed\n  {command:?}");
    say(&format!("{name}: {} s", start.elapsed().as_secs()));
    Ok(())
}

/// One line about a step.
#[expect(clippy::print_stderr, reason = "a chore talks to whoever started it")]
pub(crate) fn say(text: &str) {
    eprintln!("== {text}");
}

/// The cargo that runs us.
pub(crate) fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")))
}

/// Root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Folder of the programs that were built together with this one.
pub(crate) fn program_dir() -> Result<PathBuf> {
    let mut dir = std::env::current_exe().context("failed to find the running program")?;
    dir.pop();
    if dir.ends_with("deps") {
        dir.pop();
    }
    Ok(dir)
}

/// Folder of the build's output.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let mut dir = program_dir()?;
    dir.pop();
    Ok(dir)
}

/// Files under `dir`, at any depth, whose name ends in one of `suffixes`, sorted.
pub(crate) fn files(dir: &Path, suffixes: &[&str]) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries =
        std::fs::read_dir(dir).with_context(|| format!("failed to list `{}`", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, suffixes)?);
        } else if suffixes.iter().any(|suffix| path.to_string_lossy().ends_with(suffix)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
