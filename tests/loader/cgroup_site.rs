// SPDX-License-Identifier: MIT OR Apache-2.0
//! One cgroup, one pin root, one loader: what every test of the cgroup scope starts from.

use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::Duration;

use ibsr_proto::cgroup_abi::{CgroupMeta, CgroupTotals, Flow, FlowKey};
use ibsr_proto::pins::{CGROUP_MAPS, CGROUP_PROGS, FLOWS, META, Scope, TOTALS};
use ibsr_tests::actor::Actor;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::process::{Said, program, say};
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use serde_json::Value;
use zerocopy::FromBytes as _;

use crate::world::{names, open_map};

/// The one program without a link.
pub const WALK: &str = "adopt";

pub struct Site {
    pub cgroup: Cgroup,
    pub pins: PinRoot,
    pub loader: PathBuf,
}

impl Site {
    pub fn new() -> Self {
        Self { cgroup: Cgroup::new(), pins: PinRoot::new(), loader: program("ibsr-loader") }
    }

    /// `LOADER ARGS --pin-root DIR`, started by `wrapper`.
    pub fn command_under(&self, wrapper: &[&str], args: &str) -> Command {
        let loader = self.loader.to_str().expect("a plain path");
        let mut words = wrapper.iter().copied().chain([loader]);
        let mut command = Command::new(words.next().expect("the loader at least"));
        command.args(words).args(args.split_whitespace());
        command.arg("--pin-root").arg(self.pins.path());
        // The machine that runs this may have a group `ibsr` or not.
        if args.starts_with("attach") && !args.contains("--group") {
            command.args(["--group", "0"]);
        }
        command
    }

    pub fn run(&self, args: &str) -> Said {
        say(&mut self.command_under(&[], args))
    }

    /// The words that attach this cgroup, as `cg-site`.
    pub fn attach_args(&self, args: &str) -> String {
        format!("attach cgroup {} --name site {args}", self.cgroup.path().display())
    }

    /// Attaches, which must work.
    #[track_caller]
    pub fn attach(&self, args: &str) -> Said {
        self.run(&self.attach_args(args)).expect_code(0)
    }

