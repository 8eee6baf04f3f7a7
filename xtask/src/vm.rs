// SPDX-License-Identifier: MIT OR Apache-2.0
//! The root tests on other kernels: Debian's, booted in QEMU one after the other. A guest runs
//! the very programs that were built here, see tests/vm.

mod image;
mod kernel;
mod machine;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Map, Value, json};

use crate::step::{cargo, program_dir, root, say, target_dir};
use kernel::Kernel;
use machine::{Guest, Outcome};

/// Name of a kernel here, and the Debian release that it comes from. The first one is too old:
/// there the loader must refuse in one line.
const KERNELS: [(&str, &str); 4] =
    [("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie"), ("newest", "trixie-backports")];
const RUNNER: &str = "ibsr-vm-guest";
/// Figures that the guests compare theirs with, and how to ask for new ones.
const BASELINE: &str = "tests/baseline/verifier.json";
const BLESS: &str = "IBSR_BLESS";

/// Runs the tests on the kernels called `names`, on all without a name.
pub(crate) fn vm(names: &[&str]) -> Result<()> {
    ensure!(cfg!(target_arch = "x86_64"), "the guests are x86-64 and run what was built here");
    for name in names {
        ensure!(KERNELS.iter().any(|(known, _)| known == name), "no kernel is called `{name}`");
    }
    let dir = target_dir()?.join("vm");
    let tests = build()?;
    let runner = program_dir()?.join(RUNNER);
    let objects = dir.join("objects");
    let mut prepare = Command::new(&runner);
    let status = prepare.arg("objects").arg(&objects).status()?;
    ensure!(status.success(), "failed to compile the objects for the guests");
    let mut wrong = Vec::new();
    for (name, suite) in KERNELS {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        let kernel = Kernel::of_suite(suite, &dir.join("kernels"))?;
        let plan = json!({
            "dir": root().join("tests"),
            "objects": objects,
            "tests": tests,
            "baseline": fs::read_to_string(root().join(BASELINE))?,
            "is_blessing": std::env::var_os(BLESS).is_some(),
        });
        let at = dir.join(name);
        let outcome = Guest { runner: runner.clone(), plan }.run(&kernel, &at)?;
        if !tell(&kernel.release, &outcome, &at) {
            wrong.push(name);
        }
        bless(&at)?;
    }
    ensure!(wrong.is_empty(), "not green on {}", wrong.join(", "));
    Ok(())
}

/// Builds everything, the way every other step does; name and path of each test program.
fn build() -> Result<Map<String, Value>> {
    let mut build = cargo();
    build.args(["build", "--workspace", "--all-targets", "--locked"]);
    let output = build
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(root())
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("failed to start `cargo build`")?;
    ensure!(output.status.success(), "the build failed");
    let mut tests = Map::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let artifact: Value = serde_json::from_str(line)?;
        let target = &artifact["target"];
        let is_test = artifact["profile"]["test"] == true && target["kind"][0] == "test";
        if let (true, Some(name)) = (is_test, target["name"].as_str()) {
            tests.insert(name.to_owned(), artifact["executable"].clone());
        }
    }
    Ok(tests)
}

/// Prints what a guest reports; whether every test passed or was skipped for a reason.
fn tell(release: &str, outcome: &Outcome, dir: &Path) -> bool {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let report = &outcome.report;
    let (mut passed, mut failed, mut skipped) = (0, 0, 0);
    let mut lines = Vec::new();
    for run in list(&report["runs"]) {
        let count = |of: &str| list(&run[of]).len();
        let name = run["test"].as_str().unwrap_or_default();
        passed += count("passed");
        failed += count("failed");
        skipped += count("skipped");
        lines.push(format!(
            "   {name:<14} {:>4} passed {:>3} failed {:>3} skipped {:>5} s",
            count("passed"),
            count("failed"),
            count("skipped"),
            run["seconds"]
        ));
        for test in list(&run["failed"]) {
            let log = dir.join("out").join(name);
            lines.push(format!("      FAILED  {}: `{}`", text(&test), log.display()));
        }
        for test in list(&run["skipped"]) {
            lines.push(format!("      skipped {}: {}", text(&test["test"]), text(&test["reason"])));
        }
    }
    let is_complete = report["is_complete"] == true;
    say(&format!(
        "{release}: {passed} passed, {failed} failed, {skipped} skipped, {} s, of which boot {} s",
        outcome.seconds, report["boot_s"]
    ));
    lines.iter().for_each(|line| say(line));
    if !is_complete {
        say(&format!("   it ended too early: `{}`", dir.join("console.log").display()));
    }
    is_complete && failed == 0 && passed > 0
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Takes over the figures that a guest was asked to write.
fn bless(dir: &Path) -> Result<()> {
    let written: PathBuf = dir.join("out/blessed.json");
    if written.is_file() {
        fs::copy(&written, root().join(BASELINE))?;
        say(&format!("{BASELINE}: taken over from `{}`", written.display()));
    }
    Ok(())
}
