// SPDX-License-Identifier: MIT OR Apache-2.0
//! Evidence for the guard: sealed, verified, computed again to the byte, and not sealed about
//! anything else than what its subject names.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_evidence::{Digest, GUARD_FILES, GuardManifest, Subject, Verdict};
use ibsr_tests::process::{Said, program, say};
use tempfile::TempDir;

use super::egress_stage::{egress, policy, week};

const POLICY: &str = "rules:\n  - {name: far, action: deny, cidr: 172.16.0.0/12, user: 4711}\n";
const IDENTITIES: &str = r#"[{"kind": "user", "name": "4711", "value": "4711"}]"#;

/// A week of a host, a policy, a key, and a subject that fits.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().expect("a directory") };
        week(&place.path("spool"), 3_600);
        let _path = policy(place.dir.path(), POLICY);
        fs::write(place.path("identities.json"), IDENTITIES).expect("written");
        let mut keygen = Command::new(program("ibsr-report"));
        say(keygen.arg("keygen").arg("--out").arg(place.path("key"))).expect_code(0);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn subject(&self, change: impl FnOnce(&mut Subject)) {
        let policy = ibsr_policy::parse("p", POLICY, &|_| Err("no lists".into())).expect("good");
        let mut subject = Subject {
            host: "h1".into(),
            machine_sha256: Digest::of(b"machine"),
            cgroup: "system.slice/web.service".into(),
            policy_sha256: ibsr_policy::policy_hash(&policy).into(),
            identities_sha256: ibsr_policy::identities_hash(&policy, &Numbers).into(),
            object_sha256: Digest::of(b"object"),
        };
        change(&mut subject);
        let text = serde_json::to_string(&subject).expect("JSON");
        fs::write(self.path("subject.json"), text).expect("written");
    }

    fn seal(&self, bundle: &str) -> Said {
        let mut command = egress(&self.path("spool"), &self.path("policy.yaml"));
        command.arg("--identities").arg(self.path("identities.json"));
        command.arg("--bundle").arg(self.path(bundle)).arg("--key").arg(self.path("key.key"));
        say(command.arg("--subject").arg(self.path("subject.json")))
    }

    fn verify(&self, bundle: &str, inputs: Option<&Path>) -> Said {
        let mut command = Command::new(program("ibsr-report"));
        command.arg("verify").arg(self.path(bundle)).arg("--trust").arg(self.path("key.pub"));
        command.args(["--now", "2026-12-02T00:00:00Z", "--quiet"]);
        if let Some(inputs) = inputs {
            command.arg("--inputs").arg(inputs);
        }
        say(&mut command)
    }

    fn manifest(&self) -> GuardManifest {
        let text = fs::read(self.path("bundle/manifest.json")).expect("there");
        serde_json::from_slice(&text).expect("a manifest")
    }
}

/// Users are their numbers.
struct Numbers;

impl ibsr_policy::Resolve for Numbers {
    fn exe(&self, _path: &str) -> Option<ibsr_proto::guard_abi::ExeKey> {
        None
    }

    fn user(&self, name: &str) -> Option<u32> {
        name.parse().ok()
    }

    fn cgroup(&self, _path: &str) -> Option<u64> {
        None
    }
}

#[test]
fn a_bundle_for_the_guard_is_whole_and_comes_out_of_its_inputs_again() {
    let place = Place::new();
    place.subject(|_| {});
    place.seal("bundle").expect_code(0);
    let manifest = place.manifest();
    assert_eq!(manifest.verdict, Verdict::ReadyCanary);
    assert_eq!((manifest.judged, manifest.would_deny, manifest.lost), (3_600, 0, 0));
    assert_eq!((manifest.limits.budget_denials, manifest.inputs.len()), (10, 1));
    let names: Vec<&str> = manifest.files.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, GUARD_FILES);
    let text = fs::read_to_string(place.path("bundle/policy.txt")).expect("there");
    assert!(text.starts_with("ibsr-policy/1\n"), "{text}");
    for bundle in ["bundle", "bundle.tar.zst"] {
        place.verify(bundle, None).expect_code(0);
        let said = place.verify(bundle, Some(&place.path("spool"))).expect_code(0);
        assert!(
            said.stdout.contains("VALID, and the inputs give it to the byte"),
            "{}",
            said.stdout
        );
    }
    // The same command gives the same bundle.
    place.seal("again").expect_code(0);
    for name in GUARD_FILES.into_iter().chain(["manifest.json", "manifest.sig"]) {
        let bytes = |bundle: &str| fs::read(place.path(bundle).join(name)).expect("there");
        assert!(bytes("bundle") == bytes("again"), "{name}");
    }
}

/// P6 for the guard's kind: each file, one too few, one too many, other inputs.
#[test]
fn whatever_is_changed_in_a_bundle_for_the_guard_is_named() {
    let place = Place::new();
    place.subject(|_| {});
    place.seal("bundle").expect_code(0);
    for name in GUARD_FILES.into_iter().chain(["manifest.json", "manifest.sig"]) {
        let path = place.path("bundle").join(name);
        let whole = fs::read(&path).expect("there");
        let mut flipped = whole.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 1;
        fs::write(&path, flipped).expect("written");
        let said = place.verify("bundle", None).expect_code(1);
        assert!(said.stdout.contains(name), "{name}: {}", said.stdout);
        fs::remove_file(&path).expect("removed");
        let said = place.verify("bundle", None).expect_code(1);
        assert!(said.stdout.contains(name), "{name}: {}", said.stdout);
        fs::write(&path, whole).expect("written");
    }
    let stray = place.path("bundle/rules.toml");
    fs::write(&stray, "").expect("written");
    let said = place.verify("bundle", None).expect_code(1);
    assert!(said.stdout.contains("`rules.toml`: it is no file of this bundle"), "{}", said.stdout);
    fs::remove_file(&stray).expect("removed");
    let other = place.path("other");
    week(&other, 3_599);
    let said = place.verify("bundle", Some(&other)).expect_code(1);
    assert!(said.stdout.contains("its bytes are not those signed"), "{}", said.stdout);
    place.verify("bundle", None).expect_code(0);
}

#[test]
fn nothing_is_sealed_about_another_policy_host_cgroup_or_machine() {
    let place = Place::new();
    type Change = fn(&mut Subject);
    let changes: [(&str, Change); 4] = [
        ("policy", |subject| subject.policy_sha256 = Digest::of(b"x")),
        ("host", |subject| subject.host = "h2".into()),
        ("cgroup", |subject| subject.cgroup = "system.slice".into()),
        ("identities", |subject| subject.identities_sha256 = Digest::of(b"x")),
    ];
    for (what, change) in changes {
        place.subject(change);
        let said = place.seal("bundle").expect_code(2);
        assert!(said.stderr.contains("failed to seal the report"), "{}", said.stderr);
        assert!(said.stderr.contains(what), "{what}: {}", said.stderr);
        assert!(!place.path("bundle").exists());
    }
    fs::remove_file(place.path("subject.json")).expect("removed");
    place.seal("bundle").expect_code(2).expect_stderr("ibsr-guard subject");
}