    /// The exit code and the first scope of `status --format json`.
    #[track_caller]
    pub fn status(&self) -> (i32, Value) {
        let said = self.run("status --format json");
        let report: Value = serde_json::from_str(&said.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", said.stdout, said.stderr));
        (said.code.expect("an exit code"), report["scopes"][0].clone())
    }

    /// Waits until `status` names this problem: the kernel takes links off a removed cgroup some
    /// time after it is gone.
    #[track_caller]
    pub fn assert_says_soon(&self, problem: &str) {
        const TRIES: u32 = 100;
        const PAUSE: Duration = Duration::from_millis(50);
        let mut last = Value::Null;
        for _ in 0..TRIES {
            let (code, scope) = self.status();
            let first = scope["problems"][0]["problem"].as_str().unwrap_or_default();
            if code == 1 && first.contains(problem) {
                return;
            }
            last = scope;
            thread::sleep(PAUSE);
        }
        panic!("status does not say `{problem}`: {last:#}");
    }

    #[track_caller]
    pub fn assert_healthy(&self) {
        let (code, scope) = self.status();
        assert_eq!(code, 0, "{scope:#}");
        assert_eq!(scope["hooks"], CGROUP_PROGS.len() - 1, "{scope:#}");
    }

    pub fn dir(&self) -> PathBuf {
        Scope::cgroup("site").expect("a plain name").dir(self.pins.path())
    }

    pub fn pins(&self) -> Vec<String> {
        names(&self.dir())
    }

    pub fn meta(&self) -> CgroupMeta {
        let bytes = open_map(&self.dir().join(META)).lookup(&[0; 4], MapFlags::ANY);
        CgroupMeta::from_abi(&bytes.expect("readable").expect("one entry")).expect("of this build")
    }

    pub fn flows_map(&self) -> MapHandle {
        open_map(&self.dir().join(FLOWS))
    }

    pub fn totals_map(&self) -> MapHandle {
        open_map(&self.dir().join(TOTALS))
    }

    /// Programs on the cgroup, as the kernel says.
    pub fn programs(&self) -> usize {
        let mut command = Command::new("bpftool");
        let said = say(command.args(["-j", "cgroup", "show"]).arg(self.cgroup.path()));
        let text = if said.stdout.trim().is_empty() { "[]" } else { said.stdout.trim() };
        let list: Value = serde_json::from_str(text).expect("bpftool prints JSON");
        list.as_array().expect("a list").len()
    }

    /// `detach` works and leaves no pin, no directory, no program.
    #[track_caller]
    pub fn assert_detaches(&self) {
        let _said = self.run("detach").expect_code(0);
        assert!(!self.pins.path().exists(), "left: {:?}", names(self.pins.path()));
        ibsr_tests::process::wait_until("no program is left", crate::world::SOON, || {
            self.programs() == 0
        });
    }
}

/// Every pin of an attached scope, sorted.
pub fn all_pins() -> Vec<String> {
    let progs = CGROUP_PROGS.iter().map(|prog| format!("prog-{prog}"));
    let linked = CGROUP_PROGS.iter().filter(|prog| **prog != WALK);
    let links = linked.map(|prog| format!("link-{prog}"));
    let maps = CGROUP_MAPS.iter().map(|(pin, _)| (*pin).to_owned());
    let mut pins: Vec<String> = progs.chain(links).chain(maps).collect();
    pins.sort();
    pins
}

pub fn flows_of(map: &MapHandle) -> Vec<(FlowKey, Flow)> {
    let value = |key: Vec<u8>| {
        let value = map.lookup(&key, MapFlags::ANY).expect("readable")?;
        let key = FlowKey::read_from_bytes(&key).expect("the ABI");
        Some((key, Flow::read_from_bytes(&value).expect("the ABI")))
    };
    map.keys().filter_map(value).collect()
}

pub fn totals_of(map: &MapHandle) -> CgroupTotals {
    let cpus = map.lookup_percpu(&[0; 4], MapFlags::ANY).expect("readable").expect("one entry");
    let cpus: Vec<CgroupTotals> =
        cpus.iter().map(|bytes| CgroupTotals::read_from_bytes(bytes).expect("the ABI")).collect();
    CgroupTotals::sum(&cpus)
}

/// A listener and a client in one cgroup, and the connections that they make.
pub struct Talk {
    client: Actor,
    server: Actor,
    at: std::net::SocketAddr,
    /// Cookies of the connecting sockets so far.
    pub sockets: Vec<u64>,
}

impl Talk {
    pub fn start(cgroup: &Cgroup) -> Self {
        let (client, mut server) = (Actor::start(cgroup), Actor::start(cgroup));
        let _cookie = server.socket("l", "tcp4");
        let at = server.address("bind l 127.0.0.1:0");
        let _done = server.act("listen l");
        Self { client, server, at, sockets: Vec::new() }
    }

    /// One connection with a hundred bytes each way, closed again.
    pub fn connect_once(&mut self) {
        let cookie = self.client.socket("c", "tcp4");
        let _from = self.client.address(&format!("connect c {}", self.at));
        let _accepted = self.server.number("accept l a");
        for (from, to, sender) in [("c", "a", true), ("a", "c", false)] {
            let (one, other) = match sender {
                true => (&mut self.client, &mut self.server),
                false => (&mut self.server, &mut self.client),
            };
            let _sent = one.act(&format!("send {from} 100"));
            let _received = other.act(&format!("receive {to} 100"));
        }
        let _closed = (self.client.act("close c"), self.server.act("close a"));
        self.sockets.push(cookie);
    }

    pub fn client_pid(&self) -> u32 {
        self.client.pid()
    }
}
