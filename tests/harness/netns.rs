// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two network namespaces with a veth pair between them. The sensor side is `host`, the
//! traffic comes from `peer`. Nothing is ever attached to the machine's own interfaces.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// A network namespace, deleted on drop.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one with its loopback up.
    #[must_use]
    pub fn new(role: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("ibsr-{}-{number}-{role}", std::process::id());
        run(Command::new("ip").args(["netns", "add", &name]));
        let namespace = Self { name };
        namespace.ip("link set lo up");
        namespace
    }

    /// Path that `nsenter --net=` takes.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        PathBuf::from("/run/netns").join(&self.name)
    }

    /// Name that `ip link set ... netns` takes.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs inside. Not `ip netns exec`, which mounts a new /sys without our
    /// pins.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// `ip ARGS` inside; panics with its message when it fails.
    pub fn ip(&self, args: &str) -> String {
        let output = run(self.command("ip").args(args.split_whitespace()));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Several `ip` commands inside, one a line, by one process; panics with its message when
    /// one fails.
    pub fn ip_batch(&self, lines: &str) {
        let mut command = self.command("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("nsenter is installed");
        let mut input = child.stdin.take().expect("it is a pipe");
        input.write_all(lines.as_bytes()).expect("ip reads all of it");
        drop(input);
        let output = child.wait_with_output().expect("a child can be waited for");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "`ip -batch` failed: {said}\n{lines}");
    }

    /// Sets `net/KEY` of `sysctl` inside.
    pub fn set_sysctl(&self, key: &str, value: &str) {
        let path = PathBuf::from("/proc/sys/net").join(key);
        let done = self.inside(|| fs::write(&path, value));
        done.unwrap_or_else(|error| panic!("failed to set `{}`: {error}", path.display()));
    }

    /// Runs `work` on a thread inside, for sockets that the test opens itself.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let file = File::open(self.path()).expect("the namespace exists");
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    move_into_link_name_space(
                        std::os::fd::AsFd::as_fd(&file),
                        Some(LinkNameSpaceType::Network),
                    )
                    .expect("root may enter a namespace");
                    work()
                })
                .join()
                .expect("the work inside the namespace did not panic")
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _gone = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

/// A `host` with interface `veth-h` and a `peer` with `veth-p`, addressed 10.77.0.1/24 and
/// fd77::1/64 against 10.77.0.2/24 and fd77::2/64, up, with neighbours known to both sides
/// so that no unasked frame disturbs a count.
#[derive(Debug)]
pub struct Pair {
    /// Where the sensor is attached.
    pub host: Namespace,
    /// Where the traffic comes from.
    pub peer: Namespace,
}

/// Interface of [`Pair::host`].
pub const HOST_IF: &str = "veth-h";
/// Interface of [`Pair::peer`].
pub const PEER_IF: &str = "veth-p";
/// MAC address of [`HOST_IF`].
pub const HOST_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x77, 1];
/// MAC address of [`PEER_IF`].
pub const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0x77, 2];
/// IPv4 address of [`HOST_IF`].
pub const HOST_V4: &str = "10.77.0.1";
/// IPv4 address of [`PEER_IF`].
pub const PEER_V4: &str = "10.77.0.2";
/// IPv6 address of [`HOST_IF`].
pub const HOST_V6: &str = "fd77::1";
/// IPv6 address of [`PEER_IF`].
pub const PEER_V6: &str = "fd77::2";

impl Pair {
    /// Makes both namespaces and the wire.
    #[must_use]
    pub fn new() -> Self {
        let pair = Self { host: Namespace::new("host"), peer: Namespace::new("peer") };
        pair.wire();
        pair
    }

    /// Makes the wire again, for tests that deleted it.
    pub fn wire(&self) {
        let Self { host, peer } = self;
        host.ip(&format!("link add {HOST_IF} type veth peer name {PEER_IF} netns {}", peer.name()));
        let sides = [
            (host, HOST_IF, HOST_MAC, HOST_V4, HOST_V6, PEER_MAC, PEER_V4, PEER_V6),
            (peer, PEER_IF, PEER_MAC, PEER_V4, PEER_V6, HOST_MAC, HOST_V4, HOST_V6),
        ];
        for (space, ifname, own_mac, v4, v6, other_mac, other_v4, other_v6) in sides {
            // No router solicitations, MLD or DAD frames: a test counts every frame.
            for (setting, value) in
                [("accept_dad", "0"), ("router_solicitations", "0"), ("addr_gen_mode", "1")]
            {
                space.set_sysctl(&format!("ipv6/conf/{ifname}/{setting}"), value);
            }
            let (own, other) = (mac_text(own_mac), mac_text(other_mac));
            space.ip_batch(&format!(
                "link set {ifname} address {own}\n\
                 link set {ifname} multicast off\n\
                 addr add {v4}/24 dev {ifname}\n\
                 link set {ifname} up\n\
                 addr add {v6}/64 dev {ifname} nodad\n\
                 neigh replace {other_v4} lladdr {other} dev {ifname} nud permanent\n\
                 neigh replace {other_v6} lladdr {other} dev {ifname} nud permanent\n"
            ));
        }
    }
}

impl Default for Pair {
    fn default() -> Self {
        Self::new()
    }
}

/// A MAC address the way `ip` writes it.
#[must_use]
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// Runs a set-up command; panics with what it said when it fails.
pub fn run(command: &mut Command) -> Output {
    let output =
        command.output().unwrap_or_else(|error| panic!("failed to run {command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}
