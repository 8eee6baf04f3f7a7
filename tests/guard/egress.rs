// SPDX-License-Identifier: MIT OR Apache-2.0
//! The prediction against the rehearsal: the sensor and the guard on one cgroup, processes that
//! meet every kind of rule, and the two say the same about each of their flows.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ibsr_proto::snapshot::guard::Row;
use ibsr_tests::actor::Actor;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::{Cgroup, mount_point};
use ibsr_tests::netns::{HOST_V4, PEER_V4, PEER_V6, Pair};
use ibsr_tests::process::{Said, program, say};
use serde_json::Value;
use tempfile::TempDir;
use test_tag::tag;

/// Names of the rules, in the order of [`policy`].
const RULES: [&str; 7] =
    ["by-address", "inside", "by-port", "by-protocol", "by-user", "by-exe", "by-cgroup"];

fn policy(exe: &Path, cgroup: &str) -> String {
    format!(
        "rules:
  - {{name: by-address, action: deny, cidr: {PEER_V6}}}
  - {{name: inside, action: allow, cidr: '{PEER_V4}', ports: 1002, user: 4711}}
  - {{name: by-port, action: {{reject: ECONNREFUSED}}, ports: [1001, 1009]}}
  - {{name: by-protocol, action: deny, protocol: udp, ports: 1005}}
  - {{name: by-user, action: deny, user: 4711}}
  - {{name: by-exe, action: deny, exe: {}}}
  - {{name: by-cgroup, action: deny, cgroup: {cgroup}}}
",
        exe.display()
    )
}

/// The wire, a cgroup below which everything happens, pins and a spool.
struct Scene {
    pair: Pair,
    cgroup: Cgroup,
    pins: PinRoot,
    dir: TempDir,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        Self { pair: Pair::new(), cgroup: Cgroup::new(), pins: PinRoot::new(), dir }
    }

    fn run(&self, name: &str, words: &[&str]) -> Said {
        let mut command = Command::new(program(name));
        command.args(words).arg("--pin-root").arg(self.pins.path());
        say(&mut command)
    }

    fn text(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("text").to_owned()
    }

    /// The sensor and the rehearsal on the cgroup.
    fn attach(&self) {
        let cgroup = self.cgroup.path().to_str().expect("text");
        let sensor = ["attach", "cgroup", cgroup, "--name", "egress", "--group", "0"];
        self.run("ibsr-loader", &sensor).expect_code(0);
        let policy = self.text("policy.yaml");
        self.run("ibsr-guard", &["rehearse", &policy, "--cgroup", cgroup]).expect_code(0);
    }

    /// What the sensor saw and what the guard said, sealed.
    fn sweep(&self) {
        let spool = self.text("spool");
        fs::create_dir_all(&spool).expect("made");
        for scope in ["cg-egress", "guard"] {
            let once = ["once", "--scope", scope, "--spool", &spool, "--host", "h1"];
            self.run("ibsr-reader", &once).expect_code(0);
        }
    }

    fn report(&self, flags: &[&str]) -> Said {
        let mut command = Command::new(program("ibsr-report"));
        command.arg("egress").arg(self.text("spool")).arg("--policy").arg(self.text("policy.yaml"));
        command.args(["--identities", "here", "--quiet", "--format", "json"]).args(flags);
        say(&mut command)
    }

    /// What a hook of the guard counted.
    fn count(&self, hook: &str, counter: &str) -> u64 {
        let said = self.run("ibsr-guard", &["status", "--format", "json"]).expect_code(0);
        let status: Value = serde_json::from_str(&said.stdout).expect("JSON");
        let count = status["hooks"][hook][counter].as_u64();
        count.unwrap_or_else(|| panic!("no `{counter}` of `{hook}` in {status:#}"))
    }

    /// Sockets that each rule would have denied, by the records of the guard.
    fn recorded(&self) -> BTreeMap<String, BTreeSet<u64>> {
        let mut recorded: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        let files = fs::read_dir(self.dir.path().join("spool/guard")).expect("segments");
        let text: String = files
            .map(|file| fs::read_to_string(file.expect("a file").path()).expect("readable"))
            .collect();
        for line in text.lines() {
            let Ok(Row::Verdict(said)) = Row::from_line(line.as_bytes()) else { continue };
            assert!(!said.is_denied, "a rehearsal denies nothing");
            let rule = said.rule.and_then(|rule| RULES.get(rule as usize)).copied();
            recorded.entry(rule.unwrap_or("default").to_owned()).or_default().insert(said.socket);
        }
        recorded
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // The sensor's links are pinned: what is left of a failed test is taken off here.
        let _gone = self.run("ibsr-guard", &["disarm"]);
        let _gone = self.run("ibsr-loader", &["detach"]);
    }
}

