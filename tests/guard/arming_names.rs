// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arming a guard that judges queries at an interface: the program `ibsr-guard` as an operator
//! runs it, a resolver that others wrote at the other end of the wire, and clients that ask it.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ibsr_tests::actor::{Actor, ENTER};
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::netns::{HOST_IF, PEER_V4, run};
use ibsr_tests::process::{Running, Said, program, say, wait_until};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use tempfile::TempDir;
use test_tag::tag;

use crate::lab::Lab;
use crate::resolver::{Dug, REAL_V4, REAL_V6};

const LEASE: Duration = Duration::from_secs(2);
/// For a machine that is busy; a lease that does not end fails by far more.
const SLACK: Duration = Duration::from_secs(2);
/// A resolver that does not answer costs the C library five seconds.
const AT_ONCE: Duration = Duration::from_secs(1);
/// Nobody listens: what the policy lets pass is refused by the other end.
const PORT: u16 = 1000;

/// Denies one name and what is below it, and a port.
fn policy(name: &str) -> String {
    format!(
        "resolvers: [{PEER_V4}]\nrules:\n  - {{action: deny, domain: {name}}}\n  - {{action: deny, ports: {PORT}}}\n"
    )
}

/// A lab whose clients ask dnsmasq at the other end. What is first goes first.
#[derive(Debug)]
struct Names {
    client: Actor,
    _dnsmasq: Running,
    _others: Cgroup,
    lab: Lab,
    _etc: TempDir,
}

impl Names {
    /// Rehearsing the policy that denies `denied.test`, at the wire.
    fn rehearsing() -> Self {
        let (lab, others) = (Lab::new(&policy("denied.test")), Cgroup::new());
        let dnsmasq = dnsmasq(&lab, &others);
        let etc = TempDir::new().expect("a temporary directory");
        let write = |name, text: String| fs::write(etc.path().join(name), text).expect("writable");
        write("resolv.conf", format!("nameserver {PEER_V4}\n"));
        write("nsswitch.conf", "hosts: dns\n".into());
        let client = Actor::start_with_etc(&lab.cgroup, &lab.pair.host, etc.path());
        let names = Self { client, _dnsmasq: dnsmasq, _others: others, lab, _etc: etc };
        wait_until("dnsmasq answers", Duration::from_secs(20), || {
            names.dig("first.test").status == "NOERROR"
        });
        names.rehearse();
        names
    }

    /// The program in the clients' namespace, where its interface is.
    fn guard(&self, words: &[&str]) -> Said {
        let mut command = self.lab.pair.host.command(program("ibsr-guard").to_str().expect("text"));
        say(command.args(words).arg("--pin-root").arg(self.lab.pins.path()))
    }

    fn rehearse(&self) {
        let policy = self.lab.path("policy.yaml").display().to_string();
        let cgroup = self.lab.cgroup.path().display().to_string();
        let words = ["rehearse", &policy, "--cgroup", &cgroup, "--dns-interface", HOST_IF];
        self.guard(&words).expect_code(0);
    }

    /// Arms with evidence for the policy that the lab has now.
    fn arm(&self, lease: Duration) -> Said {
        self.lab.seal(&self.lab.manifest());
        let path = |name| self.lab.path(name).display().to_string();
        let (policy, bundle, key) = (path("policy.yaml"), path("bundle"), path("lab.pub"));
        let lease = format!("{}s", lease.as_secs());
        let evidence = ["--evidence", &bundle, "--trust", &key, "--lease", &lease];
        self.guard(&[&["arm", &policy], &evidence[..]].concat())
    }

    fn renew(&self, lease: Duration) -> Said {
        self.guard(&["renew", "--lease", &format!("{}s", lease.as_secs())])
    }

    fn status(&self) -> Value {
        let said = self.guard(&["status", "--format", "json"]).expect_code(0);
        serde_json::from_str(&said.stdout).expect("JSON")
    }

    fn dig(&self, name: &str) -> Dug {
        let mut command = self.lab.pair.host.command("sh");
        command.args(["-c", ENTER]).arg(self.lab.cgroup.path().join("cgroup.procs"));
        let words = ["dig", "+tries=1", "+time=2", &format!("@{PEER_V4}"), name];
        Dug::read(&say(command.args(words)).stdout)
    }

