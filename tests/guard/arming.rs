// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arming: refused unless the evidence is about exactly this, and done without a packet that
//! is unguarded or uncounted.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use ibsr_evidence::{GuardManifest, SecretKey, Verdict};
use ibsr_tests::process::{program, say};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use test_tag::tag;

use crate::lab::{Lab, other, refused};

const EPERM: i32 = libc::EPERM;
const POLICY: &str = "rules:\n  - {action: deny, ports: 1000}\n";
const DENIED: &str = "10.77.0.2:1000";

/// A path into a JSON value, as text and as steps.
type Leaf = (String, Vec<Value>);

/// Every leaf of `value`: what is neither a list nor an object.
fn leaves(value: &Value, at: &[Value], all: &mut Vec<Leaf>) {
    let below = |step: Value| [at, &[step]].concat();
    match value {
        Value::Object(map) => map.iter().for_each(|(k, v)| leaves(v, &below(json!(k)), all)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, v)| leaves(v, &below(json!(i)), all));
        }
        _ => {
            let words: Vec<String> =
                at.iter().map(|step| step.to_string().replace('"', "")).collect();
            all.push((words.join("."), at.to_vec()));
        }
    }
}

fn at<'value>(value: &'value mut Value, steps: &[Value]) -> &'value mut Value {
    steps.iter().fold(value, |value, step| match step {
        Value::String(key) => &mut value[key.as_str()],
        index => &mut value[usize::try_from(index.as_u64().expect("an index")).expect("small")],
    })
}

/// Another value of the same kind, as near as there is one.
fn changed(value: &Value) -> Value {
    match value {
        Value::Null => json!(1),
        Value::Bool(is_true) => json!(!is_true),
        Value::Number(number) => json!(number.as_u64().expect("all are counts") + 1),
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) => json!((time + SignedDuration::from_secs(1)).to_string()),
            Err(_) if text.len() == 64 => {
                json!(format!("{}{}", &text[..63], if text.ends_with('0') { '1' } else { '0' }))
            }
            Err(_) => json!(format!("{text}x")),
        },
        _ => unreachable!("a leaf"),
    }
}

/// What a trusted key may say otherwise, with the same policy on the same machine: another
/// report. Everything else must be what is here, or what the rest of the manifest says.
const ANOTHER_REPORT: [&str; 20] = [
    "created_at",
    "expires_at",
    "gates.0.limit",
    "gates.0.name",
    "gates.0.unit",
    "gates.0.value",
    "inputs.0.bytes",
    "inputs.0.name",
    "judged",
    "limits.alpha_ppb",
    "limits.budget_denials",
    "limits.connections_ppb",
    "limits.destinations_ppb",
    "lost",
    "period.from_unix_ms",
    "period.timed_ms",
    "period.to_unix_ms",
    "period.untimed_ms",
    "tool",
    "would_deny",
];

/// Each leaf of the manifest is changed: under the old signature nothing is accepted, under a
/// new one of the trusted key only what makes it another report. So is each left out.
#[tag(root)]
#[test]
fn any_field_of_the_evidence_that_is_changed_is_refused() {
    let lab = Lab::rehearsing(POLICY);
    let manifest = lab.manifest();
    lab.seal(&manifest);
    lab.arm(&["--dry-run"]).expect_code(0);
    let value = serde_json::to_value(&manifest).expect("JSON");
    let signature = fs::read_to_string(lab.bundle().join("manifest.sig")).expect("readable");
    let mut all = Vec::new();
    leaves(&value, &[], &mut all);
    assert!(all.len() > 35, "{} leaves", all.len());
    let mut accepted = Vec::new();
    for (name, steps) in &all {
        let mut wrong = value.clone();
        let leaf = at(&mut wrong, steps);
        *leaf = changed(leaf);
        let bytes = ibsr_evidence::canonical(&wrong).expect("exact numbers");
        lab.write_bundle(&bytes, &signature);
        lab.arm(&[]).expect_code(2).expect_stderr("is not what key");
        lab.seal_value(&wrong, &lab.key);
        let said = lab.arm(&["--dry-run"]);
        match said.code {
            Some(0) => accepted.push(name.as_str()),
            _ => drop(said.expect_code(2)),
        }
        let mut without = value.clone();
        let (last, above) = steps.split_last().expect("a leaf has a place");
        if let (Value::Object(map), Value::String(key)) = (at(&mut without, above), last) {
            map.remove(key.as_str());
            lab.seal_value(&without, &lab.key);
            lab.arm(&["--dry-run"]).expect_code(2);
        }
    }
    accepted.sort_unstable();
    assert_eq!(accepted, ANOTHER_REPORT);
    assert_eq!(lab.mode(), "rehearsal");
}

/// What `arm` says of a manifest that the lab signs after `change`.
fn refusal(lab: &Lab, change: impl FnOnce(&mut GuardManifest)) -> String {
    let mut manifest = lab.manifest();
    change(&mut manifest);
    lab.seal(&manifest);
    lab.arm(&[]).expect_code(2).stderr
}

