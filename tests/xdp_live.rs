// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor on a wire, through the real programs: ten million frames from two CPUs, each of
//! them in its class and on its source, and the interface's own counter as the witness.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use ibsr_proto::abi::{CpuTotals, Table};
use ibsr_proto::conservation::Totals;
use ibsr_proto::pins::{Scope, TOTALS};
use ibsr_proto::snapshot::{Row, Source, Sweep};
use ibsr_tests::bpffs::PinRoot;
use ibsr_tests::frames::{Frame, ethertype, flag, send_frames};
use ibsr_tests::netns::{HOST_IF, PEER_IF, Pair, run};
use ibsr_tests::process::{program, say};
use ibsr_tests::segments::rows;
use libbpf_rs::{MapCore as _, MapFlags, MapHandle};
use test_tag::tag;
use zerocopy::FromBytes as _;

const FRAMES_PER_CPU: usize = 5_000_000;
/// Prime, so that no frame of a round always meets the same queue.
const SOURCES_PER_CPU: u32 = 997;
const CPUS: u32 = 2;
const PORT: u16 = 443;

/// A wire with two queues, so that two CPUs run the program at the same time.
fn wire() -> Pair {
    let pair = Pair::new();
    run(pair.host.command("ethtool").args(["-L", HOST_IF, "rx", "2", "tx", "2"]));
    run(pair.peer.command("ethtool").args(["-L", PEER_IF, "rx", "2", "tx", "2"]));
    pair
}

fn attach(pair: &Pair, pins: &PinRoot, table: Table) {
    let loader = program("ibsr-loader").display().to_string();
    let mut command = pair.host.command(&loader);
    command.args(["attach", "xdp", HOST_IF, "--mode", "native", "--group", "0"]);
    command.args(["--table", table.as_str()]);
    let _said =
        say(command.args(["--dst-port", "443", "--pin-root"]).arg(pins.path())).expect_code(0);
}

/// One full sweep by the real reader, in a mount namespace with the host's own sysfs.
fn sweep(pair: &Pair, pins: &Path, spool: &Path) -> (Vec<Source>, Sweep) {
    let script = format!(
        "mount -t sysfs none \"$0\" && exec {} once --scope xdp-{HOST_IF} --spool \"$1\" \
         --pin-root \"$2\" --net-dir \"$0/class/net/{HOST_IF}\"",
        program("ibsr-reader").display()
    );
    let net = spool.join("sys");
    let own = spool.join("spool");
    for dir in [&net, &own] {
        std::fs::create_dir_all(dir).expect("a directory");
    }
    let mut command: Command = pair.host.command("unshare");
    command.args(["-m", "bash", "-c", &script]).arg(&net).arg(&own).arg(pins);
    let sealed = PathBuf::from(say(&mut command).expect_code(0).stdout.trim());
    let (mut sources, mut close) = (Vec::new(), None);
    for row in rows(&std::fs::read(&sealed).expect("the sealed segment")) {
        match row {
            Row::Source(source) => sources.push(source),
            Row::Sweep(sweep) => close = Some(*sweep),
            _ => {}
        }
    }
    (sources, close.expect("a sweep"))
}

/// Per-CPU counters of the program, for the proof that both CPUs counted.
fn per_cpu(pins: &Path) -> Vec<CpuTotals> {
    let scope = Scope::xdp(HOST_IF).expect("a scope");
    let map = MapHandle::from_pinned_path(scope.dir(pins).join(TOTALS)).expect("the totals");
    let values = map
        .lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY)
        .expect("the totals can be read")
        .expect("the only entry");
    values.iter().map(|value| CpuTotals::read_from_prefix(value).expect("a value").0).collect()
}

fn address(cpu: u32, number: u32) -> [u8; 4] {
    [10, 80 + cpu as u8, (number / 256) as u8, (number % 256) as u8]
}

/// What one CPU sends in a round: for each source a tracked frame, and one of every class.
fn round(cpu: u32) -> Vec<Vec<u8>> {
    let host = [10, 77, 0, 1];
    let mut frames: Vec<Vec<u8>> = (0..SOURCES_PER_CPU)
        .map(|number| {
            let flags =
                [flag::SYN, flag::ACK, flag::ACK | flag::FIN, flag::RST][number as usize % 4];
            let frame = Frame::v4(address(cpu, number), host).ports(1_024, PORT).flags(flags);
            // Bytes differ between sources, so that no two can be taken for each other.
            frame.payload(&vec![0; number as usize % 200]).build()
        })
        .collect();
    frames.push(Frame::v4(address(cpu, 0), host).ports(1_024, 80).build());
    frames.push(
        Frame::v4(address(cpu, 0), host)
            .vlan(ethertype::QINQ, 1)
            .vlan(ethertype::VLAN, 2)
            .ports(1_024, 81)
            .build(),
    );
    frames.push(Frame::v4(address(cpu, 0), host).protocol(17).build());
    frames.push(Frame::v4(address(cpu, 0), host).fragment(8, false).build());
    frames.push(Frame::v4(address(cpu, 0), host).ihl(4).build());
    frames.push(Frame::v4(address(cpu, 0), host).ethertype(ethertype::ARP).build());
    frames
}

