// SPDX-License-Identifier: MIT OR Apache-2.0
//! The truth: tcpdump on the senders' side of the wire, and its file counted frame by frame
//! with a parser that shares no line with the sensor.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use ibsr_tests::frames::send_frames;
use ibsr_tests::netns::{HOST_MAC, PEER_IF, PEER_MAC};
use ibsr_tests::process::{Running, wait_until};
use rustix::process::Signal;

use crate::world::World;

/// What one client sent to one port.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// SYN without ACK.
    pub syn: u64,
    /// Three-way handshakes that the client completed.
    pub handshakes: u64,
    /// Frames with RST.
    pub rst: u64,
    /// Frames.
    pub packets: u64,
    /// Frame bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.syn += other.syn;
        self.handshakes += other.handshakes;
        self.rst += other.rst;
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// By source address.
pub type Truth = BTreeMap<IpAddr, Sent>;

/// A running tcpdump.
pub struct Capture {
    process: Running,
    file: PathBuf,
    log: PathBuf,
}

impl Capture {
    /// Starts it and waits until it listens.
    pub fn start(world: &World, files: &Path) -> Result<Self> {
        let file = files.join("sent.pcap");
        let log = files.join("tcpdump.log");
        let stderr = fs::File::create(&log).context("failed to create `tcpdump.log`")?;
        let mut command = world.pair.peer.command("tcpdump");
        command.args(["-n", "-i", PEER_IF, "-Q", "out", "-s", "0", "-B", "65536", "-U"]);
        command.args(["-Z", "root", "-w"]).arg(&file).stderr(stderr).stdout(Stdio::null());
        let process = Running::start(&mut command);
        wait_until("tcpdump listens", Duration::from_secs(10), || {
            fs::read_to_string(&log).is_ok_and(|said| said.contains("listening on"))
        });
        Ok(Self { process, file, log })
    }

    /// Ends it and counts its file. A last frame of no protocol marks the end: tcpdump drops
    /// what it has not written yet when it is told to stop.
    pub fn finish(mut self, world: &World) -> Result<Truth> {
        // Time for the clients' last acknowledgements.
        thread::sleep(Duration::from_millis(500));
        world.pair.peer.inside(|| send_frames(PEER_IF, [end_mark()]));
        wait_until("tcpdump has written every frame", Duration::from_secs(20), || {
            fs::read(&self.file).is_ok_and(|pcap| pcap.ends_with(&end_mark()))
        });
        self.process.signal(Signal::INT);
        self.process.wait(Duration::from_secs(10));
        let said = fs::read_to_string(&self.log).context("failed to read `tcpdump.log`")?;
        ensure!(said.contains("\n0 packets dropped by kernel"), "tcpdump lost frames: {said}");
        let pcap = fs::read(&self.file).context("failed to read `sent.pcap`")?;
        tally(&pcap)
    }
}

/// EtherType for local experiments (IEEE 802), and a text.
fn end_mark() -> Vec<u8> {
    let mut frame = [HOST_MAC, PEER_MAC].concat();
    frame.extend(0x88b5_u16.to_be_bytes());
    frame.extend(b"this is where the demo's traffic ends.......");
    frame
}

const PCAP_MAGIC_LE: [u8; 4] = [0xd4, 0xc3, 0xb2, 0xa1];
const PCAP_HEADER: usize = 24;
const RECORD_HEADER: usize = 16;

/// Counts a capture file.
fn tally(pcap: &[u8]) -> Result<Truth> {
    if pcap.len() < PCAP_HEADER || pcap[..4] != PCAP_MAGIC_LE {
        bail!("`sent.pcap` is not a capture file");
    }
    let mut tally = Tally::default();
    let mut rest = &pcap[PCAP_HEADER..];
    while rest.len() >= RECORD_HEADER {
        let word =
            |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]);
        let (captured, on_wire) = (word(8) as usize, u64::from(word(12)));
        let frame =
            rest.get(RECORD_HEADER..RECORD_HEADER + captured).context("`sent.pcap` is cut")?;
        tally.frame(frame, on_wire);
        rest = &rest[RECORD_HEADER + captured..];
    }
    Ok(tally.sent)
}

#[derive(Default)]
struct Tally {
    sent: Truth,
    /// By (source, destination, source port, destination port): sequence number that the
    /// completing ACK will have.
    pending: HashMap<(IpAddr, IpAddr, u16, u16), u32>,
}

impl Tally {
    fn frame(&mut self, frame: &[u8], on_wire: u64) {
        let Ok(packet) = SlicedPacket::from_ethernet(frame) else { return };
        let Some((src, dst)) = packet.net.as_ref().and_then(addresses) else { return };
        let Some(TransportSlice::Tcp(tcp)) = packet.transport else { return };
        let connection = (src, dst, tcp.source_port(), tcp.destination_port());
        let next = tcp.sequence_number();
        let mut add =
            Sent { rst: u64::from(tcp.rst()), packets: 1, bytes: on_wire, ..Sent::default() };
        if tcp.syn() && !tcp.ack() {
            add.syn = 1;
            self.pending.insert(connection, next.wrapping_add(1));
        } else if tcp.ack() && !tcp.rst() && self.pending.get(&connection) == Some(&next) {
            add.handshakes = 1;
            self.pending.remove(&connection);
        }
        *self.sent.entry(src).or_default() += add;
    }
}

fn addresses(net: &NetSlice<'_>) -> Option<(IpAddr, IpAddr)> {
    match net {
        NetSlice::Ipv4(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        NetSlice::Ipv6(ip) => {
            Some((ip.header().source_addr().into(), ip.header().destination_addr().into()))
        }
        NetSlice::Arp(_) => None,
    }
}