/// Listeners of the other end, one for each port that somebody connects to.
fn serve(server: &mut Actor) {
    for port in [1000, 1001, 1002] {
        server.socket(&format!("l{port}"), "tcp4");
        server.act(&format!("bind l{port} {PEER_V4}:{port}"));
        server.act(&format!("listen l{port}"));
    }
    server.socket("l6", "tcp6");
    server.act(&format!("bind l6 [{PEER_V6}]:1000"));
    server.act("listen l6");
    for port in [1005, 1006] {
        server.socket(&format!("u{port}"), "udp4");
        server.act(&format!("bind u{port} {PEER_V4}:{port}"));
    }
}

/// A connection that is made, used by nobody, and closed.
fn connect(actor: &mut Actor, kind: &str, to: &str) {
    actor.socket("c", kind);
    actor.act(&format!("connect c {to}"));
    actor.act("close c");
}

/// What TCP connects and datagrams come to: TCP flows, all datagrams, those that are denied.
fn act(scene: &Scene, below: &Cgroup, copy: &Path) -> (u64, u64, u64) {
    let mut plain = Actor::start_in(&scene.cgroup, &scene.pair.host);
    let v4 = |port: u16| format!("{PEER_V4}:{port}");
    for _ in 0..3 {
        connect(&mut plain, "tcp4", &v4(1000));
        connect(&mut plain, "tcp4", &v4(1001));
        connect(&mut plain, "tcp6", &format!("[{PEER_V6}]:1000"));
    }
    // Nobody listens there: refused by the other end, whatever the policy says.
    for port in [1008, 1009] {
        plain.socket("c", "tcp4");
        assert_eq!(plain.ask(&format!("connect c {}", v4(port))), Err(libc::ECONNREFUSED));
        plain.act("close c");
    }
    for (port, datagrams) in [(1005, 4), (1006, 2)] {
        plain.socket("u", "udp4");
        for _ in 0..datagrams {
            plain.act(&format!("sendto u {} 10", v4(port)));
        }
        plain.act("close u");
    }
    // Never denied: loopback.
    plain.socket("l", "udp4");
    plain.act("sendto l 127.0.0.1:1005 10");
    plain.act("close l");
    let mut user = Actor::start_in(&scene.cgroup, &scene.pair.host);
    user.act("uid 4711");
    connect(&mut user, "tcp4", &v4(1000));
    connect(&mut user, "tcp4", &v4(1002));
    let mut strange = Actor::start_copy(copy, &scene.cgroup, &scene.pair.host, scene.dir.path());
    connect(&mut strange, "tcp4", &v4(1000));
    connect(&mut strange, "tcp4", &v4(1002));
    let mut job = Actor::start_in(below, &scene.pair.host);
    connect(&mut job, "tcp4", &v4(1000));
    (9 + 2 + 2 + 2 + 1, 4 + 2 + 1, 4)
}

/// What begins within a second of a policy is not compared.
fn settle() {
    std::thread::sleep(Duration::from_millis(1_100));
}

