// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clients: curl as real users, raw frames as the flood and the scan. All run side by side
//! and each stops by itself.

use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ibsr_tests::frames::{Frame, ethertype, flag, send_frames};
use ibsr_tests::netns::{HOST_V4, HOST_V6, PEER_IF};

use crate::world::{FLOOD, IPV6, KEEP_ALIVE, ORDINARY, SCAN, SLOW, VLAN, World};
use crate::{heading, world};

const FLOOD_SECONDS: u32 = 12;
const FLOOD_SYNS_PER_SECOND: u32 = 2_000;
const SCANNED_PORTS: u16 = 1_000;
const TAGGED_CONNECTIONS: u16 = 10;
const VLAN_ID: u16 = 100;

/// Runs every client to its end.
pub fn run_all(world: &World) -> Result<()> {
    heading("traffic: curl over IPv4, IPv6 and a VLAN, a SYN flood, a port scan");
    thread::scope(|scope| {
        let users = [
            scope.spawn(|| (0..8).try_for_each(|_| download(world, &ORDINARY, HOST_V4, &[]))),
            scope.spawn(|| keep_alive(world)),
            scope.spawn(|| download(world, &SLOW, HOST_V4, &["--limit-rate", "50k"])),
            scope.spawn(|| download(world, &IPV6, &format!("[{HOST_V6}]"), &[])),
            scope.spawn(|| tagged(world)),
            scope.spawn(|| flood(world)),
            scope.spawn(|| scan(world)),
        ];
        users.into_iter().try_for_each(|user| user.join().expect("a client does not panic"))
    })
}

fn download(world: &World, client: &world::Client, server: &str, extra: &[&str]) -> Result<()> {
    curl(world, client, extra, &[format!("http://{server}/file")])
}

fn keep_alive(world: &World) -> Result<()> {
    let urls: Vec<String> = (0..20).map(|_| format!("http://{HOST_V4}/file")).collect();
    curl(world, &KEEP_ALIVE, &[], &urls)
}

fn curl(world: &World, client: &world::Client, extra: &[&str], urls: &[String]) -> Result<()> {
    let mut command = world.pair.peer.command("curl");
    command.args(["-sS", "--noproxy", "*", "--max-time", "30", "--interface", client.address]);
    command.args(extra).args(urls.iter().flat_map(|url| ["-o", "/dev/null", url]));
    let output = command.output()?;
    if !output.status.success() {
        bail!("{}: {}", client.name, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn tagged(world: &World) -> Result<()> {
    world.pair.peer.inside(|| {
        send_frames(PEER_IF, (0..TAGGED_CONNECTIONS).flat_map(tagged_connection));
    });
    Ok(())
}

/// What one side of a short connection sends. Whether anybody answers is nothing to a sensor
/// that sees one direction.
fn tagged_connection(number: u16) -> [Vec<u8>; 4] {
    const FIRST_SEQ: u32 = 1_000;
    let request = b"GET /file HTTP/1.0\r\n\r\n";
    let frame = |seq, flags| {
        Frame::v4(address(VLAN.address), address(HOST_V4))
            .vlan(ethertype::VLAN, VLAN_ID)
            .ports(30_000 + number, 80)
            .seq(seq)
            .flags(flags)
    };
    let behind = FIRST_SEQ + 1 + request.len() as u32;
    [
        frame(FIRST_SEQ, flag::SYN).build(),
        frame(FIRST_SEQ + 1, flag::ACK).build(),
        frame(FIRST_SEQ + 1, flag::ACK | flag::PSH).payload(request).build(),
        frame(behind, flag::ACK | flag::FIN).build(),
    ]
}

fn address(text: &str) -> Ipv4Addr {
    text.parse().expect("an address of ours")
}

/// Paced, so that a rate is to be seen: a hundredth of a second's SYNs at a time.
fn flood(world: &World) -> Result<()> {
    let batch = FLOOD_SYNS_PER_SECOND / 100;
    world.pair.peer.inside(|| {
        let start = Instant::now();
        for tick in 0..FLOOD_SECONDS * 100 {
            send_frames(PEER_IF, (0..batch).map(|at| syn_of_flood(tick * batch + at)));
            let next = Duration::from_millis(u64::from(tick + 1) * 10);
            thread::sleep(next.saturating_sub(start.elapsed()));
        }
    });
    Ok(())
}

fn scan(world: &World) -> Result<()> {
    world.pair.peer.inside(|| {
        send_frames(PEER_IF, (1..=SCANNED_PORTS).map(|port| syn(SCAN.address, 40_000, port, 1)))
    });
    Ok(())
}

fn syn_of_flood(number: u32) -> Vec<u8> {
    let src_port = 1_024 + (number % 60_000) as u16;
    syn(FLOOD.address, src_port, 80, number.wrapping_mul(2_654_435_761))
}

fn syn(from: &str, src_port: u16, dst_port: u16, seq: u32) -> Vec<u8> {
    Frame::v4(address(from), address(HOST_V4))
        .ports(src_port, dst_port)
        .seq(seq)
        .flags(flag::SYN)
        .build()
}
