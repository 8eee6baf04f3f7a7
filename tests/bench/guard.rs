// SPDX-License-Identifier: MIT OR Apache-2.0
//! `make bench-guard`: a policy of 100,000 domains and 100,000 prefixes in the guard, and what a
//! packet costs beside a program that does nothing.
//!
//! Load: from the text to tables in the kernel. Swap: the same with a policy in use, then the
//! moment between the word that names the new policy and the end of the last program that could
//! read the old one. Memory: what the kernel's slab allocator gave out meanwhile, beside what
//! `ibsr-guard check` says. Packets: as in bench-cgroup, on a connection whose verdict is kept.
//! Lease: from the end of all that could renew it to the first packet that passes. Queries:
//! getaddrinfo(3) of a denied name that the guard answers, and beside it the same with a program
//! that drops answers on their way. `bench-guard queries` measures only those, and so `tables`,
//! `packets` and `lease`. Ends with 1 when a bound is missed.

#[path = "../guard/lab.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod lab;
#[path = "guard/lease.rs"]
mod lease;
#[path = "../guard/loaded.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod loaded;
#[path = "../guard/resolver.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod resolver;

use std::fmt::Write as _;
use std::fs;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use ibsr_cli::{Answer, finish, table};
use ibsr_guard::dns::{attach_tcx, find};
use ibsr_guard::install::stage;
use ibsr_policy::{Compiled, Policy, compile, memory_bytes};
use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::{Namespace, PEER_IF, PEER_V4};
use ibsr_tests::prog::{Compiled as Object, compilers};
use ibsr_tests::run_times;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tempfile::TempDir;

use loaded::{Guard, Numbers};
use resolver::World;

/// Domains, and prefixes.
const ENTRIES: u32 = 100_000;
const ROUNDS: usize = 15;
const PINGS: usize = 20_000;
const PING_BYTES: usize = 64;
const LOAD_BOUND: Duration = Duration::from_secs(5);
const SWAP_BOUND: Duration = Duration::from_millis(50);
/// A packet with a kept verdict may cost this much of the empty program.
const PACKET_BOUND: f64 = 1.7;
/// What is said of memory may be off by this share.
const MEMORY_BOUND: f64 = 0.10;
/// Lookups of a denied name that is answered.
const ANSWERED: usize = 101;
/// Lookups that end by themselves: each takes as long as the C library waits.
const DROPPED: usize = 3;
const ANSWERED_BOUND: Duration = Duration::from_millis(2);
const DROPPED_BOUND: Duration = Duration::from_secs(1);
/// Drops what leaves. Of queries the C library would be told at once: these are for answers.
const DROP: &str = r#"#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
SEC("tcx/egress") int drop_all(struct __sk_buff *skb)
{
	return 2;
}
char LICENSE[] SEC("license") = "GPL";
"#;

fn main() -> ExitCode {
    finish("bench-guard", run())
}

#[expect(clippy::print_stdout, reason = "the tables are the output")]
fn run() -> Result<Answer> {
    if !rustix::process::geteuid().is_root() {
        bail!("cgroups need root");
    }
    let only = std::env::args().nth(1);
    let mut rows = Vec::new();
    for (part, measure) in PARTS {
        if only.as_deref().is_none_or(|only| only == part) {
            rows.extend(measure()?);
        }
    }
    ensure!(!rows.is_empty(), "there is no such part: queries, tables, packets, lease");
    let mut table = table(&["what", "measured", "bound", "kept"], &[1, 2]);
    for (what, measured, bound, is_kept) in &rows {
        table.add_row([what.as_str(), measured, bound, if *is_kept { "yes" } else { "no" }]);
    }
    println!("{table}");
    let is_kept = rows.iter().all(|row| row.3);
    Ok(if is_kept { Answer::Yes } else { Answer::No })
}

type Row = (String, String, String, bool);
type Measure = fn() -> Result<Vec<Row>>;

/// What can be measured by itself.
const PARTS: [(&str, Measure); 4] =
    [("queries", queries), ("tables", large), ("packets", packets), ("lease", lease::rows)];

