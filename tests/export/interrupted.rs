// SPDX-License-Identifier: MIT OR Apache-2.0
//! E7: the segment changes under the exporter's eyes. Reading is slowed down with `strace`,
//! the file is changed while it is open, and nothing but a whole segment may arrive.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use ibsr_tests::process::{Running, wait_until};
use ibsr_tests::s3::faults::{Fault, Op, Rule};

use crate::rig::{LIMIT, Rig, large_segment, name_of, quiet};

/// Each read of 256 KiB takes this many microseconds: two seconds for the whole segment.
const SLOW_READS: &str = "inject=pread64:delay_exit=200000";
const SEGMENT_BYTES: usize = 2 << 20;

/// Runs the exporter with slow reads and calls `change` once the segment is being read.
/// Returns its exit code.
fn change_while_read(rig: &Rig, segment: &Path, change: impl FnOnce(&Path)) -> Option<i32> {
    let strace = ["-f", "-qq", "-o", "/dev/null", "-e", SLOW_READS];
    let mut export = Running::start(quiet(&mut rig.command_under("strace", &strace, "run")));
    wait_until("the segment is open", LIMIT, || is_open_in_children(export.pid(), segment));
    // Past the look at its size and its footer, well before its end.
    thread::sleep(Duration::from_millis(500));
    change(segment);
    let code = export.wait(LIMIT).code();
    assert!(code.is_some());
    code
}

/// Whether a child of `parent` (the exporter below `strace`) has the file open.
fn is_open_in_children(parent: u32, path: &Path) -> bool {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    children.unwrap_or_default().split_whitespace().any(|pid| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        fds.filter_map(|fd| fs::read_link(fd.path()).ok()).any(|target| target == path)
    })
}

/// Not uploaded now, not read again later, still there; uploaded once it is whole again.
#[track_caller]
fn expect_quarantined(change: impl FnOnce(&Path)) {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), SEGMENT_BYTES);
    let good = fs::read(&segment).unwrap();
    assert_eq!(change_while_read(&rig, &segment, change), Some(1));
    rig.expect_untouched(std::slice::from_ref(&segment));
    // It may have changed after that look at it began, so it may get another one. That one
    // settles it: no run after it reads the file again.
    let settled = (0..2).find_map(|_| Some(rig.run()).filter(|said| said.code == Some(0)));
    settled.expect("quarantined by the second look").expect_stderr("quarantined=1");
    rig.expect_untouched(std::slice::from_ref(&segment));
    fs::write(&segment, good).unwrap();
    rig.run().expect_code(0).expect_stderr("uploaded=1");
    rig.expect_uploaded(&[segment]);
}

/// E7: it grows.
#[test]
fn a_segment_that_grows_is_quarantined() {
    expect_quarantined(|path| {
        let mut file = OpenOptions::new().append(true).open(path).unwrap();
        std::io::Write::write_all(&mut file, b"{\"type\":\"gap\"}\n").unwrap();
    });
}

/// E7: it is cut.
#[test]
fn a_segment_that_is_truncated_is_quarantined() {
    expect_quarantined(|path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(SEGMENT_BYTES as u64 / 2).unwrap();
    });
}

/// E7: a block turns to NUL bytes, as after a crash of some file systems. Size and time stay.
#[test]
fn a_segment_that_is_filled_with_nul_is_quarantined() {
    expect_quarantined(|path| {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let before = file.metadata().unwrap().modified().unwrap();
        let end = file.metadata().unwrap().len() - 64 * 1024;
        file.write_all_at(&[0; 4096], end).unwrap();
        file.set_modified(before).unwrap();
    });
}

/// E7: the reader prunes it. What was open is a whole segment, so it may still arrive; a
/// part of it may not.
#[test]
fn a_segment_that_vanishes_while_read_arrives_whole_or_not_at_all() {
    let rig = Rig::new();
    let segment = large_segment(&rig.spool(), SEGMENT_BYTES);
    let good = fs::read(&segment).unwrap();
    let code = change_while_read(&rig, &segment, |path| fs::remove_file(path).unwrap());
    assert_eq!(code, Some(0));
    for (_, bytes) in rig.by_name().into_values() {
        assert!(zstd::decode_all(&*bytes).unwrap() == good);
    }
}

/// E7: it is pruned between the listing and its turn.
#[test]
fn a_segment_that_vanishes_before_its_turn_is_skipped() {
    let rig = Rig::new();
    let segments = rig.segments(12);
    rig.server.fail(Rule::new(Fault::Delay(Duration::from_secs(1))).on(Op::Put).times(4));
    let mut export = rig.start("run", &[]);
    wait_until("a PUT", LIMIT, || rig.server.seen().iter().any(|seen| seen.op == Op::Put));
    let (last, rest) = segments.split_last().unwrap();
    fs::remove_file(last).unwrap();
    assert_eq!(export.wait(LIMIT).code(), Some(0));
    assert!(!rig.by_name().contains_key(&name_of(last)));
    rig.expect_uploaded(rest);
}

/// E7: damaged before anyone looked: every way of being no segment at all is named.
#[test]
fn a_damaged_segment_is_named_and_never_sent() {
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 5] = [
        ("no footer", |bytes| bytes.truncate(bytes.len() - 40)),
        ("no footer", Vec::clear),
        ("no footer", |bytes| bytes.fill(0)),
        ("sha256", |bytes| bytes[100] ^= 1),
        ("sha256", |bytes| drop(bytes.splice(0..0, *b"{}\n"))),
    ];
    for (word, damage) in damages {
        let rig = Rig::new();
        let segments = rig.segments(3);
        let mut bytes = fs::read(&segments[1]).unwrap();
        damage(&mut bytes);
        File::create(&segments[1])
            .and_then(|mut f| std::io::Write::write_all(&mut f, &bytes))
            .unwrap();
        rig.run().expect_code(1).expect_stderr(&name_of(&segments[1])).expect_stderr(word);
        assert!(segments[1].is_file());
        let names: Vec<String> = rig.by_name().into_keys().collect();
        assert_eq!(names, [name_of(&segments[0]), name_of(&segments[2])]);
    }
}
