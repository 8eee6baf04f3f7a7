// SPDX-License-Identifier: MIT OR Apache-2.0
//! Programs of one hook interrupt each other on one CPU: what that does to scratch memory.

use std::path::Path;

use ibsr_tests::actor::Actor;
use ibsr_tests::cgroup::{Cgroup, CgroupSensor};
use ibsr_tests::netns::{HOST_IF, PEER_MAC, Pair, mac_text};
use ibsr_tests::prog::{Compiled, compilers};
use libbpf_rs::{MapCore as _, MapFlags};
use test_tag::tag;

/// An address behind the wire that nobody has.
const NOBODY: &str = "10.77.0.9";
/// Connections that wait for an answer: each sends its SYN again after a second.
const WAITING: u32 = 400;

/// What the probe counted.
#[derive(Debug)]
struct Counts {
    runs: u64,
    nested: u64,
    foreign: u64,
    without: u64,
}

/// A process sends datagrams without pause, all on one CPU, while TCP's timers on the same CPU
/// send the SYNs of its connections again.
fn counts_of(source: &str) -> Counts {
    let pair = Pair::new();
    let mac = mac_text(PEER_MAC);
    pair.host.ip(&format!("neigh replace {NOBODY} lladdr {mac} dev {HOST_IF} nud permanent"));
    let cgroup = Cgroup::new();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf").join(source);
    let compiled = Compiled::new(&compilers().pop().expect("a compiler"), &source);
    let probe = CgroupSensor::attach_object(&compiled, &cgroup, 1);
    let mut actor = Actor::start_in(&cgroup, &pair.host);
    actor.act("cpu 0");
    actor.act(&format!("begin {WAITING} {NOBODY}:443"));
    actor.socket("u", "udp4");
    actor.act(&format!("spray-for u {NOBODY}:9 2500"));
    drop(actor);
    let mut maps = probe.object().maps();
    let bss = maps.find(|map| map.name().to_string_lossy().ends_with(".bss"));
    let value = bss.expect("the counts").lookup(&0_u32.to_ne_bytes(), MapFlags::ANY);
    let value = value.expect("readable").expect("the one entry exists");
    let number = |at: usize| u64::from_ne_bytes(value[at * 8..][..8].try_into().expect("8 bytes"));
    Counts { runs: number(0), nested: number(1), foreign: number(2), without: number(3) }
}

/// The trap is real: without it the next test would show nothing.
#[tag(root)]
#[test]
fn a_buffer_for_each_cpu_is_overwritten_by_whoever_interrupts() {
    let counts = counts_of("scratch_per_cpu.bpf.c");
    println!("{counts:?}");
    assert!(counts.nested > 0, "nothing was interrupted: {counts:?}");
    assert!(counts.foreign > 0, "nothing was overwritten: {counts:?}");
}

/// Under the same traffic.
#[tag(root)]
#[test]
fn a_slot_of_the_pool_is_nobody_elses() {
    let counts = counts_of("scratch_pool.bpf.c");
    println!("{counts:?}");
    assert!(counts.nested > 0, "nothing was interrupted: {counts:?}");
    assert!(counts.runs > 10_000, "{counts:?}");
    assert_eq!((counts.foreign, counts.without), (0, 0), "{counts:?}");
}