/// G1: each reason by its own words, and the guard stays in shadow.
#[tag(root)]
#[test]
fn each_reason_against_arming_is_named_and_nothing_is_denied() {
    let lab = Lab::new("");
    let tool = lab.path("tool");
    fs::write(&tool, "1").expect("writable");
    let policy = format!("{POLICY}  - {{action: deny, exe: {}, ports: 1001}}\n", tool.display());
    lab.write_policy(&policy);
    let said = lab.arm(&[]).expect_code(2);
    assert!(said.stderr.contains("failed to open the bundle"), "{}", said.stderr);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(2).expect_stderr("no guard is attached");
    let (path, cgroup) = (lab.path("policy.yaml"), lab.cgroup.path().to_owned());
    lab.guard("rehearse", &[&path, "--cgroup".as_ref(), &cgroup]).expect_code(0);

    let now = Timestamp::now();
    type Change = Box<dyn FnOnce(&mut GuardManifest)>;
    let cases: [(Change, &str); 9] = [
        (
            Box::new(move |manifest| {
                manifest.created_at = now - SignedDuration::from_hours(30);
                manifest.expires_at = now - SignedDuration::from_secs(1);
            }),
            "expired at",
        ),
        (Box::new(|manifest| manifest.subject.host.push('x')), "the host: proven"),
        (
            Box::new(|manifest| {
                manifest.subject.machine_sha256 = other(manifest.subject.machine_sha256);
            }),
            "the machine: proven",
        ),
        (Box::new(|manifest| manifest.subject.cgroup.push_str("/..")), "the cgroup: proven"),
        (
            Box::new(|manifest| {
                manifest.subject.identities_sha256 = other(manifest.subject.identities_sha256);
            }),
            "the executables, users and cgroups of the policy: proven",
        ),
        (
            Box::new(|manifest| {
                manifest.subject.object_sha256 = other(manifest.subject.object_sha256);
            }),
            "the program of the guard: proven",
        ),
        (Box::new(|manifest| manifest.verdict = Verdict::NotReady), "\"NOT_READY\", not READY"),
        (Box::new(|manifest| manifest.verdict = Verdict::NoBenefit), "\"NO_BENEFIT\", not READY"),
        (
            Box::new(|manifest| manifest.verdict = Verdict::InsufficientEvidence),
            "\"INSUFFICIENT_EVIDENCE\", not READY",
        ),
    ];
    for (change, expected) in cases {
        let said = refusal(&lab, change);
        assert!(said.contains(expected), "{said}: {expected}");
    }

    lab.seal(&lab.manifest());
    lab.write_policy(&policy.replace("1000", "1002"));
    lab.arm(&[]).expect_code(2).expect_stderr("the policy: proven");
    lab.write_policy(&policy);
    // The same path, another file: what was rehearsed is not what would be denied to.
    fs::write(lab.path("new"), "1").expect("writable");
    fs::rename(lab.path("new"), &tool).expect("the same directory");
    lab.arm(&[]).expect_code(2).expect_stderr("executables, users and cgroups");

    let stranger = SecretKey::generate().expect("random numbers");
    let manifest = serde_json::to_value(lab.manifest()).expect("JSON");
    lab.seal_value(&manifest, &stranger);
    lab.arm(&[]).expect_code(2).expect_stderr("not among the trusted");
    assert_eq!(lab.mode(), "rehearsal");
    assert_eq!(refused(&mut lab.actor(), DENIED), None);

    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    assert_eq!(refused(&mut lab.actor(), DENIED), Some(EPERM));
}

/// The files are those that were signed, and nothing else lies there or is waited for.
#[tag(root)]
#[test]
fn a_bundle_with_another_file_than_the_signed_ones_is_refused() {
    let lab = Lab::rehearsing(POLICY);
    let manifest = lab.manifest();
    let policy = lab.bundle().join("policy.txt");
    type Change = fn(&Lab, &Path);
    let cases: [(Change, &str); 6] = [
        (|_, policy| fs::write(policy, "other").expect("writable"), "is not what was signed"),
        (|_, policy| fs::remove_file(policy).expect("there"), "`policy.txt` is missing"),
        (
            |lab, _| fs::write(lab.bundle().join("report.md"), "x").expect("writable"),
            "`report.md` was not signed",
        ),
        (
            |lab, _| fs::write(lab.bundle().join("x.sh"), "x").expect("writable"),
            "is no file of a bundle",
        ),
        (
            |lab, policy| {
                fs::rename(policy, lab.path("moved")).expect("the same file system");
                symlink(lab.path("moved"), policy).expect("writable");
            },
            "failed to read",
        ),
        (
            |_, policy| {
                fs::remove_file(policy).expect("there");
                assert!(say(Command::new("mkfifo").arg(policy)).code == Some(0));
            },
            "it is no regular file",
        ),
    ];
    for (change, expected) in cases {
        lab.seal(&manifest);
        change(&lab, &policy);
        lab.arm(&[]).expect_code(2).expect_stderr(expected);
    }
    assert_eq!(lab.mode(), "rehearsal");
}

