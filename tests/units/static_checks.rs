// SPDX-License-Identifier: MIT OR Apache-2.0
//! What systemd's own tools say about the units, without booting anything.

use std::fs;
use std::path::Path;
use std::process::Command;

use ibsr_tests::process::say;

use crate::install::{checkout, install, install_guard};

/// Unit, and the most that `systemd-analyze security` may give it, in tenths.
const EXPOSURE: [(&str, u32); 6] = [
    ("ibsr-loader@.service", 20),
    ("ibsr-reader@.service", 10),
    ("ibsr-export.service", 15),
    ("ibsr-guard.service", 20),
    ("ibsr-guard-arm.service", 20),
    ("ibsr-guard-renew.service", 20),
];

fn exposure(unit: &Path, threshold: u32) -> bool {
    let said = say(Command::new("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true"])
        .arg(format!("--threshold={threshold}"))
        .arg(unit));
    assert!(said.stdout.contains("Overall exposure level"), "{}{}", said.stdout, said.stderr);
    said.code == Some(0)
}

/// The budget of each process; a line dropped from a unit must not go unseen.
#[test]
fn no_unit_is_more_exposed_than_its_budget() {
    for (unit, tenths) in EXPOSURE {
        assert!(exposure(&checkout().join("systemd").join(unit), tenths), "{unit} > {tenths}/10");
    }
}

/// The check above can fail: the reader without its hardening is far above its budget.
#[test]
fn a_unit_without_hardening_is_over_the_budget() {
    let dir = tempfile::tempdir().expect("a directory");
    let unit = dir.path().join("ibsr-reader@.service");
    fs::write(&unit, "[Service]\nExecStart=/bin/true\n").expect("written");
    assert!(!exposure(&unit, 90));
}

/// Every directive is known, every program is where the unit says, and so is the manual page
/// that `systemctl help` opens.
#[test]
fn systemd_understands_every_installed_unit() {
    let dir = tempfile::tempdir().expect("a directory");
    install(Path::new(""), dir.path());
    install_guard(Path::new(""), dir.path());
    let units = dir.path().join("lib/systemd/system");
    let names = [
        "ibsr-loader@lo.service",
        "ibsr-reader@lo.service",
        "ibsr-export.service",
        "ibsr-export.timer",
        "ibsr-guard.service",
        "ibsr-guard-arm.service",
        "ibsr-guard-renew.service",
        "ibsr-guard-renew.timer",
    ];
    let said = say(Command::new("systemd-analyze")
        .args(["verify", "--recursive-errors=no", "--man=no"])
        .args(names.map(|name| units.join(name)))
        .env("SYSTEMD_UNIT_PATH", format!("{}:", units.display())));
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""), "{}", said.stdout);
    for page in ["ibsr-loader.1", "ibsr-reader.1", "ibsr-export.1", "ibsr-guard.1"] {
        assert!(dir.path().join("share/man/man1").join(page).is_file(), "{page}");
    }
}

/// Nothing that can deny comes with an ordinary installation, and nothing starts it at boot.
#[test]
fn the_guard_is_not_installed_unless_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    install(Path::new(""), dir.path());
    let units = dir.path().join("lib/systemd/system");
    let names = |of: &Path| -> Vec<String> {
        let entries = fs::read_dir(of).expect("it was installed");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into()).collect()
    };
    let has_guard = |of: &Path| names(of).iter().any(|name| name.starts_with("ibsr-guard"));
    assert!(!has_guard(&units) && !has_guard(&dir.path().join("bin")));
    install_guard(Path::new(""), dir.path());
    assert!(has_guard(&units) && has_guard(&dir.path().join("bin")));
    for unit in ["ibsr-guard-arm.service", "ibsr-guard-renew.timer"] {
        let text = fs::read_to_string(units.join(unit)).expect("it was installed");
        assert!(!text.contains("[Install]"), "{unit} can be enabled");
    }
}

#[test]
fn sysusers_makes_the_two_users() {
    let config = fs::File::open(checkout().join("systemd/ibsr.sysusers")).expect("the file");
    let root = tempfile::tempdir().expect("a directory");
    let said = say(Command::new("systemd-sysusers")
        .args(["--dry-run", "-"])
        .arg(format!("--root={}", root.path().display()))
        .stdin(config));
    let text = said.expect_code(0).stderr;
    for made in ["ibsr", "ibsr-export"] {
        assert!(text.contains(&format!("Creating user '{made}'")), "{text}");
    }
}
