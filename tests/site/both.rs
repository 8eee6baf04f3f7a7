// SPDX-License-Identifier: MIT OR Apache-2.0
//! The whole path of both sensors of one host: attached beside each other, read, and one report
//! over both spools. Who is legitimate there is who exchanged data with a socket of the cgroup.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use ibsr_tests::actor::Actor;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::cgroup::Cgroup;
use ibsr_tests::frames::{Frame, flag, send_frames};
use ibsr_tests::netns::{HOST_IF, HOST_V4, PEER_IF, Pair};
use ibsr_tests::process::{Running, program, say, wait_until};
use rustix::process::Signal;
use serde_json::Value;
use test_tag::tag;

/// Talks with the watched server.
const CLIENT: &str = "10.77.0.11";
/// Talks with a server outside of the cgroup.
const OUTSIDE: &str = "10.77.0.12";
/// Connects to the watched server, and says nothing.
const SILENT: &str = "10.77.0.13";
/// Nobody has this address, so nobody resets what it opens.
const FLOOD: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 66);
const WATCHED_PORT: u16 = 8_080;
const OTHER_PORT: u16 = 8_081;
const CONNECTIONS: u64 = 8;
const SYNS: u16 = 40;
const SOON: Duration = Duration::from_secs(20);

struct Host {
    pair: Pair,
    pins: PinRoot,
    files: tempfile::TempDir,
}

impl Host {
    fn new() -> Self {
        let pair = Pair::new();
        for address in [CLIENT, OUTSIDE, SILENT] {
            pair.peer.ip(&format!("addr add {address}/24 dev {PEER_IF}"));
        }
        Self { pair, pins: PinRoot::new(), files: tempfile::tempdir().expect("a directory") }
    }

    fn command(&self, name: &str) -> Command {
        let path = program(name);
        let mut command = self.pair.host.command(path.to_str().expect("a plain path"));
        command.env("IBSR_PIN_ROOT", self.pins.path());
        command
    }

    fn load(&self, words: &[&str]) {
        let _said = say(self.command("ibsr-loader").args(words)).expect_code(0);
    }

    /// A reader of `scope` that has swept.
    fn read(&self, scope: &str) -> Running {
        let mut command = self.command("ibsr-reader");
        command.args(["run", "--scope", scope, "--host", "h1", "--period", "1s", "--spool"]);
        let running = Running::start(command.arg(self.files.path()));
        let dir = self.files.path().join(scope);
        wait_until("the first sweep", SOON, || entries(&dir) > 0);
        running
    }

    /// The report over what was read.
    fn report(&self) -> Value {
        let mut command = Command::new(program("ibsr-report"));
        command.arg("run").arg(self.files.path()).args(["--format", "json", "--quiet"]);
        let said = say(&mut command).expect_code(1);
        serde_json::from_str(&said.stdout).expect("JSON")
    }
}

fn entries(dir: &Path) -> usize {
    fs::read_dir(dir).map_or(0, Iterator::count)
}

/// A listener in `cgroup`.
fn server(host: &Host, cgroup: &Cgroup, port: u16) -> Actor {
    let mut server = Actor::start_in(cgroup, &host.pair.host);
    server.socket("l", "tcp4");
    server.act(&format!("bind l {HOST_V4}:{port}"));
    server.act("listen l");
    server
}

/// A connection from `address`, with so many bytes each way.
fn talk(client: &mut Actor, server: &mut Actor, address: &str, port: u16, bytes: u64) {
    client.socket("c", "tcp4");
    client.act(&format!("bind c {address}:0"));
    client.act(&format!("connect c {HOST_V4}:{port}"));
    server.number("accept l a");
    client.act(&format!("send c {bytes}"));
    server.act(&format!("receive a {bytes}"));
    server.act(&format!("send a {bytes}"));
    client.act(&format!("receive c {bytes}"));
    client.act("close c");
    assert_eq!(server.act("receive a 1"), "0", "the end of the stream");
    server.act("close a");
}

fn flood(host: &Host) {
    let to: Ipv4Addr = HOST_V4.parse().expect("an address");
    let syn = |number: u16| {
        let frame = Frame::v4(FLOOD, to).ports(20_000 + number, WATCHED_PORT);
        frame.seq(u32::from(number) * 100_003).flags(flag::SYN).build()
    };
    host.pair.peer.inside(|| send_frames(PEER_IF, (0..SYNS).map(syn)));
}

/// Sums over what the kernel counted, so the numbers are exact.
#[tag(root)]
#[test]
fn sensors_beside_each_other_label_clients_by_what_they_exchanged() {
    let host = Host::new();
    let (watched, other) = (Cgroup::new(), Cgroup::new());
    let path = watched.path().to_str().expect("a plain path").to_owned();
    host.load(&["attach", "cgroup", &path, "--name", "web", "--group", "0"]);
    host.load(&["attach", "xdp", HOST_IF, "--group", "0"]);
    let scope = format!("xdp-{HOST_IF}");
    let readers = [host.read("cg-web"), host.read(&scope)];
    let mut servers = [server(&host, &watched, WATCHED_PORT), server(&host, &other, OTHER_PORT)];
    let mut client = Actor::start_in(&other, &host.pair.peer);
    for _ in 0..CONNECTIONS {
        talk(&mut client, &mut servers[0], CLIENT, WATCHED_PORT, 700);
        talk(&mut client, &mut servers[1], OUTSIDE, OTHER_PORT, 700);
        talk(&mut client, &mut servers[0], SILENT, WATCHED_PORT, 0);
    }
    flood(&host);
    sleep(Duration::from_secs(2));
    for mut reader in readers {
        reader.signal(Signal::TERM);
        assert!(reader.wait(SOON).success());
    }
    host.load(&["detach"]);
    let report = host.report();
    let basis = |field: &str| report["label_basis"][field].as_u64().expect("a number");
    assert_eq!(basis("stream_days"), basis("stream_days_covered"), "{}", report["label_basis"]);
    assert_eq!(basis("handshakes"), 3 * CONNECTIONS);
    assert_eq!(basis("handshakes_known"), 2 * CONNECTIONS, "those of the cgroup");
    assert_eq!(
        (basis("connections"), basis("connections_both_ways")),
        (2 * CONNECTIONS, CONNECTIONS)
    );
    let sources = report["sources"].as_array().expect("a list");
    let label = |src: &str| {
        let source = sources.iter().find(|source| source["src"] == src);
        source.unwrap_or_else(|| panic!("no {src} in {sources:#?}"))["label"].clone()
    };
    assert_eq!(label(CLIENT), "legitimate");
    assert_eq!(label(OUTSIDE), "unknown");
    assert_eq!(label(SILENT), "unknown");
    assert_eq!(label(&FLOOD.to_string()), "abusive");
    assert_eq!(report["settings"]["is_label_independent"], false, "a third is not known");
}
