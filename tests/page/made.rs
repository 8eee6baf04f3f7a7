// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reports for the browser, made by the program.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use ibsr_tests::process::{program, say};
use ibsr_tests::segments::{FIRST_SEQ, SegmentSpec, Traffic};
use serde_json::Value;
use tempfile::TempDir;

/// A directory with every file of a report.
pub(super) struct Made {
    dir: TempDir,
    json: Value,
}

impl Made {
    fn of(input: &Path) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(program("ibsr-report"));
        command.arg("run").arg(input).args(["--now", "2026-11-22T15:00:00Z", "--quiet"]);
        let said = say(command.arg("--out").arg(dir.path()));
        assert!(matches!(said.code, Some(0 | 1)), "{}", said.stderr);
        let text = fs::read(dir.path().join("report.json")).expect("report.json");
        let json = serde_json::from_slice(&text).expect("JSON");
        Self { dir, json }
    }

    /// report.html.
    pub(super) fn page(&self) -> String {
        fs::read_to_string(self.dir.path().join("report.html")).expect("report.html")
    }

    /// The verdict as report.json has it, in the spelling of people.
    pub(super) fn verdict(&self) -> String {
        self.json["decision"]["verdict"].as_str().expect("a verdict").to_uppercase()
    }

    /// Entries of a list.
    pub(super) fn count(&self, pointer: &str) -> u64 {
        self.json.pointer(pointer).and_then(Value::as_array).expect("a list").len() as u64
    }
}

/// Two weeks of a site that does not exist, with every kind of attack.
pub(super) fn fortnight() -> &'static Made {
    static MADE: OnceLock<Made> = OnceLock::new();
    MADE.get_or_init(|| {
        let site = tempfile::tempdir().expect("a directory");
        let mut command = Command::new(program("ibsr-report"));
        command.args(["simulate", "--preset", "mixed", "--seed", "7", "--days", "14"]);
        command.args(["--clients", "200", "--quiet", "--out"]).arg(site.path().join("site"));
        let _written = say(&mut command).expect_code(0);
        Made::of(&site.path().join("site"))
    })
}

/// Two minutes with a flood, worked out by hand for another test.
pub(super) fn flood() -> Made {
    Made::of(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/flood/in"))
}

/// Segments of three hosts, one with a gap, whose names are as long as a label may be.
pub(super) fn hosts() -> Made {
    let spool = tempfile::tempdir().expect("a directory");
    for (number, host) in
        ["h1", "web-eu-1", &"a-very-long-name-of-a-host-".repeat(2)].iter().enumerate()
    {
        let mut traffic = Traffic::new(number as u64, 30);
        let first = SegmentSpec::of(FIRST_SEQ, traffic.sweeps(30));
        let _lost = traffic.sweeps(number * 5);
        let next = FIRST_SEQ + 30 + number as u64 * 5;
        let boot = format!("0af3c9d{number}-5b1e-4c7a-9d30-6f2b8f1c2a44");
        for spec in [first, SegmentSpec::of(next, traffic.sweeps(30))] {
            let _path = SegmentSpec { host: (*host).into(), boot: boot.clone(), ..spec }
                .write(spool.path());
        }
    }
    Made::of(spool.path())
}

/// A directory without a segment.
pub(super) fn empty() -> Made {
    Made::of(tempfile::tempdir().expect("a directory").path())
}
