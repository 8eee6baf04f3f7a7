// SPDX-License-Identifier: MIT OR Apache-2.0
//! The clients: curl as real users, raw frames as the flood, the scan and the health checker.
//! All run side by side, and beside the applications; each stops by itself.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use ibsr_tests::frames::{Frame, ethertype, flag, send_frames};
use ibsr_tests::netns::{HOST_V4, HOST_V6, PEER_IF};
use rustix::time::{ClockId, clock_gettime};

use crate::apps::{Apps, Done};
use crate::world::{CHECKER, FLOOD, IPV6, KEEP_ALIVE, NAT, ORDINARY, SCAN, SLOW, VLAN, World};
use crate::{heading, world};

/// No application takes longer.
const ACTS_S: u64 = 20;
/// A rule decides after three windows of a second and acts two windows later; the rest is
/// what it would have dropped.
const FLOOD_SECONDS: u32 = 15;
const FLOOD_SYNS_PER_SECOND: u32 = 2_000;
/// Twice the ports a second that the safest threshold of `scan` asks for, over many windows.
const SCANNED_PORTS: u16 = 2_000;
const SCANNED_PORTS_PER_SECOND: u16 = 200;
/// A checker of one back end that asks often: every half second.
const CHECKS: u16 = 24;
const CHECK_EVERY: Duration = Duration::from_millis(500);
/// Behind the gateway: 20 connections a second for ten seconds.
const NAT_HOSTS: usize = 4;
const NAT_CONNECTIONS_OF_A_HOST: u16 = 50;
const NAT_RATE_OF_A_HOST: &str = "5/s";
const TAGGED_CONNECTIONS: u16 = 10;
const VLAN_ID: u16 = 100;
/// Odd, so that sequence numbers spread over their whole range before they come again.
const SEQ_STEP: u32 = 2_654_435_761;

/// Runs every client and every application to its end; what the applications did.
pub fn run_all(world: &World, apps: &mut Apps) -> Result<BTreeMap<&'static str, Done>> {
    wait_for_a_window();
    heading(
        "traffic: curl over IPv4, IPv6 and a VLAN, a NAT gateway, a health checker; a SYN flood, \
         a port scan",
    );
    heading(
        "behind the server: updates, NTP, pages, a backup, health checks; a beacon, an \
         exfiltration, a scan, a tunnel through DNS",
    );
    thread::scope(|scope| {
        let apps = scope.spawn(|| apps.run());
        let users = [
            scope.spawn(|| (0..8).try_for_each(|_| download(world, &ORDINARY, HOST_V4, &[]))),
            scope.spawn(|| keep_alive(world)),
            scope.spawn(|| download(world, &SLOW, HOST_V4, &["--limit-rate", "50k"])),
            scope.spawn(|| download(world, &IPV6, &format!("[{HOST_V6}]"), &[])),
            scope.spawn(|| tagged(world)),
            scope.spawn(|| gateway(world)),
            scope.spawn(|| check_health(world)),
            scope.spawn(|| flood(world)),
            scope.spawn(|| scan(world)),
        ];
        users.into_iter().try_for_each(|user| user.join().expect("a client does not panic"))?;
        apps.join().expect("applications do not panic")
    })
}

/// The limits of an application are for windows that begin every ten minutes of the boot clock.
/// What is planted must not fall into two: once in some 30 runs this waits.
fn wait_for_a_window() {
    const WINDOW_S: u64 = 600;
    let boot_s = clock_gettime(ClockId::Boottime).tv_sec.unsigned_abs();
    let left_s = WINDOW_S - boot_s % WINDOW_S;
    if left_s < ACTS_S {
        heading(&format!("a window of ten minutes ends within {left_s} s: waiting for the next"));
        thread::sleep(Duration::from_secs(left_s));
    }
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

/// Hosts that share an address: many connections a second, each completed and closed.
fn gateway(world: &World) -> Result<()> {
    let host = || {
        let pages = format!("http://{HOST_V4}/page?[1-{NAT_CONNECTIONS_OF_A_HOST}]");
        curl(world, &NAT, &["--rate", NAT_RATE_OF_A_HOST, "-H", "Connection: close"], &[pages])
    };
    thread::scope(|scope| {
        let hosts: Vec<_> = (0..NAT_HOSTS).map(|_| scope.spawn(host)).collect();
        hosts.into_iter().try_for_each(|host| host.join().expect("a host does not panic"))
    })
}

/// A half-open check. The address is the kernel's, which knows of no such connection: it
/// answers the SYN-ACK with RST, as a balancer's probe does.
fn check_health(world: &World) -> Result<()> {
    paced(world, CHECKS.into(), CHECK_EVERY, |number| {
        let src_port = 20_000 + number as u16;
        vec![syn(CHECKER.address, src_port, 80, number.wrapping_mul(SEQ_STEP))]
    })
}

/// A twenty-fifth of a second's SYNs at a time.
fn flood(world: &World) -> Result<()> {
    let batch = FLOOD_SYNS_PER_SECOND / 25;
    paced(world, FLOOD_SECONDS * 25, Duration::from_millis(40), |tick| {
        (0..batch).map(|at| syn_of_flood(tick * batch + at)).collect()
    })
}

/// A twentieth of a second's ports at a time.
fn scan(world: &World) -> Result<()> {
    let batch = SCANNED_PORTS_PER_SECOND / 20;
    paced(world, (SCANNED_PORTS / batch).into(), Duration::from_millis(50), |tick| {
        let first = 1 + tick as u16 * batch;
        (first..first + batch).map(|port| syn(SCAN.address, 40_000, port, 1)).collect()
    })
}

/// Sends the frames of each tick, so that there is a rate to be seen. Who is late makes up
/// for it. The kernel takes about 20 ms to close the packet socket that sent them: ticks
/// closer than that give a lower rate than they should.
fn paced(
    world: &World,
    ticks: u32,
    every: Duration,
    frames: impl Fn(u32) -> Vec<Vec<u8>> + Sync,
) -> Result<()> {
    world.pair.peer.inside(|| {
        let start = Instant::now();
        for tick in 0..ticks {
            send_frames(PEER_IF, frames(tick));
            thread::sleep((every * (tick + 1)).saturating_sub(start.elapsed()));
        }
    });
    Ok(())
}

fn syn_of_flood(number: u32) -> Vec<u8> {
    let src_port = 1_024 + (number % 60_000) as u16;
    syn(FLOOD.address, src_port, 80, number.wrapping_mul(SEQ_STEP))
}

fn syn(from: &str, src_port: u16, dst_port: u16, seq: u32) -> Vec<u8> {
    Frame::v4(address(from), address(HOST_V4))
        .ports(src_port, dst_port)
        .seq(seq)
        .flags(flag::SYN)
        .build()
}