/// A scene in which everything has happened, the cgroup that the policy names, and what was done.
fn played() -> (Scene, Cgroup, (u64, u64, u64)) {
    let scene = Scene::new();
    let copy = scene.dir.path().join("copy");
    fs::copy(program("ibsr-actor"), &copy).expect("a copy");
    let below = scene.cgroup.child("below");
    let path = below.path().strip_prefix(mount_point()).expect("below the mount");
    let text = policy(&copy, &format!("/{}", path.display()));
    fs::write(scene.text("policy.yaml"), text).expect("written");
    let outside = Cgroup::new();
    let mut server = Actor::start_in(&outside, &scene.pair.peer);
    serve(&mut server);
    scene.attach();
    settle();
    let deeds = act(&scene, &below, &copy);
    scene.sweep();
    (scene, below, deeds)
}

/// Each rule takes as many flows in the report as sockets in the records, and what the hooks of
/// connect and sendmsg counted is what the flows come to.
#[tag(root)]
#[test]
fn the_rehearsal_counts_what_the_report_predicts() {
    let (scene, _below, (connects, datagrams, denied_datagrams)) = played();
    let said = scene.report(&[]).expect_code(1);
    let report: Value = serde_json::from_str(&said.stdout).expect("JSON");
    assert_eq!(report["unresolved"], serde_json::json!([]), "{report:#}");
    assert_eq!(report["flows"]["unjudged"], 0, "{:#}", report["unjudged"]);

    let rules = report["rules"].as_array().expect("a list").iter();
    let predicted: BTreeMap<String, u64> = rules
        .map(|row| (row["name"].as_str().expect("a name"), row["would_deny"].as_u64()))
        .filter(|(_, flows)| *flows != Some(0))
        .map(|(name, flows)| (name.to_owned(), flows.expect("a number")))
        .collect();
    let recorded = scene.recorded();
    let recorded: BTreeMap<String, u64> =
        recorded.into_iter().map(|(rule, sockets)| (rule, sockets.len() as u64)).collect();
    assert_eq!(predicted, recorded);
    let expected = [
        ("by-address", 3),
        ("by-cgroup", 1),
        ("by-exe", 2),
        ("by-port", 4),
        ("by-protocol", 1),
        ("by-user", 1),
    ];
    assert_eq!(predicted, expected.map(|(rule, flows)| (rule.to_owned(), flows)).into());

    let of = |protocol: &'static str| move |row: &Value| row["protocol"] == protocol;
    let denied = |name: &str, protocol| {
        sum(&report, "losses", name, of(protocol)) + sum(&report, "denials", name, of(protocol))
    };
    assert_eq!(scene.count("connect", "judged"), connects);
    assert_eq!(scene.count("connect", "would_deny"), denied("flows", "tcp"));
    assert_eq!(scene.count("sendmsg", "judged"), datagrams);
    assert_eq!(scene.count("sendmsg", "would_deny"), denied_datagrams);
    assert_eq!(denied("bytes_out", "udp"), denied_datagrams * 38, "20 of IP, 8 of UDP, 10");
    assert_eq!(scene.count("sendmsg", "exempt"), 1);
    assert_eq!(report["flows"]["exempt"], 1);
    assert_eq!(scene.count("connect", "allowed"), connects - denied("flows", "tcp"));
    assert_eq!(report["flows"]["flows"], connects + 3);

    let (said, flows) = (&report["rehearsal"], predicted.values().sum::<u64>());
    assert_eq!(differences(said), [0, 0, 0], "{said:#}");
    assert_eq!((&said["predicted"], &said["recorded"]), (&flows.into(), &flows.into()), "{said:#}");
    assert_eq!(said["flows"], report["flows"]["flows"], "each began after the policy");
    assert_eq!((&said["without_flow"], &said["records_lost"]), (&0.into(), &0.into()), "{said:#}");
}