/// A canary may be smaller than what was proven and never larger; a ready policy has any.
#[tag(root)]
#[test]
fn a_canary_is_at_most_what_was_proven() {
    let lab = Lab::rehearsing(POLICY);
    let mut manifest = lab.manifest();
    manifest.verdict = Verdict::ReadyCanary;
    manifest.canary_percent = Some(10);
    lab.seal(&manifest);
    lab.arm(&["--canary", "11"]).expect_code(2).expect_stderr("`--canary` is 1 to 10");
    for wrong in ["0", "101"] {
        lab.arm(&["--canary", wrong]).expect_code(2);
    }
    for (words, percent) in [(&["--canary", "3"][..], 3), (&[], 10)] {
        lab.arm(words).expect_code(0);
        assert_eq!(lab.status()["arming"]["canary_percent"], percent);
    }
    lab.seal(&lab.manifest());
    lab.arm(&["--canary", "50"]).expect_code(0);
    assert_eq!(lab.status()["arming"]["canary_percent"], 50);
}

/// While links are switched, the sender meets one verdict for each datagram and each is counted.
#[tag(root)]
#[test]
fn arming_leaves_nothing_uncounted() {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    let mut actor = lab.actor();
    let is_over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            actor.socket("u", "udp4");
            let mut sent = 0_u64;
            while !is_over.load(Ordering::Relaxed) {
                let said = actor.ask(&format!("sendto u {DENIED} 10"));
                assert!(matches!(said, Ok(_) | Err(EPERM)), "{said:?}");
                sent += 1;
            }
            sent
        });
        for _ in 0..3 {
            lab.arm(&[]).expect_code(0);
        }
        is_over.store(true, Ordering::Relaxed);
        load.join().expect("one verdict each")
    });
    let hook = lab.status()["hooks"]["sendmsg"].clone();
    assert_eq!(hook["judged"], sent);
    let (denied, passed) = (&hook["denied"], &hook["would_deny"]);
    assert!(denied.as_u64() > Some(0) && passed.as_u64() > Some(0), "{hook}");
    assert_eq!(denied.as_u64().zip(passed.as_u64()).map(|(a, b)| a + b), Some(sent));
}

/// Whatever call to the kernel `arm` dies in or after, the guard rehearses or enforces with a
/// lease; it can be armed again, and it can be removed.
#[tag(root)]
#[test]
fn a_crash_while_arming_leaves_a_rehearsal_or_a_lease() {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    let mut actor = lab.actor();
    let mut modes = Vec::new();
    for call in (1..).step_by(5) {
        let arming = lab.arming();
        let mut traced = Command::new("strace");
        let inject = format!("inject=bpf:signal=KILL:when={call}");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=bpf", "-e", &inject]);
        let said = say(traced.arg(arming.get_program()).args(arming.get_args()));
        let mode = lab.mode();
        let met = refused(&mut actor, DENIED);
        assert_eq!(met, (mode == "enforcing").then_some(EPERM), "killed in call {call}: {mode}");
        modes.push(mode);
        if said.code == Some(0) {
            break;
        }
    }
    assert!(modes.len() > 10, "{} calls were enough", 5 * modes.len());
    assert!(modes.iter().rev().skip(2).all(|mode| mode == "rehearsal"), "{modes:?}");
    assert_eq!(modes.last().map(String::as_str), Some("enforcing"));
    lab.guard("disarm", &[]).expect_code(0);
    assert!(!lab.pins.path().join("guard").exists(), "the pins are gone");
    assert_eq!(refused(&mut actor, DENIED), None);
}

/// G7: the evidence is about one policy, so another one is not given to an armed guard; out it
/// goes at once, and nothing is left.
#[tag(root)]
#[test]
fn an_armed_guard_takes_no_other_policy() {
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    let policy = lab.path("policy.yaml");
    lab.guard("apply", &[&policy]).expect_code(2).expect_stderr("the guard is armed");
    lab.guard("disarm", &[]).expect_code(0);
    assert_eq!(refused(&mut lab.actor(), DENIED), None);
    lab.guard("status", &[]).expect_code(1);
}

/// G8: nobody else can open a pin, renew, arm or disarm.
#[tag(root)]
#[test]
fn an_unprivileged_user_reaches_no_pin() {
    const OTHERS: u32 = 0o007;
    let lab = Lab::rehearsing(POLICY);
    lab.seal(&lab.manifest());
    lab.arm(&[]).expect_code(0);
    let dir = lab.pins.path().join("guard");
    let entries = fs::read_dir(&dir).expect("root may list it");
    for path in entries.map(|entry| entry.expect("an entry").path()).chain([dir.clone()]) {
        let mode = fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & OTHERS, 0, "{} has mode {mode:o}", path.display());
    }
    // Where the programs lie may be closed to others: a copy is for everyone.
    let copy = tempfile::tempdir().expect("a directory");
    fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    let guard = copy.path().join("ibsr-guard");
    fs::copy(program("ibsr-guard"), &guard).expect("a copy");
    for verb in ["disarm", "renew"] {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]);
        command.arg(&guard).arg(verb).arg("--pin-root").arg(lab.pins.path());
        say(&mut command).expect_code(2);
    }
    assert_eq!(lab.mode(), "enforcing");
}
