// SPDX-License-Identifier: MIT OR Apache-2.0
//! The sensor on the captures that tcpdump and nDPI are tested with: malformed packets that
//! once broke a parser, and real traffic of some hundred protocols. Every Ethernet frame of
//! them runs through BPF_PROG_TEST_RUN, cut to what was captured, with every port selected.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ibsr_proto::conservation::Totals;
use ibsr_proto::ports::PortSet;
use ibsr_tests::prog::Compiled;
use test_tag::tag;

#[path = "xdp_fixtures/bench.rs"]
#[expect(dead_code, reason = "shared with the fixtures")]
mod bench;
#[path = "captures/fetch.rs"]
mod fetch;
#[path = "captures/pcap.rs"]
mod pcap;
#[path = "xdp_fixtures/reference.rs"]
mod reference;

use bench::{Bench, compile};
use pcap::{ETHERNET, End, read_frames};

/// What BPF_PROG_TEST_RUN takes: an Ethernet header at least, and at most what the first
/// page has room for (`test_run_bpf` in net/bpf/test_run.c) and 17 more of 4 KiB.
const RUNS: std::ops::RangeInclusive<usize> = 14..=3_520 + 17 * 4_096;

/// Connections that may wait for their ACK in one sensor before the next takes over: so few
/// meet in a slot and lose a handshake that the rest is exact.
const WAITING: usize = 50;

/// What a package's captures were.
#[derive(Debug, Default)]
struct Tally {
    captures: usize,
    /// Files that end before their end, and why.
    damaged: Vec<(String, String)>,
    /// Frames by link type.
    links: BTreeMap<u16, usize>,
    /// Ethernet frames that the kernel does not run, by length.
    lengths_not_run: BTreeMap<usize, usize>,
    /// What the sensors counted.
    totals: Totals,
    handshakes: u64,
    sources: usize,
    sensors: usize,
}

impl Tally {
    fn ethernet(&self) -> usize {
        self.links.get(&ETHERNET).copied().unwrap_or_default()
    }

    fn not_run(&self) -> usize {
        self.lengths_not_run.values().sum()
    }

    fn replay(&mut self, compiled: &Compiled, captures: &[PathBuf], admits_first: bool) {
        let new = || Bench::new(compiled, PortSet::all(), admits_first);
        let mut bench = new();
        for path in captures {
            self.replay_one(path, &mut bench);
            if bench.pending.len() > WAITING {
                self.add(&bench);
                bench = new();
            }
        }
        self.add(&bench);
    }

    fn replay_one(&mut self, path: &Path, bench: &mut Bench) {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let file = std::fs::read(path).expect("it was unpacked");
        let end = read_frames(&file, |link, frame| {
            *self.links.entry(link).or_default() += 1;
            if link == ETHERNET && RUNS.contains(&frame.len()) {
                bench.see(&name, frame);
            } else if link == ETHERNET {
                *self.lengths_not_run.entry(frame.len()).or_default() += 1;
            }
        });
        self.captures += 1;
        if let End::Damaged(why) = end {
            self.damaged.push((name, why));
        }
    }

    fn add(&mut self, bench: &Bench) {
        let (totals, sources) = bench.finish();
        self.totals = self.totals.zip(totals, |sum, one| sum + one);
        self.handshakes += sources.values().map(|source| source.handshakes).sum::<u64>();
        self.sources += sources.len();
        self.sensors += 1;
    }
}

/// Every capture of a package. Nothing, and a line on standard error, when the package can
/// neither be found nor fetched.
fn replay(package: &str, admits_first: bool) -> Option<Tally> {
    let captures = match fetch::captures(package) {
        Ok(captures) => captures,
        Err(reason) => {
            // Not `eprintln!`: the test runner would keep that to itself.
            writeln!(std::io::stderr(), "SKIPPED: the captures of {package}: {reason}")
                .expect("standard error is open");
            return None;
        }
    };
    let mut tally = Tally::default();
    tally.replay(&compile(), &captures, admits_first);
    let Totals { received, non_ip, malformed, fragments, other_l4, tracked, .. } = tally.totals;
    let ran = tally.ethernet() - tally.not_run();
    assert_eq!(received, ran as u64, "a frame was not shown to the sensor");
    let classes = [non_ip, malformed, fragments, other_l4, tracked];
    assert!(classes.iter().all(|&count| count > 100), "every class must be met: {classes:?}");
    Some(tally)
}

/// X6: what was made to break tcpdump. A frame in six has another link type: radio,
/// buses, tunnels.
#[tag(root)]
#[test]
fn captures_of_tcpdump_are_counted_as_the_reference_counts_them() {
    let Some(tally) = replay("tcpdump", true) else { return };
    println!("{tally:#?}");
    assert!(tally.captures >= 600 && tally.ethernet() >= 8_000, "{tally:?}");
    let others = tally.links.values().sum::<usize>() - tally.ethernet();
    assert!(others < tally.ethernet(), "{others} frames have another link type");
    assert!(tally.not_run() <= 50, "{:?}", tally.lengths_not_run);
}

/// X6: real traffic, by which nDPI learnt its protocols.
#[tag(root)]
#[test]
fn captures_of_ndpi_are_counted_as_the_reference_counts_them() {
    let Some(tally) = replay("ndpi", true) else { return };
    println!("{tally:#?}");
    assert!(tally.captures >= 250 && tally.ethernet() >= 200_000, "{tally:?}");
    let others = tally.links.values().sum::<usize>() - tally.ethernet();
    assert!(others * 10 < tally.ethernet(), "{others} frames have another link type");
    assert_eq!((tally.not_run(), tally.damaged.len()), (0, 1), "{tally:?}");
    assert!(tally.handshakes > 1_000, "{} handshakes", tally.handshakes);
}

/// X6: with the doorkeeper, as the sensor runs by default. A source has an entry when its
/// address sent a second packet, and then every count of the first is in it; what waits is
/// the rest.
#[tag(root)]
#[test]
fn captures_behind_the_doorkeeper_lack_only_addresses_of_one_packet() {
    for package in ["tcpdump", "ndpi"] {
        let Some(tally) = replay(package, false) else { return };
        println!("{tally:#?}");
        let Totals { tracked, unattributed, resumed, .. } = tally.totals;
        let missed = unattributed - resumed;
        assert!(resumed > 0 && missed > 0 && missed * 50 < tracked, "{:?}", tally.totals);
    }
}