/// A policy with two lists, each of which has `ENTRIES` lines.
fn policy() -> Result<(Policy, Compiled)> {
    let (mut names, mut prefixes) = (String::new(), String::new());
    for number in 0..ENTRIES {
        let [_, high, middle, low] = number.to_be_bytes();
        writeln!(names, "host{number}.zone{}.example", number % 977)?;
        writeln!(prefixes, "{}.{middle}.{low}.0/24", 11 + high)?;
    }
    let text =
        "rules:\n  - {action: deny, domain_file: names}\n  - {action: deny, cidr_file: nets}\n";
    let policy = ibsr_policy::parse("p", text, &|file: &str| {
        Ok(if file == "names" { names.clone() } else { prefixes.clone() })
    })
    .map_err(|error| anyhow::anyhow!("{error}"))?;
    let compiled = compile(&policy, &Numbers::default()).context("the policy is too large")?;
    Ok((policy, compiled))
}

/// Unreclaimable slab and per-CPU memory that the kernel has given out.
fn kernel_bytes() -> Result<f64> {
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let of = |name: &str| -> Result<f64> {
        let line = text.lines().find(|line| line.starts_with(name)).context("no such line")?;
        Ok(line.split_whitespace().nth(1).context("no number")?.parse::<f64>()? * 1024.0)
    };
    Ok(of("SUnreclaim:")? + of("Percpu:")? + of("VmallocUsed:")?)
}

fn large() -> Result<Vec<Row>> {
    let cgroup = Cgroup::new();
    let guard = Guard::attach(&cgroup, false);
    guard.apply("default: {out: allow}\n");
    let before = kernel_bytes()?;
    let begun = Instant::now();
    let (policy, compiled) = policy()?;
    guard.apply_compiled(&policy, &compiled);
    let load = begun.elapsed();
    let measured = kernel_bytes()? - before;
    let said = memory_bytes(&compiled.tables) as f64;
    let mut swaps = Vec::new();
    for _ in 0..5 {
        let staged = stage(&guard.maps(), &compiled, &policy.protected)?;
        let begun = Instant::now();
        let swapped = staged.swap(&guard.maps())?;
        swaps.push(begun.elapsed().as_secs_f64());
        swapped.release(&guard.maps())?;
    }
    let swap = Duration::from_secs_f64(run_times::median(&mut swaps));
    let off = said / measured - 1.0;
    let mib = |bytes: f64| format!("{:.1} MiB", bytes / 1_048_576.0);
    Ok(vec![
        ("load".into(), format!("{load:.2?}"), format!("{LOAD_BOUND:?}"), load <= LOAD_BOUND),
        (
            "swap, until every program judges by it".into(),
            format!("{swap:.2?}"),
            format!("{SWAP_BOUND:?}"),
            swap <= SWAP_BOUND,
        ),
        (
            format!("memory, said to be {}", mib(said)),
            mib(measured),
            format!("{:+.1} % of 10 %", off * 100.0),
            off.abs() <= MEMORY_BOUND,
        ),
    ])
}

/// Middle of so many lookups by the C library, with what they come to.
fn lookups(world: &World, count: usize) -> Result<Duration> {
    let etc = TempDir::new()?;
    fs::write(etc.path().join("resolv.conf"), format!("nameserver {PEER_V4}\n"))?;
    fs::write(etc.path().join("nsswitch.conf"), "hosts: dns\n")?;
    let mut client = Actor::start_with_etc(&world.cgroup, &world.pair.host, etc.path());
    let mut seconds = Vec::new();
    for _ in 0..count {
        let begun = Instant::now();
        let said = client.ask("resolve www.denied.test");
        seconds.push(begun.elapsed().as_secs_f64());
        ensure!(said.is_err(), "the name was resolved: {said:?}");
    }
    Ok(Duration::from_secs_f64(run_times::median(&mut seconds)))
}