    /// Whether there is such a name, by dig and by getaddrinfo(3), who must agree at once.
    #[track_caller]
    fn exists(&mut self, name: &str) -> bool {
        let begun = Instant::now();
        let dug = self.dig(name);
        let said = self.client.ask(&format!("resolve {name}"));
        assert!(begun.elapsed() < AT_ONCE, "{name} took {:?}", begun.elapsed());
        let mut found: Vec<&str> = said.iter().flat_map(|text| text.split(',')).collect();
        found.sort_unstable();
        found.dedup();
        match dug.status.as_str() {
            "NOERROR" => assert_eq!(found, [REAL_V4, REAL_V6], "{name}: {said:?}"),
            "NXDOMAIN" => assert!(said.is_err(), "{name}: {said:?}"),
            _ => panic!("{name}: {}", dug.text),
        }
        dug.status == "NOERROR"
    }

    /// The errno of a connection to the port that the policy denies.
    fn connects(&mut self) -> i32 {
        self.client.socket("c", "tcp4");
        let met = self.client.ask(&format!("connect c {PEER_V4}:{PORT}"));
        self.client.act("close c");
        met.expect_err("nobody listens there")
    }

    /// Neither a pin, a filter nor a link of the guard.
    #[track_caller]
    fn nothing_is_left(&self) {
        assert!(!self.lab.pins.path().join("guard").exists(), "the pins are gone");
        let tc = ["filter", "show", "dev", HOST_IF, "egress"];
        for (tool, words) in [("tc", &tc[..]), ("bpftool", &["net", "show"])] {
            let said = run(self.lab.pair.host.command(tool).args(words)).stdout;
            let said = String::from_utf8(said).expect("text");
            assert!(!said.contains("ibsr_g_query"), "{tool}: {said}");
        }
    }
}

