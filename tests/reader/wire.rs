// SPDX-License-Identifier: MIT OR Apache-2.0
//! The real sensor on a real wire: loader, traffic, and a reader that sees the namespace's
//! own interfaces.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ibsr_proto::addr::SourceAddr;
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::frames::{Frame, flag, send_frames};
use ibsr_tests::netns::{HOST_IF, HOST_V4, PEER_IF, Pair};
use ibsr_tests::process::{Running, program, say, wait_until};

use crate::scope::spool;
use crate::sealed::{Story, sweeps_written};

/// Scope of the sensor on the wire.
pub const SCOPE: &str = "xdp-veth-h";
/// Ample for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

/// Gives the command the /sys of its own network namespace; our pins stay where they are.
const OWN_SYS: &str = "set -e; d=$(mktemp -d); mount --bind /sys/fs/bpf $d; \
    mount -t sysfs sysfs /sys; mount --bind $d /sys/fs/bpf; exec \"$@\"";

/// A wire with a sensor's host side and a spool.
pub struct Wire {
    pub pair: Pair,
    pub pins: PinRoot,
    pub spool: tempfile::TempDir,
}

impl Wire {
    /// Nothing attached yet.
    pub fn new() -> Self {
        Self { pair: Pair::new(), pins: PinRoot::new(), spool: spool() }
    }

    /// Runs the loader, which must end with 0.
    #[track_caller]
    pub fn load(&self, args: &str) {
        let loader = program("ibsr-loader");
        let mut command = self.pair.host.command(loader.to_str().expect("a plain path"));
        command.args(args.split_whitespace()).arg("--pin-root").arg(self.pins.path());
        let _said = say(&mut command).expect_code(0);
    }

    /// Attaches the sensor. The machine may have a group `ibsr` or not.
    #[track_caller]
    pub fn attach(&self, args: &str) {
        // Tests here send single packets and count each.
        self.load(&format!("attach xdp {HOST_IF} --group 0 --admit-first {args}"));
    }

    /// `ibsr-reader SUBCOMMAND` in the host's namespace.
    pub fn reader(&self, subcommand: &str) -> Command {
        let mut command = self.pair.host.command("unshare");
        command.args(["--mount", "--", "sh", "-c", OWN_SYS, "sh"]).arg(program("ibsr-reader"));
        command.args([subcommand, "--scope", SCOPE, "--pin-root"]).arg(self.pins.path());
        command.arg("--spool").arg(self.spool.path());
        command
    }

    /// Starts `run` with this period and more arguments.
    pub fn start(&self, period: &str, args: &str) -> Running {
        Running::start(self.reader("run").args(["--period", period]).args(args.split_whitespace()))
    }

    /// Sends `each` packets from each of `sources` addresses, in turns.
    pub fn send(&self, sources: u32, each: u32) {
        let frames = (0..each).flat_map(|turn| (0..sources).map(move |number| frame(number, turn)));
        let sent = self.pair.peer.inside(|| send_frames(PEER_IF, frames));
        assert_eq!(sent, (sources * each) as usize);
    }

    /// What was sealed.
    #[track_caller]
    pub fn story(&self) -> Story {
        Story::read(self.spool.path(), SCOPE)
    }

    /// The segment that is being written, if any.
    pub fn part(&self) -> Option<PathBuf> {
        let entries = std::fs::read_dir(self.spool.path().join(SCOPE)).ok()?;
        let is_part = |path: &PathBuf| path.extension().is_some_and(|name| name == "part");
        entries.flatten().map(|entry| entry.path()).find(is_part)
    }

    /// Waits until `count` more sweeps are written, sealed or not.
    #[track_caller]
    pub fn wait_for_sweeps(&self, count: usize) {
        let written = || sweeps_written(self.spool.path(), SCOPE);
        let before = written();
        wait_until("sweeps are written", SOON, || written() >= before + count);
    }
}

/// Address of source `number`.
pub fn source(number: u32) -> SourceAddr {
    let [_, b, c, d] = number.to_be_bytes();
    SourceAddr::from(std::net::IpAddr::V4(Ipv4Addr::new(10, 80 | b, c, d)))
}

fn frame(number: u32, turn: u32) -> Vec<u8> {
    let std::net::IpAddr::V4(from) = source(number).to_ip() else { unreachable!("IPv4") };
    let to: Ipv4Addr = HOST_V4.parse().expect("an address");
    // RST: the host answers nothing, so nothing else is on the wire.
    Frame::v4(from, to).ports(40_000, 443).seq(turn).flags(flag::RST).build()
}
