// SPDX-License-Identifier: MIT OR Apache-2.0
//! A lab: the program `ibsr-guard` on a cgroup and a wire of the test's own, and evidence that
//! the test makes and signs itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ibsr_evidence::{Digest, GuardManifest, SecretKey, Signature, Subject, canonical};
use ibsr_policy::canonical_text;
use ibsr_tests::actor::Actor;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::lab_evidence::{ready, write_bundle};
use ibsr_tests::netns::Pair;
use ibsr_tests::process::{Said, program, say};
use serde_json::Value;
use tempfile::TempDir;

use crate::loaded::read;

/// The lab. What is attached goes with it.
#[derive(Debug)]
pub struct Lab {
    pub pins: PinRoot,
    pub pair: Pair,
    pub cgroup: Cgroup,
    pub dir: TempDir,
    pub key: SecretKey,
}

impl Lab {
    /// One with a policy and a key that is trusted.
    pub fn new(policy: &str) -> Self {
        let dir = TempDir::new().expect("a directory");
        let key = SecretKey::generate().expect("random numbers");
        fs::write(dir.path().join("lab.pub"), key.public().to_text()).expect("writable");
        let lab = Self { pins: PinRoot::new(), pair: Pair::new(), cgroup: Cgroup::new(), dir, key };
        lab.write_policy(policy);
        lab
    }

    /// The same, rehearsing.
    pub fn rehearsing(policy: &str) -> Self {
        let lab = Self::new(policy);
        let (path, cgroup) = (lab.path("policy.yaml"), lab.cgroup.path().to_owned());
        lab.guard("rehearse", &[path.as_ref(), "--cgroup".as_ref(), &cgroup]).expect_code(0);
        lab
    }

    /// A file of the lab.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Changes the policy file.
    pub fn write_policy(&self, text: &str) {
        fs::write(self.path("policy.yaml"), text).expect("writable");
    }

    /// Where the bundle is.
    pub fn bundle(&self) -> PathBuf {
        self.path("bundle")
    }

    /// The program with a verb, the pin root and more words.
    pub fn command(&self, verb: &str, words: &[&Path]) -> Command {
        let mut command = Command::new(program("ibsr-guard"));
        command.arg(verb).args(words).arg("--pin-root").arg(self.pins.path());
        command
    }

    /// What it said.
    pub fn guard(&self, verb: &str, words: &[&Path]) -> Said {
        say(&mut self.command(verb, words))
    }

    /// What `arm` says with the lab's policy, bundle and key, and more words.
    pub fn arm(&self, words: &[&str]) -> Said {
        say(self.arming().args(words))
    }

    /// The command of [`Self::arm`].
    pub fn arming(&self) -> Command {
        let (policy, bundle, key) = (self.path("policy.yaml"), self.bundle(), self.path("lab.pub"));
        let mut command = self.command("arm", &[&policy, "--evidence".as_ref(), &bundle]);
        command.arg("--trust").arg(key);
        command
    }

    /// `status` as JSON.
    pub fn status(&self) -> Value {
        let said = self.guard("status", &["--format".as_ref(), "json".as_ref()]).expect_code(0);
        serde_json::from_str(&said.stdout).expect("JSON")
    }

    /// The mode that `status` says.
    pub fn mode(&self) -> String {
        self.status()["mode"].as_str().expect("a mode").to_owned()
    }

    /// What evidence has to be about, as the program says it.
    pub fn subject(&self) -> Subject {
        let mut command = Command::new(program("ibsr-guard"));
        command.arg("subject").arg(self.path("policy.yaml"));
        let said = say(command.arg("--cgroup").arg(self.cgroup.path())).expect_code(0);
        serde_json::from_str(&said.stdout).expect("a subject")
    }

    /// The text of the policy as it is in a bundle.
    pub fn policy_text(&self) -> String {
        let text = fs::read_to_string(self.path("policy.yaml")).expect("readable");
        canonical_text(&read(&text))
    }

    /// A manifest that says that the policy is ready here, made a minute ago.
    pub fn manifest(&self) -> GuardManifest {
        ready(self.subject(), &self.policy_text())
    }

    /// Writes the bundle of a manifest, signed whatever it says.
    pub fn seal(&self, manifest: &GuardManifest) {
        self.seal_value(&serde_json::to_value(manifest).expect("JSON"), &self.key);
    }

    /// The same of any value, signed with any key.
    pub fn seal_value(&self, manifest: &Value, key: &SecretKey) {
        let bytes = canonical(manifest).expect("exact numbers");
        self.write_bundle(&bytes, &Signature::sign(&bytes, key).to_text());
    }

    /// Writes a bundle with the lab's policy.
    pub fn write_bundle(&self, manifest: &[u8], signature: &str) {
        write_bundle(&self.bundle(), manifest, signature, &self.policy_text());
    }

    /// A process in the cgroup and at one end of the wire.
    pub fn actor(&self) -> Actor {
        Actor::start_in(&self.cgroup, &self.pair.host)
    }
}

/// Another digest.
pub fn other(digest: Digest) -> Digest {
    Digest::of(digest.as_bytes())
}

/// What the process meets that sends a datagram to a port that the lab's policies deny.
pub fn refused(actor: &mut Actor, to: &str) -> Option<i32> {
    actor.socket("probe", "udp4");
    let said = actor.ask(&format!("sendto probe {to} 10"));
    actor.act("close probe");
    said.err()
}
