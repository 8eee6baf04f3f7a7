// SPDX-License-Identifier: MIT OR Apache-2.0
//! Large tables: every entry exactly once, in bounded memory.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

use ibsr_proto::snapshot::{Row, Source, Sweep};
use ibsr_tests::process::{Running, say, wait_until};
use libbpf_rs::{MapCore as _, MapFlags};
use rustix::process::Signal;
use test_tag::tag;

use crate::scope::{Design, Made, SCOPE, entry, reader, spool};
use crate::sealed::{Sealed, sealed};

fn with_room_for(entries: u32) -> Made {
    let mut design = Design::default();
    // An LRU map evicts before it is full: each CPU keeps free entries for itself.
    design.proven.entries = entries + entries / 10 + 4096;
    Made::new(&design)
}

/// Trap: libbpf-rs's own batch lookup takes the first short batch for the last one. The
/// reader must return what it loses.
#[tag(root)]
#[test]
fn two_hundred_thousand_entries_are_all_there_though_libbpf_rs_loses_most() {
    const ENTRIES: u32 = 200_000;
    let made = with_room_for(ENTRIES);
    made.fill(ENTRIES);
    let lost_by_the_library = made
        .proven
        .lookup_batch(4096, MapFlags::ANY, MapFlags::ANY)
        .expect("batches are supported")
        .count();
    assert!(lost_by_the_library < ENTRIES as usize, "the trap is gone: use the library");

    let spool = spool();
    let said = say(&mut reader("once", SCOPE, made.root.path(), spool.path())).expect_code(0);
    let segment = Sealed::read(Path::new(said.stdout.trim()));
    let [(sweep, rows)] = &segment.sweeps[..] else { panic!("one sweep") };
    assert_eq!((sweep.rows, sweep.entries), (u64::from(ENTRIES), u64::from(ENTRIES)));
    assert_eq!((sweep.evicted, sweep.conserved), (0, true));
    let sources: HashSet<_> = rows.iter().map(|row| (row.src, row.dst_port)).collect();
    assert_eq!(sources.len(), ENTRIES as usize, "no source twice");
}

/// R12: a table of a million is streamed: exact rows, and never 64 MiB of memory.
#[tag(root)]
#[test]
fn a_million_entries_are_swept_exactly_in_less_than_64_mib() {
    const ENTRIES: u32 = 1_000_000;
    let made = with_room_for(ENTRIES);
    made.fill(ENTRIES);
    let spool = spool();
    let mut command = reader("run", SCOPE, made.root.path(), spool.path());
    let mut running = Running::start(command.args(["--period", "1h", "--full-every", "1d"]));
    wait_until("the sweep is sealed, being larger than a segment", Duration::from_secs(60), || {
        !sealed(spool.path(), SCOPE).is_empty()
    });
    let peak_kib = peak_rss_kib(running.pid());
    running.signal(Signal::TERM);
    assert!(running.wait(Duration::from_secs(20)).success());
    assert!((1024..64 << 10).contains(&peak_kib), "peak of {peak_kib} KiB");

    let (rows, sum) = check_million(&sealed(spool.path(), SCOPE)[0]);
    assert_eq!(rows, u64::from(ENTRIES));
    let packets: u64 = (0..ENTRIES).map(|number| entry(number).1.packets).sum();
    assert_eq!(sum, packets);
}

fn peak_rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).expect("a number")
}

/// Rows and packets of the first sweep, read line by line; its numbers must agree.
fn check_million(path: &Path) -> (u64, u64) {
    let (mut rows, mut packets) = (0_u64, 0_u64);
    for line in BufReader::new(File::open(path).expect("sealed")).lines() {
        match Row::from_line(line.expect("text").as_bytes()).expect("a row") {
            Row::Source(Source { packets: more, .. }) => {
                rows += 1;
                packets += more;
            }
            Row::Sweep(sweep) => {
                let Sweep { rows: said, entries, attributed, conserved, .. } = *sweep;
                assert_eq!((said, entries, attributed, conserved), (rows, rows, packets, true));
                return (rows, packets);
            }
            _ => {}
        }
    }
    panic!("no sweep")
}
