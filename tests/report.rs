// SPDX-License-Identifier: MIT OR Apache-2.0
//! The report over files: golden, faults, determinism, and against the truth of a generator.

#[path = "report/bucket.rs"]
mod bucket;
#[path = "report/cgroups.rs"]
mod cgroups;
#[path = "report/duckdb.rs"]
mod duckdb;
#[path = "report/egress.rs"]
mod egress;
#[path = "report/egress_bundle.rs"]
mod egress_bundle;
#[path = "report/egress_golden.rs"]
mod egress_golden;
#[path = "report/egress_stage.rs"]
mod egress_stage;
#[path = "report/engines.rs"]
mod engines;
#[path = "report/faults.rs"]
mod faults;
#[path = "report/golden.rs"]
mod golden;
#[path = "report/labels.rs"]
mod labels;
#[path = "report/same_bytes.rs"]
mod same_bytes;
#[path = "report/truth.rs"]
mod truth;

use std::path::Path;
use std::process::Command;

use ibsr_tests::process::{Said, program, say};
use serde_json::Value;

/// `ibsr-report run` with a fixed clock.
fn run(input: &Path) -> Command {
    let mut command = Command::new(program("ibsr-report"));
    command.arg("run").arg(input).args(["--now", "2026-11-22T15:00:00Z"]);
    command
}

/// The report as JSON, and how the program ended.
fn json(input: &Path) -> (Value, Said) {
    let said = say(run(input).args(["--format", "json"]));
    assert!(!said.stderr.contains("panicked"), "{}", said.stderr);
    let value = serde_json::from_str(&said.stdout)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", said.stdout, said.stderr));
    (value, said)
}

/// A number in the report, by its JSON pointer.
#[track_caller]
fn number(report: &Value, pointer: &str) -> u64 {
    let value = report.pointer(pointer).unwrap_or_else(|| panic!("no `{pointer}` in {report:#}"));
    value.as_u64().unwrap_or_else(|| panic!("`{pointer}` is {value}"))
}
