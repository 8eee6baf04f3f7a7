// SPDX-License-Identifier: MIT OR Apache-2.0
//! The receiving side: attaches each program in turn and reads what came and what it cost.

use std::fs;
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use ibsr_tests::netns::{HOST_IF, HOST_V4, Namespace, PEER_V4, run as run_command};
use rustix::process::{Pid, setpriority_process};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::Value;

use crate::programs::{Loaded, Programs, Senders, Settings, TABLES, Which};
use crate::sender::{Order, Traffic};

/// Odd, so that the median is a measured value.
const ROUNDS: usize = 9;
/// CPU of the receiving thread. The sender's is 1.
const CPU: usize = 0;
/// Before other work of the machine: a receiver that waits for its turn wakes up anew for a
/// few packets each time.
pub const NICE: i32 = -20;
/// With fewer, waking up is what was measured.
const LEAST_PACKETS: u64 = 20_000;
const WARM_UP: Duration = Duration::from_millis(200);
const MEASURED: Duration = Duration::from_millis(1_000);

/// One turn of one row.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// CPU of the receiving thread for each packet received.
    pub cpu_ns: f64,
    /// Packets received a second.
    pub rate: f64,
}

/// A program, or none, and a traffic.
#[derive(Debug)]
pub struct Row {
    /// The program.
    pub program: Option<Which>,
    /// What came.
    pub traffic: Traffic,
    /// Each turn.
    pub turns: Vec<Turn>,
}

/// Measures all rows.
///
/// # Errors
/// When a program cannot be attached, or nothing arrives.
pub fn run(host: &Namespace, orders: &SyncSender<Order>, done: &Receiver<()>) -> Result<Vec<Row>> {
    run_in_a_thread(host);
    let _server = serve(host)?;
    let programs = Programs::compile()?;
    let mut rows = Vec::new();
    for traffic in Traffic::ALL {
        let ours = TABLES.map(|table| Some(Which::Ours(table)));
        let others = [None, Some(Which::Floor), Some(Which::Yardstick)];
        for program in others.into_iter().chain(ours) {
            let settings = Settings::new(Senders::Frame);
            // Each row has tables of its own: a flood of one must not be found by another.
            let loaded = program.map(|which| programs.load(which, &settings)).transpose()?;
            rows.push((Row { program, traffic, turns: Vec::new() }, loaded));
        }
    }
    for _round in 0..ROUNDS {
        for (row, loaded) in &mut rows {
            row.turns.push(turn(row.traffic, loaded.as_ref(), host, orders, done)?);
        }
    }
    Ok(rows.into_iter().map(|(row, _)| row).collect())
}

fn turn(
    traffic: Traffic,
    loaded: Option<&Loaded>,
    host: &Namespace,
    orders: &SyncSender<Order>,
    done: &Receiver<()>,
) -> Result<Turn> {
    let ifindex = i32::try_from(link(host)?["ifindex"].as_u64().context("no index")?)?;
    let attached = loaded.map(|loaded| loaded.program().attach_xdp(ifindex)).transpose();
    // Detaches when it goes out of scope.
    let _link = attached.context("failed to attach")?;
    let send = |duration| -> Result<()> {
        let gone = "the sender gave up";
        orders.send((traffic, duration)).context(gone)?;
        done.recv().context(gone)
    };
    let thread = receiving_thread()?;
    let mut cpus = CpuSet::new();
    cpus.set(CPU);
    sched_setaffinity(Some(thread), &cpus).context("failed to pin the receiving thread")?;
    setpriority_process(Some(thread), NICE).context("failed to prefer the receiving thread")?;
    send(WARM_UP)?;
    let (packets, cpu_ns, start) = (received(host)?, cpu_ns(thread)?, Instant::now());
    send(MEASURED)?;
    let seconds = start.elapsed().as_secs_f64();
    let cpu_ns = self::cpu_ns(thread)? - cpu_ns;
    let packets = received(host)? - packets;
    ensure!(packets >= LEAST_PACKETS, "only {packets} packets arrived");
    Ok(Turn { cpu_ns: cpu_ns as f64 / packets as f64, rate: packets as f64 / seconds })
}

/// NAPI also where no program asks for it, which is what GRO does, and in a thread. The
/// switch is a file of a sysfs that was mounted inside.
fn run_in_a_thread(host: &Namespace) {
    run_command(host.command("ethtool").args(["-K", HOST_IF, "gro", "on"]));
    let script = format!("mount -t sysfs sysfs /sys && echo 1 > /sys/class/net/{HOST_IF}/threaded");
    run_command(host.command("unshare").args(["--mount", "sh", "-c", &script]));
}

/// Somebody who is attacked, with a way back to any address.
fn serve(host: &Namespace) -> Result<TcpListener> {
    host.ip(&format!("route add default via {PEER_V4}"));
    TcpListener::bind((HOST_V4, 443)).context("failed to listen")
}

fn link(host: &Namespace) -> Result<Value> {
    let text = host.ip(&format!("-j -s link show dev {HOST_IF}"));
    let links: Vec<Value> = serde_json::from_str(&text).context("failed to read the link")?;
    links.into_iter().next().context("there is no such link")
}

fn received(host: &Namespace) -> Result<u64> {
    link(host)?["stats64"]["rx"]["packets"].as_u64().context("the link counts nothing")
}

/// The kernel thread of the interface's only queue.
fn receiving_thread() -> Result<Pid> {
    let prefix = format!("napi/{HOST_IF}-");
    let found: Vec<i32> = fs::read_dir("/proc")?
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid| {
            fs::read_to_string(format!("/proc/{pid}/comm"))
                .is_ok_and(|name| name.starts_with(&prefix))
        })
        .collect();
    ensure!(found.len() == 1, "{} threads receive on an interface of this name", found.len());
    Pid::from_raw(found[0]).context("no thread has this number")
}

/// CPU time of a thread of the kernel since it began.
fn cpu_ns(thread: Pid) -> Result<u64> {
    let path = format!("/proc/{}/schedstat", thread.as_raw_nonzero());
    let text = fs::read_to_string(&path).with_context(|| format!("failed to read `{path}`"))?;
    let first = text.split_whitespace().next().context("the kernel counts no CPU time")?;
    first.parse().context("failed to read the CPU time")
}
