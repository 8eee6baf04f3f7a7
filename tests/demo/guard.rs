// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guard as a user would run it, and what it is armed with: the policy, the subject, the
//! evidence that `ibsr-report egress` makes and signs.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ibsr_tests::process::{Running, program};
use serde_json::Value;

use crate::acts::{RESOLVER, TUNNEL_ZONE};
use crate::outside::SERVER_IF;
use crate::stage::Stage;
use crate::{heading, read, show_command};

/// Names that the policy denies: where the beacon and the exfiltration go.
pub const DENIED: [&str; 2] = ["c2.example.net", "drop.example.net"];
/// Where sessions are that the policy would deny if they were new.
pub const DENIED_PORT: u16 = 4_433;
/// Of the segments.
pub const HOST: &str = "demo";
/// Rules by what they are meant to deny.
const RULES: [&str; 3] = ["destinations", "tunnel", "sessions"];
/// Far above the clients that the demo denies something to.
const BUDGET: &str = "100";

/// The guard of the demo and its files.
pub struct Guard<'stage> {
    stage: &'stage Stage,
    policy: PathBuf,
}

impl<'stage> Guard<'stage> {
    /// Writes the policy and attaches the guard where the second sensor is.
    pub fn rehearse(stage: &'stage Stage) -> Result<Self> {
        heading(
            "ibsr-guard: a policy rehearsed on the same cgroup; it judges, counts, denies nothing",
        );
        let policy = stage.files.join("policy.yaml");
        fs::write(&policy, policy_text()).context("failed to write `policy.yaml`")?;
        let guard = Self { stage, policy };
        let cgroup = stage.world.scope.path().display().to_string();
        let words = ["--cgroup", &cgroup, "--dns-interface", SERVER_IF];
        guard.run("rehearse", &[&[guard.policy_path().as_str()], &words[..]].concat(), 0)?;
        Ok(guard)
    }

    fn policy_path(&self) -> String {
        self.policy.display().to_string()
    }

    fn file(&self, name: &str) -> String {
        self.stage.files.join(name).display().to_string()
    }

    fn command(&self, words: &[String]) -> Command {
        let path = program("ibsr-guard").display().to_string();
        let mut command = self.stage.world.pair.host.command(&path);
        command.args(words);
        command
    }

    /// Runs it where its interface is, for people to read.
    fn run(&self, verb: &str, words: &[&str], code: i32) -> Result<()> {
        let words = self.words(verb, words);
        show_command(&program("ibsr-guard"), &words);
        ends_with(&mut self.command(&words), code)
    }

    fn words(&self, verb: &str, words: &[&str]) -> Vec<String> {
        let pins = self.stage.pins.path().display().to_string();
        let all = [&[verb], words, &["--pin-root", &pins]].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    /// What it says of itself, as a program reads it.
    pub fn status(&self) -> Result<Value> {
        let words = self.words("status", &["--format", "json"]);
        let output = self.command(&words).output().context("failed to run `ibsr-guard`")?;
        serde_json::from_slice(&output.stdout).context("`ibsr-guard status` printed no JSON")
    }

    /// The same, printed.
    pub fn show_status(&self) -> Result<()> {
        self.run("status", &[], 0)
    }

    /// A key, and what evidence has to be about.
    pub fn prepare_evidence(&self) -> Result<()> {
        let report = program("ibsr-report");
        let args = ["keygen", "--out", &self.file("demo")].map(str::to_owned);
        show_command(&report, &args);
        ends_with(Command::new(&report).args(args).stdout(Stdio::null()), 0)?;
        let cgroup = self.stage.world.scope.path().display().to_string();
        let args = ["subject", &self.policy_path(), "--cgroup", &cgroup, "--host", HOST];
        let args = args.map(str::to_owned);
        show_command(&program("ibsr-guard"), &args);
        let subject = fs::File::create(self.file("subject.json"))
            .context("failed to create `subject.json`")?;
        ends_with(self.command(&args).stdout(subject), 0)
    }

    /// The report on a recording, sealed as evidence under `name`; it ends with `code`.
    pub fn egress(&self, recording: &Path, name: &str, code: i32) -> Result<Value> {
        let (report, out) = (program("ibsr-report"), self.file(&format!("{name}-report")));
        let (recording, policy) = (recording.display().to_string(), self.policy_path());
        let (bundle, key) = (self.file(name), self.file("demo.key"));
        let subject = self.file("subject.json");
        let mut args = vec!["egress", &recording, "--policy", &policy, "--identities", "here"];
        args.extend(RULES.iter().flat_map(|rule| ["--intended", rule]));
        args.extend(["--budget-denials", BUDGET, "--out", &out]);
        args.extend(["--bundle", &bundle, "--key", &key, "--subject", &subject]);
        let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
        show_command(&report, &args);
        // What it prints is in `report.txt` too, and longer than what is shown of it.
        ends_with(Command::new(&report).args(&args).arg("--quiet").stdout(Stdio::null()), code)?;
        read(Path::new(&out))
    }

    /// Arms it with the evidence under `name`; it ends with `code`.
    pub fn arm(&self, name: &str, lease: Duration, code: i32) -> Result<()> {
        let (policy, bundle) = (self.policy_path(), self.file(name));
        let (trust, lease) = (self.file("demo.pub"), format!("{}s", lease.as_secs()));
        let words = ["--evidence", &bundle, "--trust", &trust, "--lease", &lease, "--host", HOST];
        self.run("arm", &[&[policy.as_str()], &words[..]].concat(), code)
    }

    /// Renews the lease again and again, as the timer does, in a process group of its own.
    pub fn renewal(&self, lease: Duration) -> Running {
        let words = self.words("renew", &["--lease", &format!("{}s", lease.as_secs())]);
        show_command(
            &program("ibsr-guard"),
            &[words.clone(), vec!["  (each second)".into()]].concat(),
        );
        let mut command = Command::new("sh");
        command.args(["-c", r#"while "$0" "$@"; do sleep 1; done"#]).arg(program("ibsr-guard"));
        Running::start(command.args(words).process_group(0).stderr(Stdio::null()))
    }

    /// Detaches it; nothing of it is left.
    pub fn disarm(self) -> Result<()> {
        self.run("disarm", &[], 0)?;
        let pins = self.stage.pins.path().join("guard");
        ensure!(!pins.exists(), "`{}` is still there", pins.display());
        Ok(())
    }
}

fn policy_text() -> String {
    let [c2, drop] = DENIED;
    format!(
        "resolvers: [{RESOLVER}]\n\
         rules:\n  \
         - {{name: destinations, action: nxdomain, domain: [{c2}, {drop}]}}\n  \
         - {{name: tunnel, action: nxdomain, domain: {TUNNEL_ZONE}}}\n  \
         - {{name: sessions, action: deny, cidr: 203.0.113.0/24, ports: {DENIED_PORT}}}\n"
    )
}

fn ends_with(command: &mut Command, code: i32) -> Result<()> {
    let status = command.status().with_context(|| format!("failed to run {command:?}"))?;
    ensure!(status.code() == Some(code), "{command:?} ended with {status} instead of code {code}");
    Ok(())
}