/// A resolver with one address of each family for all of `test`, outside of the guard.
fn dnsmasq(lab: &Lab, others: &Cgroup) -> Running {
    let mut command = lab.pair.peer.command("sh");
    command.args(["-c", ENTER]).arg(others.path().join("cgroup.procs")).arg("dnsmasq");
    command.args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]);
    command.args(["--user=root", "--pid-file=", "--bind-interfaces", "--local-ttl=60"]);
    command.arg(format!("--listen-address={PEER_V4}"));
    command.args([REAL_V4, REAL_V6].map(|ip| format!("--address=/test/{ip}")));
    Running::start(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

fn queries(status: &Value, count: &str) -> u64 {
    status["hooks"]["query"][count].as_u64().expect("a count")
}

/// G7: a rehearsal counts, an arming answers, the end of a lease lets pass, a renewal keeps, and
/// disarming leaves nothing.
#[tag(root)]
#[test]
fn a_denied_name_is_answered_while_the_lease_lasts_and_only_then() {
    let mut names = Names::rehearsing();
    assert!(names.exists("www.denied.test") && names.exists("other.test"));
    let status = names.status();
    assert_eq!((queries(&status, "would_deny"), queries(&status, "denied")), (3, 0), "{status}");

    names.arm(LEASE).expect_code(0);
    let armed = Instant::now();
    while armed.elapsed() < 2 * LEASE {
        assert!(!names.exists("www.denied.test"), "after {:?}", armed.elapsed());
        assert!(names.exists("other.test"));
        names.renew(LEASE).expect_code(0);
        std::thread::sleep(LEASE / 10);
    }
    assert!(queries(&names.status(), "denied") >= 3);
    wait_until("the name is back", LEASE + SLACK, || names.dig("denied.test").status == "NOERROR");
    assert!(names.exists("www.denied.test"));
    assert_eq!(names.status()["mode"], "shadow");

    names.renew(LEASE * 10).expect_code(0);
    assert!(!names.exists("denied.test"));
    names.guard(&["disarm"]).expect_code(0);
    assert!(names.exists("denied.test"), "at once");
    names.nothing_is_left();
}

/// Another policy swaps the names: in a rehearsal by `apply`, while armed by arming with its
/// evidence.
#[tag(root)]
#[test]
fn another_policy_denies_other_names() {
    let mut names = Names::rehearsing();
    let path = names.lab.path("policy.yaml").display().to_string();
    let would_deny = |names: &mut Names, name: &str| {
        let before = queries(&names.status(), "would_deny");
        assert!(names.exists(name), "{name} is only rehearsed");
        queries(&names.status(), "would_deny") - before
    };
    assert_eq!((would_deny(&mut names, "denied.test"), would_deny(&mut names, "new.test")), (3, 0));
    names.lab.write_policy(&policy("new.test"));
    names.guard(&["apply", &path]).expect_code(0);
    assert_eq!((would_deny(&mut names, "denied.test"), would_deny(&mut names, "new.test")), (0, 3));

    names.arm(LEASE * 20).expect_code(0);
    assert!(names.exists("denied.test") && !names.exists("new.test"));
    names.lab.write_policy(&policy("denied.test"));
    names.guard(&["apply", &path]).expect_code(2).expect_stderr("the guard is armed");
    assert!(names.exists("denied.test") && !names.exists("new.test"), "as before");
    names.arm(LEASE * 20).expect_code(0);
    assert!(!names.exists("denied.test") && names.exists("new.test"));
    names.guard(&["disarm"]).expect_code(0);
    names.nothing_is_left();
}

/// L5: an interface that goes takes its queries along and nothing else: `status` says it, the rest
/// is denied as before, the lease is renewed, the guard is armed again and goes.
#[tag(root)]
#[test]
fn an_interface_that_is_deleted_while_armed_is_named_and_hurts_nothing() {
    let mut names = Names::rehearsing();
    names.arm(LEASE * 20).expect_code(0);
    assert!(!names.exists("denied.test"));
    assert_eq!(names.status()["dns_interfaces"], json!([HOST_IF]));
    names.lab.pair.host.ip(&format!("link del {HOST_IF}"));
    let status = names.status();
    assert_eq!(status["dns_interfaces"], json!([]), "{status}");
    assert_eq!(status["dns_interfaces_gone"], json!([HOST_IF]), "{status}");
    assert_eq!(status["mode"], "enforcing");
    let text = names.guard(&["status"]).expect_code(0).stdout;
    assert!(text.contains(&format!("no queries at {HOST_IF}: deleted")), "{text}");

    // Another one of that name is another one: nothing is judged there, and nothing is lost.
    names.lab.pair.wire();
    assert_eq!(names.connects(), libc::EPERM);
    let back = |names: &Names| names.dig("denied.test").status == "NOERROR";
    wait_until("names resolve over the new wire", SLACK, || back(&names));
    assert_eq!(names.status()["dns_interfaces_gone"], json!([HOST_IF]));
    names.renew(LEASE * 20).expect_code(0);
    names.arm(LEASE * 20).expect_code(0).expect_stderr("no query is judged there");
    assert_eq!(names.connects(), libc::EPERM);
    assert!(names.exists("denied.test"));
    names.guard(&["disarm"]).expect_code(0);
    assert_eq!(names.connects(), libc::ECONNREFUSED);
    names.nothing_is_left();

    names.rehearse();
    names.arm(LEASE * 20).expect_code(0);
    assert!(!names.exists("denied.test"), "judged again");
}

/// G2: all of user space is killed, and a name and a connection are back within the
/// lease.
#[tag(root)]
#[test]
fn when_all_of_user_space_is_killed_names_pass_within_the_lease() {
    let mut names = Names::rehearsing();
    names.arm(LEASE).expect_code(0);
    let mut renewal = Command::new("sh");
    renewal.args(["-c", "while \"$0\" renew --lease 2s --pin-root \"$1\"; do sleep 0.5; done"]);
    renewal.arg(program("ibsr-guard")).arg(names.lab.pins.path());
    let renewal = Running::start(renewal.process_group(0).stderr(Stdio::null()));
    let begun = Instant::now();
    while begun.elapsed() < 2 * LEASE {
        assert!(!names.exists("denied.test"), "after {:?}", begun.elapsed());
        assert_eq!(names.connects(), libc::EPERM, "after {:?}", begun.elapsed());
    }
    let group = i32::try_from(renewal.pid()).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process_group(group, Signal::KILL).expect("the group is ours");
    let killed = Instant::now();
    wait_until("name and connection are back", LEASE + SLACK, || {
        let is_resolved = names.dig("denied.test").status == "NOERROR";
        is_resolved && names.connects() == libc::ECONNREFUSED
    });
    assert!(killed.elapsed() > LEASE / 4, "it was renewed a moment ago");
    assert!(names.exists("denied.test"));
    assert_eq!(names.status()["mode"], "shadow");
}