/// Sends `FRAMES_PER_CPU` frames of the round over and over, on one CPU; returns how often
/// each frame of the round went out.
fn send_on(cpu: u32, pair: &Pair) -> Vec<u64> {
    let frames = round(cpu);
    pair.peer.inside(|| {
        let mut set = rustix::thread::CpuSet::new();
        set.set(cpu as usize);
        rustix::thread::sched_setaffinity(None, &set).expect("the CPU exists");
        send_frames(PEER_IF, frames.iter().cycle().take(FRAMES_PER_CPU).cloned());
    });
    let (whole, rest) = (FRAMES_PER_CPU / frames.len(), FRAMES_PER_CPU % frames.len());
    (0..frames.len()).map(|at| (whole + usize::from(at < rest)) as u64).collect()
}

/// What was sent: packets and bytes by source address, and the totals of each class.
#[derive(Default)]
struct Truth {
    sources: BTreeMap<[u8; 4], (u64, u64)>,
    totals: Totals,
}

impl Truth {
    fn add(&mut self, cpu: u32, times: &[u64]) {
        let frames = round(cpu);
        let tracked = SOURCES_PER_CPU as usize;
        for (number, (frame, &times)) in frames.iter().zip(times).take(tracked).enumerate() {
            let bytes = times * frame.len() as u64;
            self.sources.insert(address(cpu, number as u32), (times, bytes));
            self.totals.tracked += times;
            self.totals.tracked_bytes += bytes;
        }
        let [port, vlan, udp, fragment, ihl, arp] = times[tracked..] else { panic!("six classes") };
        self.totals.other_port += port + vlan;
        self.totals.other_l4 += udp;
        self.totals.fragments += fragment;
        self.totals.malformed += ihl;
        self.totals.non_ip += arp;
    }
}

/// The acceptance: conservation exact over ten million frames from two CPUs, every
/// source exact, coverage against the interface's own counter 100 %.
#[test]
#[tag(root)]
fn ten_million_frames_from_two_cpus_are_all_accounted_for() {
    account_for_ten_million_frames(Table::Lru);
}

/// The same with the table that the reader maps.
#[test]
#[tag(root)]
fn ten_million_frames_are_all_accounted_for_in_the_set_associative_table() {
    account_for_ten_million_frames(Table::Sets);
}

#[track_caller]
fn account_for_ten_million_frames(table: Table) {
    let pair = wire();
    let (pins, spool) = (PinRoot::new(), tempfile::tempdir().expect("a directory"));
    attach(&pair, &pins, table);
    let (_, before) = sweep(&pair, pins.path(), spool.path());
    let mut truth = Truth::default();
    let sent: Vec<Vec<u64>> = thread::scope(|scope| {
        let senders: Vec<_> = (0..CPUS)
            .map(|cpu| {
                scope.spawn({
                    let pair = &pair;
                    move || send_on(cpu, pair)
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().expect("a sender")).collect()
    });
    for (cpu, times) in (0..CPUS).zip(&sent) {
        truth.add(cpu, times);
    }
    let (sources, after) = sweep(&pair, pins.path(), spool.path());

    let seen: BTreeMap<[u8; 4], (u64, u64)> = sources
        .iter()
        .map(|row| match row.src.to_ip() {
            std::net::IpAddr::V4(v4) => (v4.octets(), (row.packets, row.bytes)),
            std::net::IpAddr::V6(v6) => panic!("nobody sent TCP from {v6}"),
        })
        .collect();
    assert_eq!(seen, truth.sources, "packets and bytes of every source");
    assert_eq!(after.evicted, 0);
    assert!(after.conserved && before.conserved);
    after.totals.check_classes(0).expect("the law holds exactly on a quiet wire");
    assert_eq!(after.attributed, after.totals.tracked);

    let (now, then) = (after.totals, before.totals);
    assert_eq!(now.tracked - then.tracked, truth.totals.tracked);
    assert_eq!(now.tracked_bytes - then.tracked_bytes, truth.totals.tracked_bytes);
    assert_eq!(now.other_port - then.other_port, truth.totals.other_port);
    assert_eq!(now.fragments - then.fragments, truth.totals.fragments);
    assert_eq!(now.malformed - then.malformed, truth.totals.malformed);
    // The wire's own ARP and ICMPv6 may add a few to these two classes.
    assert!(now.other_l4 - then.other_l4 >= truth.totals.other_l4);
    assert!(now.non_ip - then.non_ip >= truth.totals.non_ip);

    let rx = |sweep: &Sweep| sweep.rx_packets.expect("the interface's counter is visible");
    assert_eq!(now.passed - then.passed, rx(&after) - rx(&before), "coverage is 100 %");
    assert!(now.received - then.received >= CPUS as u64 * FRAMES_PER_CPU as u64);
    let busy = per_cpu(pins.path()).iter().filter(|cpu| cpu.received > 1_000_000).count();
    assert_eq!(busy, CPUS as usize, "both CPUs ran the program");
}
