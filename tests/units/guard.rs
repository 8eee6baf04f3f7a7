// SPDX-License-Identifier: MIT OR Apache-2.0
//! A boot with the guard's units: nothing starts by itself, a rehearsal counts, evidence arms,
//! the timer renews, and stopping passes everything.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ibsr_evidence::{SecretKey, Signature, Subject, canonical};
use ibsr_policy::canonical_text;
use ibsr_tests::lab_evidence::{ready, write_bundle};
use serde_json::{Value, json};
use test_tag::tag;

use crate::machine::Machine;

const LIB: &str = include_str!("lib.sh");
const BOOT: &str = include_str!("guard_boot.sh");
/// Far above what a boot takes that has to wait for another one.
const BOOT_LIMIT: Duration = Duration::from_secs(500);
const DENIED: &str = "Operation not permitted";
const PASSED: &str = "Connection refused";

/// G2, G7: by the real units under the real systemd.
#[tag(root)]
#[test]
fn the_units_rehearse_arm_renew_and_let_go() {
    let machine = Machine::with_guard();
    thread::scope(|scope| {
        scope.spawn(|| bring_evidence(&machine));
        machine.boot(&format!("{LIB}\n{BOOT}"));
    });
    let out = |name: &str| machine.out(name);
    let status = |name: &str| -> Value { serde_json::from_str(&out(name)).expect("JSON") };

    // Installed, not enabled, not started.
    assert!(out("unit-files").contains("ibsr-guard.service"), "{}", out("unit-files"));
    assert!(!out("unit-files").contains(" enabled enabled"), "{}", out("unit-files"));
    assert!(!out("units-at-boot").contains(" active "), "{}", out("units-at-boot"));

    assert_eq!(out("after-refusal"), "active\ninactive");
    assert_eq!(out("connect-rehearsing"), PASSED);
    let rehearsing = status("status-rehearsing");
    assert_eq!(rehearsing["mode"], "rehearsal");
    assert_eq!(rehearsing["dns_interfaces"], json!(["lo", "sensor0"]));
    assert!(rehearsing["hooks"]["query"]["would_deny"].as_u64() > Some(0), "{rehearsing}");

    assert_eq!(out("connect-armed"), DENIED);
    let armed = status("status-armed");
    assert_eq!(armed["mode"], "enforcing");
    assert!(armed["hooks"]["query"]["denied"].as_u64() > Some(0), "{armed}");
    assert_only_root_and_group(&out("pins"));
    for name in ["connect-renewed", "connect-last", "connect-renewed-again"] {
        assert_eq!(out(name), DENIED, "{name}");
    }
    assert_eq!(out("connect-after-lease"), PASSED);
    assert_eq!(status("status-after-lease")["mode"], "shadow");

    assert_eq!(out("connect-stopped"), PASSED);
    assert_eq!(out("after-stop"), "inactive\ninactive\ninactive");
    assert_eq!(out("pins-after-stop"), "");
}

/// No pin has a bit for others, and the group may write one alone: to read a ring is to say how far.
fn assert_only_root_and_group(list: &str) {
    let pins: Vec<&str> = list.lines().filter(|line| line.starts_with(['-', 'd'])).collect();
    assert!(pins.len() > 10, "{list}");
    assert!(pins.iter().all(|line| &line[7..10] == "---"), "{list}");
    let mut written = pins.iter().filter(|line| &line[5..6] == "w");
    assert!(written.next().is_some_and(|line| line.ends_with(" ibsr_g_records")), "{list}");
    assert_eq!(written.next(), None, "{list}");
}

/// Waits, until the machine's script has ended, for what the guard inside says that evidence has to be about, and puts evidence there,
/// signed by a key that the machine trusts.
fn bring_evidence(machine: &Machine) {
    let (begun, subject) = (Instant::now(), machine.path("out/subject.json"));
    while !subject.exists() {
        // Then the boot fails by itself and says why.
        if machine.path("out/journal").exists() || begun.elapsed() > BOOT_LIMIT {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    let subject: Subject =
        serde_json::from_slice(&fs::read(subject).expect("readable")).expect("a subject");
    let path = machine.path("etc/ibsr/policy.yaml");
    let policy = fs::read_to_string(&path).expect("readable");
    let policy = ibsr_policy::parse("policy", &policy, &|_| Err("no lists".into()));
    let text = canonical_text(&policy.unwrap_or_else(|error| panic!("{error}")));
    let key = SecretKey::generate().expect("random numbers");
    let etc = path.parent().unwrap_or(Path::new("/"));
    fs::write(etc.join("report.pub"), key.public().to_text()).expect("writable");
    let bytes = canonical(&ready(subject, &text)).expect("exact numbers");
    let signature = Signature::sign(&bytes, &key).to_text();
    write_bundle(&etc.join("evidence"), &bytes, &signature, &text);
    fs::write(machine.path("out/evidence-is-there"), "").expect("writable");
}
