// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two boots of one machine with the installed units, and what its spool and its bucket then
//! hold.

use std::fs;
use std::path::{Path, PathBuf};

use ibsr_proto::snapshot::{Header, Row, Source, Sweep};
use test_tag::tag;

use crate::machine::Machine;

const LIB: &str = include_str!("lib.sh");
const FIRST: &str = include_str!("first_boot.sh");
const SECOND: &str = include_str!("second_boot.sh");

/// L9, R11: every process is restarted and killed under traffic, then the machine reboots. No
/// counted packet is lost, the sensor stays attached until it is stopped, then nothing is
/// left; after the reboot it attaches by itself under a new boot id and a new epoch.
#[tag(root)]
#[test]
fn restarts_kills_and_a_reboot_lose_no_counted_packet() {
    let machine = Machine::new();
    machine.boot(&format!("{LIB}\n{FIRST}"));
    assert_rights(&machine);
    let first = segments(&machine);
    assert_counts_of_first_boot(&machine, &first);
    assert_nothing_left(&machine);
    assert_uploaded(&machine, &first);

    machine.boot(&format!("{LIB}\n{SECOND}"));
    let second = segments(&machine).split_off(first.len());
    assert_eq!(last_source(&second, 7002).syn, 10);
    let (before, after) = (&first[0].header, &second[0].header);
    assert_ne!(before.boot_id, after.boot_id);
    assert_ne!(before.epoch, after.epoch);
}

/// The reader reached pins below a directory of mode 0700, as nobody special.
fn assert_rights(machine: &Machine) {
    assert!(machine.out("bpffs").starts_with("drwx-----T "), "{}", machine.out("bpffs"));
    let status = machine.out("reader-status");
    let line = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a line");
        line.split_whitespace().nth(1).expect("a value").to_owned()
    };
    assert_ne!(line("Uid:"), "0");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(line(set), "0000000000000000", "{set}");
    }
    assert!(machine.out("spool-write").contains("Permission denied"));
}

/// Counters are cumulative within the one epoch: the last sweep says it all.
fn assert_counts_of_first_boot(machine: &Machine, segments: &[Segment]) {
    assert_eq!(machine.out("link-before"), machine.out("link-after"));
    let sent: u64 = machine.out("sent-7000").parse().expect("a number");
    assert!(sent > 100, "traffic ran during the restarts: {sent}");
    let source = last_source(segments, 7000);
    assert_eq!((source.syn, source.packets), (sent, sent));
    let epochs: Vec<_> = segments.iter().map(|segment| &segment.header.epoch).collect();
    assert!(epochs.iter().all(|epoch| *epoch == epochs[0]), "one epoch: {epochs:?}");
    assert!(segments.len() >= 5, "each restart seals one: {}", segments.len());

    let sweeps: Vec<&Sweep> = segments.iter().flat_map(|segment| &segment.sweeps).collect();
    assert!(sweeps.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1), "no hole in seq");
    assert!(sweeps.iter().all(|sweep| sweep.conserved && sweep.attached));
    let last = sweeps.last().expect("a sweep");
    let before = last.rx_packets.expect("the unit sees the interface") - last.totals.received;
    let number = |name: &str| machine.out(name).parse::<u64>().expect("a number");
    assert_eq!(last.totals.received, number("rx-after") - before, "coverage is 100 %");
    assert_eq!(before, number("rx-before"));
}

fn assert_nothing_left(machine: &Machine) {
    assert_eq!(machine.out("reader-after-stop"), "inactive");
    assert_eq!(machine.out("pins-after-stop"), "");
    assert!(!machine.out("link-after-stop").contains("xdp"), "{}", machine.out("link-after-stop"));
}

/// One object for each segment, whatever was killed, and nothing waits.
fn assert_uploaded(machine: &Machine, segments: &[Segment]) {
    assert_eq!(machine.out("timer"), "active");
    let status: serde_json::Value =
        serde_json::from_str(&machine.out("export-status")).expect("JSON");
    assert_eq!(status["waiting"]["segments"], 0, "{status}");
    let objects = files(&machine.path("out/s3"), ".jsonl.zst");
    assert_eq!(objects.len(), segments.len(), "{objects:?}");
}

#[derive(Debug)]
struct Segment {
    header: Header,
    sweeps: Vec<Sweep>,
    sources: Vec<Source>,
}

/// What is sealed in the machine's spool, in order. A file that is not sealed fails.
fn segments(machine: &Machine) -> Vec<Segment> {
    let spool = machine.path("var/lib/ibsr/spool/xdp-sensor0");
    let mut segments: Vec<Segment> =
        files(&spool, ".jsonl").iter().map(|path| read(path)).collect();
    segments.sort_by_key(|segment| segment.sweeps[0].at_boot_ns);
    segments
}

fn read(path: &Path) -> Segment {
    let text = fs::read(path).expect("readable");
    let (mut header, mut sweeps, mut sources, mut is_sealed) =
        (None, Vec::new(), Vec::new(), false);
    for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        match Row::from_line(line).unwrap_or_else(|error| panic!("{path:?}: {error}")) {
            Row::Header(row) => header = Some(*row),
            Row::Sweep(row) => sweeps.push(*row),
            Row::Source(row) => sources.push(row),
            Row::Footer(_) => is_sealed = true,
            _ => {}
        }
    }
    assert!(is_sealed, "{path:?} has no footer");
    Segment { header: header.expect("a header"), sweeps, sources }
}

fn last_source(segments: &[Segment], dst_port: u16) -> Source {
    let of_port = |source: &&Source| source.dst_port == dst_port;
    let mut newest_first = segments.iter().rev().flat_map(|segment| segment.sources.iter().rev());
    *newest_first.find(of_port).expect("the source was seen")
}

/// Files below `dir` whose name ends in `suffix`.
fn files(dir: &Path, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{dir:?}: {error}"));
    let (dirs, files_here): (Vec<PathBuf>, Vec<PathBuf>) =
        entries.map(|entry| entry.expect("an entry").path()).partition(|path| path.is_dir());
    let is_wanted = |path: &PathBuf| path.to_string_lossy().ends_with(suffix);
    let below = dirs.iter().flat_map(|dir| files(dir, suffix));
    files_here.iter().filter(|path| is_wanted(path)).cloned().chain(below).collect()
}