fn queries() -> Result<Vec<Row>> {
    let mut world = World::new(true);
    let answered = lookups(&world, ANSWERED)?;
    ensure!(world.reached().is_empty(), "a denied query left");
    world.guard.leave_interfaces(&world.pair.host);
    let dir = TempDir::new()?;
    let source = dir.path().join("drop.bpf.c");
    fs::write(&source, DROP)?;
    let dropper = Object::new(&compilers().pop().context("no compiler")?, &source);
    let dropper = dropper.open().load()?;
    let program = dropper.progs().next().context("it has a program")?;
    let fd = program.as_fd();
    let peer = &world.pair.peer;
    let _link = peer.inside(|| anyhow::Ok(attach_tcx(fd, &find(&[PEER_IF.into()])?[0])?))?;
    let dropped = lookups(&world, DROPPED)?;
    Ok(vec![
        (
            "getaddrinfo of a denied name".into(),
            format!("{answered:.2?}"),
            format!("{ANSWERED_BOUND:?}"),
            answered < ANSWERED_BOUND,
        ),
        (
            "the same where answers are dropped".into(),
            format!("{dropped:.2?}"),
            format!("over {DROPPED_BOUND:?}"),
            dropped > DROPPED_BOUND,
        ),
    ])
}

/// Packets on one CPU, which has a bound: what the programs cost. And on all of them, which has
/// none: there each CPU sleeps until the next packet and finds its caches cold.
fn packets() -> Result<Vec<Row>> {
    let all = sched_getaffinity(None)?;
    let mut one = CpuSet::new();
    one.set(0);
    sched_setaffinity(None, &one)?;
    let mut rows = ping_pong("one CPU", Some(PACKET_BOUND));
    sched_setaffinity(None, &all)?;
    if let Ok(rows) = &mut rows {
        rows.extend(ping_pong("all CPUs", None)?);
    }
    rows
}

/// A ping-pong over loopback would be exempt: the two ends have addresses of their own.
fn ping_pong(place: &str, bound: Option<f64>) -> Result<Vec<Row>> {
    const PROGRAMS: [&str; 4] = ["empty_in", "empty_out", "ibsr_g_ingress", "ibsr_g_egress"];
    let (cgroup, namespace) = (Cgroup::new(), Namespace::new("guard"));
    namespace.ip("address add 198.51.100.1/24 dev lo");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf/bench/cgroup_floor.bpf.c");
    let floor = Object::new(&compilers().pop().context("no compiler")?, &source);
    let _floor = CgroupSensor::attach_object(&floor, &cgroup, 1);
    let guard = Guard::attach(&cgroup, true);
    let (policy, compiled) = policy()?;
    guard.apply_compiled(&policy, &compiled);
    guard.enforce_until(u64::MAX);
    let mut rows = Vec::new();
    for kind in ["tcp4", "udp4"] {
        let (mut client, mut server) = connected(&cgroup, &namespace, kind);
        let ns = run_times::middle_ns(&PROGRAMS, ROUNDS, PINGS as u64, || {
            server.tell(&format!("pong a {PINGS} {PING_BYTES}"));
            client.act(&format!("ping a {PINGS} {PING_BYTES}"));
            server.answer().expect("it answers");
        })?;
        for (way, empty, ours) in
            [("in", "empty_in", "ibsr_g_ingress"), ("out", "empty_out", "ibsr_g_egress")]
        {
            let ratio = ns[ours] / ns[empty];
            rows.push((
                format!("a packet of {kind}, {way}, of the empty program, {place}"),
                format!("{ratio:.2} ({:.0} of {:.0} ns)", ns[ours], ns[empty]),
                bound.map_or_else(String::new, |bound| bound.to_string()),
                bound.is_none_or(|bound| ratio <= bound),
            ));
        }
    }
    Ok(rows)
}

fn connected(cgroup: &Cgroup, namespace: &Namespace, kind: &str) -> (Actor, Actor) {
    let mut client = Actor::start_in(cgroup, namespace);
    let mut server = Actor::start_in(cgroup, namespace);
    server.socket("l", kind);
    let at = server.address("bind l 198.51.100.1:0");
    client.socket("a", kind);
    if kind.starts_with("tcp") {
        server.act("listen l");
        client.act(&format!("connect a {at}"));
        server.act("accept l a");
    } else {
        let from = client.address(&format!("connect a {at}"));
        server.act(&format!("connect l {from}"));
        server.act("rename l a");
    }
    (client, server)
}
