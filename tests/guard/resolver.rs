// SPDX-License-Identifier: MIT OR Apache-2.0
//! A guard whose clients ask a resolver of the test's own, at the other end of a wire or on
//! loopback.

use std::net::UdpSocket;
use std::process::Command;
use std::sync::{Arc, Mutex};

use ibsr_tests::actor::ENTER;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::dns::{A, AAAA, ASKED, Responder, address, asked, reply};
use ibsr_tests::netns::{HOST_IF, Namespace, PEER_V4, PEER_V6, Pair};
use ibsr_tests::process::say;

use crate::loaded::Guard;

/// What every name has at the resolver, unless the guard answers.
pub const REAL_V4: &str = "192.0.2.7";
/// The same.
pub const REAL_V6: &str = "2001:db8::7";
/// On loopback.
pub const LOCAL_V4: &str = "127.0.0.53";

/// Denied zones with an allow inside one, and sinkholes of both families.
pub const POLICY: &str = "rules:
  - {action: nxdomain, domain: denied.test}
  - {action: allow, domain: good.denied.test}
  - {action: deny, domain: plain.test}
  - {action: {sinkhole: 192.0.2.66}, domain: four.test, ttl: 77s}
  - {action: {sinkhole: '2001:db8::66'}, domain: six.test}
";

/// The wire, the resolver at its other end and on loopback, the cgroup, the guard.
#[derive(Debug)]
pub struct World {
    /// Both ends; the clients are in `host`.
    pub pair: Pair,
    /// Of the clients.
    pub cgroup: Cgroup,
    /// Attached to the wire and to loopback.
    pub guard: Guard,
    _responders: Vec<Responder>,
    reached: Arc<Mutex<Vec<String>>>,
}

impl World {
    /// With a guard that enforces, or rehearses.
    #[track_caller]
    pub fn new(may_enforce: bool) -> Self {
        let (pair, cgroup) = (Pair::new(), Cgroup::new());
        let reached = Arc::new(Mutex::new(Vec::new()));
        let places = [(&pair.peer, PEER_V4), (&pair.peer, PEER_V6), (&pair.host, LOCAL_V4)];
        let _responders =
            places.map(|(space, ip)| serve(space, ip, &reached)).into_iter().collect();
        let mut guard = Guard::attach(&cgroup, may_enforce);
        guard.apply(POLICY);
        guard.enforce_until(u64::MAX);
        guard.judge_queries(&pair.host, HOST_IF);
        guard.judge_queries(&pair.host, "lo");
        Self { pair, cgroup, guard, _responders, reached }
    }

    /// A command of a process in the cgroup, in the clients' namespace.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.pair.host.command("sh");
        command.args(["-c", ENTER]).arg(self.cgroup.path().join("cgroup.procs")).args(words);
        command
    }

    /// What `dig` says; one try, with the question and without comments of its own.
    #[track_caller]
    pub fn dig(&self, words: &str) -> Dug {
        let all = ["dig", "+tries=1", "+time=2", "+nocookie"].into_iter();
        let words: Vec<&str> = all.chain(words.split_whitespace()).collect();
        let said = say(&mut self.command(&words));
        Dug::read(&said.stdout)
    }

    /// Names that reached the resolver since the last time.
    pub fn reached(&self) -> Vec<String> {
        std::mem::take(&mut self.reached.lock().expect("nobody panics with it"))
    }
}

fn serve(space: &Namespace, ip: &str, reached: &Arc<Mutex<Vec<String>>>) -> Responder {
    let socket = space.inside(|| UdpSocket::bind((ip, 53)).expect("it is free"));
    let reached = Arc::clone(reached);
    Responder::start(socket, move |question| {
        let (name, kind, _) = asked(question);
        reached.lock().expect("nobody panics with it").push(name);
        let record = match kind {
            A => vec![address(&ASKED, 60, REAL_V4.parse().expect("an address"))],
            AAAA => vec![address(&ASKED, 60, REAL_V6.parse().expect("an address"))],
            _ => Vec::new(),
        };
        reply(question, 0, &record)
    })
}

/// An answer as `dig` prints it.
#[derive(Debug)]
pub struct Dug {
    /// `NOERROR`, `NXDOMAIN`; empty when there was no answer.
    pub status: String,
    /// `qr rd ra`.
    pub flags: String,
    /// The question as it came back.
    pub question: String,
    /// Records: name, TTL, type and data.
    pub answers: Vec<String>,
    /// Everything.
    pub text: String,
}

impl Dug {
    /// Reads the output of `dig`.
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let between = |start: &str, end: &str| {
            let rest = text.split_once(start).map_or("", |(_, rest)| rest);
            rest.split(end).next().unwrap_or("").to_owned()
        };
        let answers = between(";; ANSWER SECTION:\n", "\n\n");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let question = between(";; QUESTION SECTION:\n", "\n");
        for wrong in ["Warning", "malformed", "mismatch", ";; Got bad packet"] {
            assert!(!text.contains(wrong), "{text}");
        }
        Self {
            status: between("status: ", ","),
            flags: between(";; flags: ", ";"),
            question: words(question.trim_start_matches(';')),
            answers: answers.lines().map(words).collect(),
            text: text.to_owned(),
        }
    }
}
