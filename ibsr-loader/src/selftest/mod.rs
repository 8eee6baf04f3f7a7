// SPDX-License-Identifier: MIT OR Apache-2.0
//! `selftest`: proof, load, and a handful of frames through BPF_PROG_TEST_RUN, on maps of its
//! own; then the programs for cgroups. Answers "would it work here, and is it what was released"
//! without an interface.

mod cgroup;

use anyhow::{Context as _, Result};
use ibsr_cli::Answer;
use ibsr_cli::privilege;
use ibsr_proto::abi::{Evidence, ProofKind, SourceCounts, SourceKey, Table, hex};
use ibsr_proto::conservation::Totals;
use ibsr_proto::ports::PortSet;
use ibsr_prove::Proof;

use crate::object::Storage;
use crate::object::xdp::{self as object, Loaded, Maps, Settings};
use crate::{out, preflight};

/// `XDP_PASS`, `<linux/bpf.h>`.
const XDP_PASS: u32 = 2;
/// Selected port of the frames.
const PORT: u16 = 443;

/// Runs the subcommand.
///
/// # Errors
/// When the program is not proven, not loaded, or does not count as it should.
pub fn run() -> Result<Answer> {
    privilege::limit()?;
    preflight::require_frags()?;
    let ports = PortSet::from_ranges(&["443".parse().context("a port")?]);
    let of = |table| Settings {
        ports: ports.clone(),
        table,
        max_sources: 1024,
        proof: ProofKind::Socket,
        admits_first: false,
    };
    let [mut lru, mut sets] = [Storage::uninit(), Storage::uninit()];
    let prepare =
        |storage, table| object::prepare(storage, &of(table), &Maps::New(Evidence::Exclusive));
    let prepared = prepare(&mut lru, Table::Lru)?;
    tell_proof(prepared.proof())?;
    let loaded = [prepared.load()?, prepare(&mut sets, Table::Sets)?.load()?];
    let of_cgroup = cgroup::prove_and_load()?;
    privilege::drop_all()?;
    let info = loaded[0].info();
    out::line(&format!("kernel   took it as `{}`, tag {}: equal", info.name, hex(&info.tag)))?;
    let frames = frames();
    for (table, loaded) in [Table::Lru, Table::Sets].into_iter().zip(&loaded) {
        check(loaded, &frames).with_context(|| format!("with `--table {}`", table.as_str()))?;
    }
    out::line(&format!(
        "frames   {} of {0} passed unchanged, each counted once, by either table",
        frames.len()
    ))?;
    of_cgroup.iter().try_for_each(|line| out::line(line))?;
    Ok(Answer::Yes)
}

fn check(loaded: &Loaded<'_>, frames: &[(&str, Vec<u8>)]) -> Result<()> {
    for (what, frame) in frames {
        run_one(loaded, what, frame)?;
    }
    check_counters(loaded)
}

fn tell_proof(proof: &Proof) -> Result<()> {
    let helpers: Vec<String> = proof.helpers.iter().map(u32::to_string).collect();
    out::line(&format!(
        "proof    {} instructions, exits: {}, each returns XDP_PASS; writes no packet byte; helpers {}",
        proof.insns,
        proof.exits,
        helpers.join(" ")
    ))?;
    out::line(&format!("digest   {}", hex(&proof.sha256)))?;
    Ok(())
}

fn run_one(loaded: &Loaded<'_>, what: &str, frame: &[u8]) -> Result<()> {
    let (returned, after) =
        loaded.run_on(frame).with_context(|| format!("failed to run {what}"))?;
    anyhow::ensure!(returned == XDP_PASS, "{what}: returned {returned}, not XDP_PASS");
    anyhow::ensure!(after == frame, "{what}: the frame was changed");
    Ok(())
}

fn check_counters(loaded: &Loaded<'_>) -> Result<()> {
    let totals = loaded.totals()?;
    let expected = Totals {
        received: 7,
        passed: 7,
        non_ip: 1,
        malformed: 1,
        other_l4: 1,
        other_port: 1,
        tracked: 3,
        tracked_bytes: totals.tracked_bytes,
        unattributed: 2,
        resumed: 1,
        inserted: 1,
        ..Totals::default()
    };
    anyhow::ensure!(totals == expected, "counted {totals:?}, expected {expected:?}");
    let v4 = loaded.unproven(&key(V4_SOURCE))?.context("the IPv4 source has no entry")?;
    let v6 = loaded.unproven(&key(V6_SOURCE))?;
    let counts = |c: &SourceCounts| [c.syn, c.ack, c.handshakes, c.fin, c.rst, c.packets];
    anyhow::ensure!(counts(&v4) == [1, 1, 1, 0, 0, 2], "IPv4 source: {v4:?}");
    anyhow::ensure!(v6.is_none(), "the IPv6 source has an entry after one packet: {v6:?}");
    Ok(())
}

const V4_SOURCE: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1];
const V6_SOURCE: [u8; 16] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

fn key(addr: [u8; 16]) -> SourceKey {
    SourceKey { addr, dst_port: PORT, pad: 0 }
}

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;
const ETH_IPV4: [u8; 2] = [0x08, 0x00];
const ETH_IPV6: [u8; 2] = [0x86, 0xdd];
const ETH_ARP: [u8; 2] = [0x08, 0x06];
const TCP: u8 = 6;
const UDP: u8 = 17;

/// One frame of each class that a small machine meets in its first second.
fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let v4_tcp = |port, flags, seq| ethernet(ETH_IPV4, &ipv4(TCP, &tcp(port, flags, seq)));
    let mut cut = v4_tcp(PORT, SYN, 1);
    cut.truncate(40);
    vec![
        ("a SYN", v4_tcp(PORT, SYN, 1)),
        ("the ACK that completes it", v4_tcp(PORT, ACK, 2)),
        ("a SYN over IPv6", ethernet(ETH_IPV6, &ipv6(&tcp(PORT, SYN, 1)))),
        ("a SYN to another port", v4_tcp(80, SYN, 1)),
        ("a UDP datagram", ethernet(ETH_IPV4, &ipv4(UDP, &[0; 20]))),
        ("an ARP request", ethernet(ETH_ARP, &[0; 28])),
        ("a segment that is cut short", cut),
    ]
}

fn ethernet(ethertype: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let macs = [0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    [&macs, ethertype.as_slice(), payload].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(20 + payload.len()).expect("a small packet");
    let header = [0x45, 0, 0, len, 0, 0, 0, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1];
    [&header, payload].concat()
}

fn ipv6(payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(payload.len()).expect("a small packet");
    [&[0x60, 0, 0, 0, 0, len, TCP, 64], V6_SOURCE.as_slice(), &[0; 16], payload].concat()
}

fn tcp(port: u16, flags: u8, seq: u32) -> Vec<u8> {
    let mut header = vec![0xc0, 0x00];
    header.extend(port.to_be_bytes());
    header.extend(seq.to_be_bytes());
    header.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header
}