fn differences(rehearsal: &Value) -> [u64; 3] {
    ["only_predicted", "only_recorded", "other_rule"]
        .map(|name| rehearsal[name].as_u64().expect("a number"))
}

/// What comes in is recorded at the listener, and is still found; the policy of another rehearsal
/// is not taken for the one that is asked about.
#[tag(root)]
#[test]
fn a_rehearsal_is_held_against_what_comes_in_and_against_its_own_policy_only() {
    let scene = Scene::new();
    let outside = Cgroup::new();
    let mut client = Actor::start_in(&outside, &scene.pair.peer);
    let mut server = Actor::start_in(&scene.cgroup, &scene.pair.host);
    for port in [1003, 1004] {
        server.socket(&format!("l{port}"), "tcp4");
        server.act(&format!("bind l{port} {HOST_V4}:{port}"));
        server.act(&format!("listen l{port}"));
    }
    let rule = "rules:\n  - {action: deny, direction: in, ports: 1003}\n";
    fs::write(scene.text("policy.yaml"), rule).expect("written");
    scene.attach();
    settle();
    for port in [1003, 1004] {
        client.socket("c", "tcp4");
        client.act(&format!("connect c {HOST_V4}:{port}"));
        server.act(&format!("accept l{port} a"));
        client.act("send c 10");
        server.act("receive a 10");
        server.act("close a");
        client.act("close c");
    }
    scene.sweep();
    let report = |flags: &[&str]| -> Value {
        serde_json::from_str(&scene.report(flags).expect_code(1).stdout).expect("JSON")
    };
    let said = &report(&[])["rehearsal"];
    assert_eq!(
        (&said["flows"], &said["predicted"], &said["recorded"]),
        (&2.into(), &1.into(), &1.into())
    );
    assert_eq!(differences(said), [0, 0, 0], "{said:#}");
    fs::write(scene.text("policy.yaml"), rule.replace("1003", "1004")).expect("written");
    assert_eq!(report(&[])["rehearsal"], Value::Null);
}

/// The bundle of a recording of seconds: it verifies, comes out of its inputs again, is about what
/// `subject` says, and arms nothing.
#[tag(root)]
#[test]
fn a_bundle_of_a_real_recording_verifies_and_arms_nothing_yet() {
    let (scene, _below, _) = played();
    let keygen = ["keygen", "--out", &scene.text("key")];
    say(Command::new(program("ibsr-report")).args(keygen)).expect_code(0);
    let policy = scene.text("policy.yaml");
    let cgroup = scene.cgroup.path().to_str().expect("text");
    let subject = ["subject", &policy, "--cgroup", cgroup, "--host", "h1"];
    let said = say(Command::new(program("ibsr-guard")).args(subject)).expect_code(0);
    fs::write(scene.text("subject.json"), said.stdout).expect("written");
    let (bundle, key) = (scene.text("bundle"), scene.text("key.key"));
    let named = scene.text("subject.json");
    let seal = ["--bundle", &bundle, "--key", &key, "--subject", &named];
    scene.report(&seal).expect_code(1);
    let (trust, spool) = (scene.text("key.pub"), scene.text("spool"));
    let verify = ["verify", &bundle, "--trust", &trust, "--inputs", &spool, "--quiet"];
    let said = say(Command::new(program("ibsr-report")).args(verify)).expect_code(0);
    assert!(said.stdout.contains("the inputs give it to the byte"), "{}", said.stdout);
    let arm = ["arm", &policy, "--evidence", &bundle, "--trust", &trust, "--host", "h1"];
    let said = scene.run("ibsr-guard", &arm).expect_code(2);
    assert!(said.stderr.contains("INSUFFICIENT_EVIDENCE"), "{}", said.stderr);
}

fn sum(report: &Value, list: &str, of: &str, is: impl Fn(&Value) -> bool) -> u64 {
    let rows = report[list].as_array().expect("a list").iter().filter(|row| is(row));
    rows.map(|row| row[of].as_u64().expect("a number")).sum()
}
