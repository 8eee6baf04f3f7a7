// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file system without room: bytes or inodes. It lies in a mount namespace of the reader's
//! own, which this test looks into through /proc.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ibsr_proto::snapshot::GapReason;
use ibsr_tests::process::{Running, wait_until};
use rustix::process::Signal;

use crate::rig::{PATIENCE, Rig, all_sealed};

/// Periods that fail before there is room again.
const FAILING_PERIODS: u64 = 25;

/// Runs the reader on a tmpfs, fills it with `fill`, and makes room again.
fn survives(rig: &Rig, options: &str, fill: impl Fn(&Path)) {
    let spool = rig.spool("spool");
    let script = format!("mount -t tmpfs -o {options} tmpfs {} && exec \"$@\"", spool.display());
    let prefix = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned);
    let mut reader = rig.start(&prefix, &spool, &[], "log");
    let inside = PathBuf::from(format!("/proc/{}/root", reader.pid()))
        .join(spool.strip_prefix("/").expect("absolute"));
    wait_until("the first segment", PATIENCE, || sealed(&inside) > 0);

    fill(&inside);
    rig.wait_for("log", "No space left on device");
    let before = (sweeps_made(&reader), memory_kib(&reader));
    wait_until("failing periods", PATIENCE, || sweeps_made(&reader) > before.0 + FAILING_PERIODS);
    let grown = memory_kib(&reader).saturating_sub(before.1);
    assert!(grown < 1_024, "memory grew by {grown} KiB while the disk was full");
    let complaints = rig.said("log").matches("No space left").count();
    assert!(complaints <= 2, "said {complaints} times:\n{}", rig.said("log"));
    let full_at = sealed(&inside);

    fs::remove_dir_all(inside.join("filler")).expect("removed");
    wait_until("segments again", PATIENCE, || sealed(&inside) > full_at + 1);
    let has_gap = |it: &crate::rig::Sealed| it.has_gap(GapReason::Disk);
    let all = all_sealed(&inside);
    let told = all.iter().find(|it| has_gap(it)).expect("a gap row tells of the full disk");
    assert_eq!(told.sweeps().next().expect("a sweep").since_boot_ns, 0, "begins full");
    reader.signal(Signal::TERM);
    assert!(reader.wait(PATIENCE).success(), "{}", rig.said("log"));
}

/// Sealed files; all of them are whole at any moment.
fn sealed(spool: &Path) -> usize {
    if spool.exists() { all_sealed(spool).len() } else { 0 }
}

/// Voluntary context switches: the reader sleeps once a period.
fn sweeps_made(reader: &Running) -> u64 {
    status_field(reader, "voluntary_ctxt_switches:")
}

fn memory_kib(reader: &Running) -> u64 {
    status_field(reader, "VmRSS:")
}

fn status_field(reader: &Running, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", reader.pid())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix(field)).expect("the field");
    line.split_whitespace().next().and_then(|number| number.parse().ok()).expect("a number")
}

/// R3: no bytes left.
#[test_tag::tag(root)]
#[test]
fn a_full_disk_is_waited_for_and_told() {
    survives(&Rig::new(), "size=512k,mode=750", |spool| {
        fs::create_dir(spool.join("filler")).expect("a directory");
        let mut file = File::create(spool.join("filler/bytes")).expect("a file");
        while file.write_all(&[0; 4_096]).is_ok() {}
    });
}

/// R3: no inodes left.
#[test_tag::tag(root)]
#[test]
fn a_disk_without_inodes_is_waited_for_and_told() {
    survives(&Rig::new(), "size=8m,nr_inodes=120,mode=750", |spool| {
        fs::create_dir(spool.join("filler")).expect("a directory");
        let mut number = 0..;
        while number
            .next()
            .is_some_and(|it: u32| File::create(spool.join("filler").join(it.to_string())).is_ok())
        {
        }
    });
}
